"""HTTP: one connection pool, bounded answers, and repetition where it can help."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import ssl
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from types import TracebackType
from typing import Any, Final, Literal, Self

import httpx
import stamina
from stamina.instrumentation import set_on_retry_hooks

from auditor.fetcher.answers import Read
from auditor.fetcher.failures import FetchError, described, quoted
from auditor.fetcher.limits import Pacer
from auditor.fetcher.network import Direct, goes_by_proxy
from auditor.model.secret import Concealed
from auditor.model.value import JSON, parse_json

_log = logging.getLogger(__name__)

RETRIED: Final = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses worth repeating (PingOne "Retries: Best practice for managing transient API errors")."""

MAX_BODY_BYTES: Final = 64 * 1024 * 1024
"""Largest answer after decompression; a page of 1,000 events has some two megabytes."""

MAX_WAIT_S: Final = 300.0
"""Longest wait that a `Retry-After` is granted; published clients cap it there too."""

PATIENCE: Final = 10
"""An answer may take this many times the timeout, which alone would let it trickle for ever."""

MAX_SKEW_S: Final = 60.0
"""How far apart two clocks may be; that much less than two minutes events have had time to settle."""

LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")
"""Hosts that no proxy is asked for: what runs on this machine is the simulator."""


@lru_cache(maxsize=64)  # taking an address apart is slow, and a link is looked at before it is followed
def parsed(url: str) -> httpx.URL:
    """
    Return an address taken apart.

    Raises:
        httpx.InvalidURL: it is none.
    """
    return httpx.URL(url)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked, without what proves who asks."""

    method: Literal["GET", "POST"]
    url: str
    content: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer as received. `document` is the JSON of a body of status 200, None where that is no JSON."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    document: JSON = None
    clock_skew_s: float | None = None
    """By how many seconds the server's clock was ahead of ours; None where it did not tell (`Date`)."""
    number: int = 0
    """Which answer to the query it is, counted from 1."""
    recalled: bool = False
    """Whether it was kept from before, and is not asked for now."""
    at: datetime | None = None
    """When it was kept, where it was."""

    @property
    def content_type(self) -> str:
        """The `Content-Type`, empty if there is none."""
        return self.headers.get("content-type", "")


@dataclass(slots=True)
class Effort:
    """What it took to get the answers of one query."""

    requests: int = 0
    retries: int = 0
    waited_s: float = 0
    """Time between the tries, and before each for its turn."""
    latency_s: float = 0
    """How long the last answer took."""


class _RepeatableError(FetchError):
    """What a repetition may mend. `wait_s` is how long the server asks to wait before."""

    def __init__(self, code: str, reason: str, help: str, wait_s: float = 0) -> None:
        super().__init__(code, reason, help)
        self.wait_s = wait_s

    def after(self, tries: int) -> FetchError:
        """Return the same as the last word."""
        told = f" It was tried {tries} times." if tries > 1 else ""
        if self.wait_s > MAX_WAIT_S:
            told += f" It asks to wait {self.wait_s:,.0f} s, and at most {MAX_WAIT_S:,.0f} s are granted."
        return FetchError(self.failure.code, self.failure.reason + told, self.failure.help)


