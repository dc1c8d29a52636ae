"""Requests sent straight to a host: httpcore's pool over asyncio's own connections."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final
from urllib.request import getproxies

import httpcore
import httpx

MAX_BUFFERED: Final = 256 * 1024
"""Bytes that a server may send ahead of what is read."""

SECOND_ADDRESS_S: Final = 0.25
"""After how long the next address of a host is tried beside the first (RFC 8305, section 8)."""

KEPT_S: Final = 5.0
"""How long a connection that nobody uses is kept, as httpx does."""


def goes_by_proxy() -> bool:
    """Tell whether the environment names a proxy; which request goes there is httpx's to say."""
    return any(getproxies().get(scheme) for scheme in ("http", "https", "all"))


class Direct(httpx.AsyncBaseTransport):
    """
    The network without proxies.

    It does what `httpx.AsyncHTTPTransport` does, for half of the processor's time: that one looks after
    every connection through anyio. Certificates come from the usual variables (`SSL_CERT_FILE`,
    `SSL_CERT_DIR`), and are read when the first https address is asked.
    """

    def __init__(self) -> None:
        self._pools: dict[str, httpcore.AsyncConnectionPool] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """
        Send a request and return the answer, whose body is yet to be read.

        Raises:
            httpx.TransportError: there is none.
        """
        url = request.url
        try:
            answer = await self._pool(url.scheme).handle_async_request(
                httpcore.Request(
                    request.method,
                    httpcore.URL(
                        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        except _ERRORS as error:
            raise _translated(error) from error
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer))

    def _pool(self, scheme: str) -> httpcore.AsyncConnectionPool:
        if scheme not in self._pools:
            self._pools[scheme] = httpcore.AsyncConnectionPool(
                ssl_context=httpx.create_ssl_context() if scheme == "https" else None,
                max_connections=100,
                keepalive_expiry=KEPT_S,
                network_backend=_Asyncio(),
            )
        return self._pools[scheme]

    async def aclose(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            await pool.aclose()


_ERRORS: Final = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
)


def _translated(error: Exception) -> httpx.TransportError:
    """Return an error of httpcore as that of httpx, which has the same name."""
    named: type[httpx.TransportError] = getattr(httpx, type(error).__name__)
    return named(str(error))


class _Body(httpx.AsyncByteStream):
    """The body of an answer as it comes in."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for block in self._answer.aiter_stream():
                yield block
        except _ERRORS as error:
            raise _translated(error) from error

    async def aclose(self) -> None:
        await self._answer.aclose()


class _Asyncio(httpcore.AsyncNetworkBackend):
    """Makes connections with asyncio."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # the interface
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        loop = asyncio.get_running_loop()
        connecting = asyncio.ensure_future(
            loop.create_connection(_Stream, host, port, happy_eyeballs_delay=SECOND_ADDRESS_S)
        )
        try:
            async with asyncio.timeout(timeout):
                # Where it tries several addresses, asyncio forgets a socket that it is cancelled over.
                _, stream = await asyncio.shield(connecting)
        except asyncio.CancelledError:
            connecting.add_done_callback(_close)
            raise
        except TimeoutError as error:
            connecting.add_done_callback(_close)
            raise httpcore.ConnectTimeout from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from _first(error)
        return stream

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _close(connecting: asyncio.Future[tuple[asyncio.Transport, _Stream]]) -> None:
    """Close a connection that nobody waits for any more."""
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result()[0].abort()


def _first(error: OSError) -> OSError:
    """Return the first of several errors, one for each address of a host, which asyncio tells in one text."""
    found = None if error.errno else re.search(r"\[Errno (\d+)\] (.*?)(?:, \[|$)", str(error))
    return OSError(int(found[1]), found[2]) if found else error


class _Stream(httpcore.AsyncNetworkStream, asyncio.Protocol):
    """One connection. What comes in is kept until it is read."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._received = bytearray()
        self._over = False
        """Whether nothing more will come."""
        self._error: Exception | None = None
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    # What asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.pause_reading()  # what comes first may be for TLS

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > MAX_BUFFERED:
            self._transport.pause_reading()
        self._news.set()

    def eof_received(self) -> None:
        self._over = True
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._over, self._error = True, exc
        self._news.set()
        self._room.set()

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    # What httpcore asks

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        received = self._received
        if not received and not self._over:
            self._transport.resume_reading()
            self._news.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._news.wait()
            except TimeoutError as error:
                raise httpcore.ReadTimeout from error
        if not received and self._error is not None:
            raise httpcore.ReadError(str(self._error)) from self._error
        data = bytes(received[:max_bytes])
        del received[:max_bytes]
        if len(received) <= MAX_BUFFERED and not self._over:
            self._transport.resume_reading()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        if buffer and not self._over:
            self._transport.write(buffer)
        if not self._room.is_set():
            try:
                async with asyncio.timeout(timeout):
                    await self._room.wait()
            except TimeoutError as error:
                raise httpcore.WriteTimeout from error
        if self._over:
            raise httpcore.WriteError(str(self._error or "the connection was closed"))

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                self._transport = await loop.start_tls(
                    self._transport, self, ssl_context, server_hostname=server_hostname
                )
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error
        except OSError as error:  # of which those of TLS are
            raise httpcore.ConnectError(str(error)) from error
        return self

    async def aclose(self) -> None:
        self._transport.abort()

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # of a connection that waits: it was closed, or says what nobody asked for
            return self._over or bool(self._received)
        return self._transport.get_extra_info(info)
