"""HTTP: one connection pool, bounded answers, and repetition where it can help."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Final, Self

import httpx
import stamina
from stamina.instrumentation import set_on_retry_hooks

from auditor.fetcher.failures import FetchError

RETRIED: Final = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses worth repeating (PingOne "Retries: Best practice for managing transient API errors")."""

MAX_BODY_BYTES: Final = 64 * 1024 * 1024
"""Largest answer after decompression; a page of 1,000 events has some two megabytes."""

MAX_WAIT_S: Final = 300.0
"""Longest wait that a `Retry-After` is granted; published clients cap it there too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer as received."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

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


class _Transient(Exception):  # noqa: N818  # never leaves this module
    def __init__(self, failure: FetchError, wait_s: float | None) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.wait_s = wait_s


@dataclass(slots=True)
class Session:
    """
    Sends requests and repeats them where a repetition can help.

    Redirects are never followed and TLS is always verified. Proxies and extra certificates come from the
    usual environment variables (`HTTPS_PROXY`, `SSL_CERT_FILE`).
    """

    clock: Callable[[], datetime]
    user_agent: str
    transport: httpx.AsyncBaseTransport | None = None
    attempts: int = 6
    first_wait_s: float = 0.5
    timeout_s: float = 60
    _client: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        set_on_retry_hooks(())  # the program reports its retries itself
        self._client = httpx.AsyncClient(
            transport=self.transport,
            follow_redirects=False,
            timeout=httpx.Timeout(self.timeout_s, connect=10),
            headers={"User-Agent": self.user_agent, "Accept-Encoding": "gzip"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None = None,
        effort: Effort | None = None,
        pace: Callable[[], Awaitable[None]] | None = None,
    ) -> Response:
        """
        Send one request until it has an answer that a repetition would not change.

        *pace* is awaited before every try, so that repetitions keep the rate limit too.

        Raises:
            FetchError: the answer stayed transient (429, 5xx, a broken connection) to the last attempt, or
                is larger than `MAX_BODY_BYTES`.
        """
        effort = effort or Effort()
        try:
            async for attempt in stamina.retry_context(
                on=_wait,
                attempts=self.attempts,
                timeout=None,
                wait_initial=self.first_wait_s,
                wait_max=30,
                wait_jitter=self.first_wait_s,
            ):
                with attempt:
                    if pace is not None:
                        await pace()
                    effort.requests += 1
                    effort.retries += attempt.num > 1
                    try:
                        return await self._once(method, url, headers, content)
                    except _Transient as transient:
                        effort.waited_s += transient.wait_s or attempt.next_wait
                        raise
        except _Transient as transient:
            failure = transient.failure.failure
            tries = (
                f" ({self.attempts} tries)"
                if transient.wait_s is None or transient.wait_s <= MAX_WAIT_S
                else ""
            )
            raise FetchError(failure.code, f"{failure.reason}{tries}", failure.help) from None
        raise AssertionError("the loop above returns or raises")

    async def _once(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None
    ) -> Response:
        host = httpx.URL(url).host
        try:
            async with self._client.stream(method, url, headers=dict(headers), content=content) as answer:
                body = bytearray()
                async for block in answer.aiter_bytes():
                    body += block
                    if len(body) > MAX_BODY_BYTES:
                        raise FetchError(
                            "evidence.too-large",
                            f"{host} sent an answer of more than {MAX_BODY_BYTES // 1024**2} MiB.",
                            "Check that api_url is PingOne's.",
                        )
        except httpx.TimeoutException:
            raise _Transient(
                FetchError("query.timeout", f"{host} did not answer in time.", _NETWORK), None
            ) from None
        except httpx.DecodingError as error:
            raise _Transient(
                FetchError("query.broken", f"{host} sent a damaged answer: {error}.", _NETWORK), None
            ) from None
        except httpx.TransportError as error:
            raise _Transient(
                FetchError("query.unreachable", f"{host} can not be reached: {_reason(error)}.", _NETWORK),
                None,
            ) from None
        response = Response(
            status=answer.status_code,
            headers={name.lower(): value for name, value in answer.headers.items()},
            body=bytes(body),
        )
        if response.status in RETRIED:
            raise _Transient(_exhausted(host, response), self._retry_after(response))
        return response

    def _retry_after(self, response: Response) -> float | None:
        """Return the seconds that `Retry-After` asks to wait (RFC 9110, section 10.2.3)."""
        text = response.headers.get("retry-after", "").strip()
        if re.fullmatch(r"[0-9]{1,9}", text):
            return float(text)
        until = _http_date(text)
        if until is None:
            return None
        # Against the server's own clock, since ours may differ from it.
        now = _http_date(response.headers.get("date", "")) or self.clock()
        return max((until - now).total_seconds(), 0.0)


_NETWORK: Final = "Check the network, HTTPS_PROXY, and api_url or the region; then try again."


def _wait(error: Exception) -> bool | float:
    """Tell stamina whether to repeat, or how many seconds to wait before."""
    if not isinstance(error, _Transient):
        return False
    if error.wait_s is None:
        return True
    return False if error.wait_s > MAX_WAIT_S else error.wait_s


def _exhausted(host: str, response: Response) -> FetchError:
    if response.status == 429:
        after = response.headers.get("retry-after")
        hint = f" (Retry-After: {after})" if after else ""
        return FetchError(
            "query.rate-limited",
            f"{host} limits the rate of requests: status 429{hint}.",
            "Ask slower with --rate, or when nothing else uses the licence's rate.",
        )
    return FetchError("query.failed", f"{host} answered with status {response.status}.", "Try again later.")


def _http_date(text: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(text)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _reason(error: httpx.TransportError) -> str:
    """Return why a connection failed, on one line, without what is only of use to programmers."""
    cause: BaseException = error
    while cause.__cause__ is not None or cause.__context__ is not None:
        cause = cause.__cause__ or cause.__context__ or cause
    text = str(cause) or str(error) or type(error).__name__
    return " ".join(re.sub(r"^\[Errno -?\d+\] ", "", text).split()).rstrip(".")