@dataclass(slots=True)
class Session:
    """
    Sends requests and repeats them where a repetition can help.

    Redirects are never followed and TLS is always verified. Proxies and extra certificates come from the
    usual environment variables (`HTTPS_PROXY`, `SSL_CERT_FILE`). `timeout_s` is the longest silence.
    """

    clock: Callable[[], datetime]
    user_agent: str
    concealed: Concealed
    transport: httpx.AsyncBaseTransport | None = None
    attempts: int = 6
    first_wait_s: float = 0.5
    timeout_s: float = 60
    _network: httpx.AsyncBaseTransport | httpx.AsyncClient = field(init=False)
    _headers: dict[str, str] = field(init=False)
    _extensions: dict[str, Any] = field(init=False)
    _persist: stamina.BoundAsyncRetryingCaller = field(init=False)

    def __post_init__(self) -> None:
        set_on_retry_hooks(())  # the program reports its retries itself
        self._network = self.transport or (_by_proxy() if goes_by_proxy() else Direct())
        self._headers = {"User-Agent": self.user_agent, "Accept-Encoding": "gzip"}
        timeout = httpx.Timeout(self.timeout_s, connect=min(self.timeout_s, 10))
        self._extensions = {"timeout": timeout.as_dict()}
        self._persist = stamina.AsyncRetryingCaller(
            attempts=self.attempts,
            timeout=None,
            wait_initial=self.first_wait_s,
            wait_max=30,
            wait_jitter=self.first_wait_s,
        ).on(_wait)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._network.aclose()

    async def send(
        self,
        request: Request,
        *,
        headers: Mapping[str, str],
        effort: Effort | None = None,
        pacer: Pacer | None = None,
        before: Callable[[], None] = lambda: None,
        read: Read = parse_json,
    ) -> Response:
        """
        Send one request until it has an answer that a repetition would not change.

        Every try waits for its turn with the *pacer*, and *before* is called before it is sent. *read* makes a
        document of the body.

        Raises:
            FetchError: the answer stayed transient (429, 5xx, a broken connection, damaged JSON) to the last
                try, or is larger than `MAX_BODY_BYTES`, or the server can not be trusted; or *before* raised
                it.
        """
        effort, pacer = effort or Effort(), pacer or Pacer(0)
        time = asyncio.get_running_loop().time
        waiting_since, tries = time(), 0

        async def once_more() -> Response:
            nonlocal waiting_since, tries
            sent_at = await pacer.turn()
            before()
            effort.waited_s += time() - waiting_since
            effort.requests += 1
            effort.retries += tries > 0
            tries += 1
            try:
                response = await self._once(request, headers, read)
            except _RepeatableError as error:
                if error.failure.code == "query.rate-limited":
                    pacer.slow_down(sent_at)
                reason = self.concealed(error.failure.reason)
                wait = f" It asks to wait {error.wait_s:,.0f} s." if error.wait_s else ""
                _log.info("%s%s Try %d of %d.", reason, wait, tries, self.attempts)
                if error.wait_s <= MAX_WAIT_S:
                    pacer.hold(error.wait_s)
                raise
            finally:
                waiting_since = time()
                effort.latency_s = waiting_since - sent_at
            pacer.speed_up()
            return response

        try:
            return await self._persist(once_more)
        except _RepeatableError as error:
            raise error.after(tries) from None

    async def _once(self, request: Request, headers: Mapping[str, str], read: Read) -> Response:
        asked = httpx.Request(
            request.method,
            parsed(request.url),
            headers={**self._headers, **headers},
            content=request.content,
            extensions=self._extensions,
        )
        url = asked.url
        host = url.host
        time = asyncio.get_running_loop().time
        asked_at = time()
        try:
            async with asyncio.timeout(self.timeout_s * PATIENCE):
                answer = await self._sent(asked)
                async with aclosing(answer):
                    body = await _body(answer, host)
        except (httpx.TimeoutException, TimeoutError):
            raise _RepeatableError("query.timeout", f"{host} did not answer in time.", _NETWORK) from None
        except httpx.RequestError as error:
            raise _broken(error, host) from None
        response = Response(
            status=answer.status_code,
            headers={name.lower(): value for name, value in answer.headers.items()},
            body=body,
            document=_document(answer, body, host, read) if answer.status_code == 200 else None,
            clock_skew_s=self._skew_s(answer.headers.get("date", ""), time() - asked_at),
        )
        # Without the parameters: a filter may name persons, and a cursor is nobody's business.
        _log.debug("%s %s: %d, %d bytes", request.method, url.path, response.status, len(body))
        if response.status in RETRIED:
            raise _later(response, host, self._retry_after(response))
        return response

    async def _sent(self, request: httpx.Request) -> httpx.Response:
        """Send a request as it is, and return its answer without the body."""
        if isinstance(self._network, httpx.AsyncClient):
            return await self._network.send(request, stream=True)
        return await self._network.handle_async_request(request)

    def _skew_s(self, date: str, took_s: float) -> float | None:
        """Return by how much a `Date` (RFC 9110, section 6.6.1) lies outside of the time that an answer took."""
        told = _http_date(date)
        if told is None:
            return None
        ahead_s = (told - self.clock()).total_seconds()
        return 0 if -1 - took_s <= ahead_s <= 0 else ahead_s  # it has no parts of seconds

    def _retry_after(self, response: Response) -> float:
        """Return the seconds that `Retry-After` asks to wait (RFC 9110, section 10.2.3), 0 without it."""
        text = response.headers.get("retry-after", "").strip()
        if re.fullmatch(r"[0-9]{1,9}", text):
            return float(text)
        until = _http_date(text)
        if until is None:
            return 0
        # Against the server's own clock, since ours may differ from it.
        now = _http_date(response.headers.get("date", "")) or self.clock()
        return max((until - now).total_seconds(), 0)


def _by_proxy() -> httpx.AsyncClient:
    """Return what sends requests by the proxies that the environment names, except to this machine."""
    return httpx.AsyncClient(mounts={f"all://{host}": None for host in LOOPBACK}, follow_redirects=False)


_NETWORK: Final = "Check the network, HTTPS_PROXY, and api_url or the region; then try again."


def _wait(error: Exception) -> bool | float:
    """Tell stamina whether to repeat, or how many seconds to wait before."""
    if not isinstance(error, _RepeatableError) or error.wait_s > MAX_WAIT_S:
        return False
    return error.wait_s or True  # also where the server would have us at once: our own back-off is politer


async def _body(answer: httpx.Response, host: str) -> bytes:
    body = bytearray()
    async for block in answer.aiter_bytes():
        body += block
        if len(body) > MAX_BODY_BYTES:
            raise FetchError(
                "evidence.too-large",
                f"{host} sent an answer of more than {MAX_BODY_BYTES // 1024**2} MiB.",
                "Check that api_url is PingOne's.",
            )
    return bytes(body)


def _document(answer: httpx.Response, body: bytes, host: str, read: Read) -> JSON:
    """Return the JSON of an answer; None where the answer does not claim to be any."""
    content_type = answer.headers.get("content-type", "")
    try:
        return read(body)
    except ValueError as error:
        if content_type and "json" not in content_type.casefold():
            return None
        # Without a length in its header, an answer that was cut on its way shows only here.
        reason = f"{host} answered with {described(content_type)} that can not be read: {error}."
        raise _RepeatableError("query.broken", reason, _NETWORK) from None


def _later(response: Response, host: str, wait_s: float) -> _RepeatableError:
    told = quoted(response.body)
    if response.status == 429:
        return _RepeatableError(
            "query.rate-limited",
            f"{host} limits the rate of requests (status 429).{told}",
            "Ask slower with --rate, or when nothing else uses the licence's rate.",
            wait_s,
        )
    reason = f"{host} answered with status {response.status}.{told}"
    return _RepeatableError("query.failed", reason, "Try again later.", wait_s)


def _broken(error: httpx.RequestError, host: str) -> FetchError:
    """Return the failure of a request without an answer, or with a damaged one."""
    cause = _cause(error)
    why = _one_line(cause)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return FetchError(
            "query.untrusted",
            f"{host} can not be trusted: {why}.",
            "Check api_url or the region; name your own certificate authority with SSL_CERT_FILE.",
        )
    if isinstance(error, httpx.DecodingError):
        return _RepeatableError("query.broken", f"{host} sent a damaged answer: {why}.", _NETWORK)
    if isinstance(error, httpx.ConnectError | httpx.ProxyError):
        return _RepeatableError("query.unreachable", f"{host} can not be reached: {why}.", _NETWORK)
    return _RepeatableError("query.broken", f"The connection to {host} broke off: {why}.", _NETWORK)


def _cause(error: BaseException) -> BaseException:
    """Return the error that began a chain; of several addresses that were tried, that of the first."""
    earlier = error.__cause__ or error.__context__
    if isinstance(error, BaseExceptionGroup):
        earlier = error.exceptions[0]
    return error if earlier is None else _cause(earlier)


def _one_line(cause: BaseException) -> str:
    """Return what an error says, without what is only of use to programmers."""
    if isinstance(cause, ssl.SSLError):
        text = getattr(cause, "verify_message", "") or str(cause.reason).replace("_", " ").casefold()
    elif isinstance(cause, OSError) and cause.errno and cause.errno > 0:
        text = os.strerror(cause.errno)
    else:
        text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return " ".join(str(text).split()).rstrip(".")


def _http_date(text: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(text)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
