"""The simulator on a socket: beside a test, or in the foreground."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from auditor.simulator.server import API_PATH, SeenRequest, Simulator

if TYPE_CHECKING:
    from starlette.applications import Starlette

_START_S: Final = 30


@dataclass(frozen=True, slots=True)
class Running:
    """
    A simulator that listens.

    `api_url` is what environments stand below, `auth_url` what the token endpoint stands below. `requests`
    are all that arrived so far, in order; it grows while the simulator runs.
    """

    api_url: str
    auth_url: str
    requests: list[SeenRequest]


@contextmanager
def serve(app: Starlette, port: int = 0) -> Iterator[Running]:
    """
    Serve an application of `create_app` on a loopback port, a free one by itself, while the block runs.

    Afterwards every connection is closed, also those that are still waiting for an answer.

    Raises:
        OSError: the port is taken.
        TimeoutError: the server did not start.
    """
    listener = socket.create_server(("127.0.0.1", port))
    running = _running(app, listener)
    started: Future[Callable[[], object]] = Future()
    thread = Thread(
        target=lambda: asyncio.run(_listen(app, listener, started.set_result)), name="simulator", daemon=True
    )
    thread.start()
    stop = started.result(_START_S)
    try:
        yield running
    finally:
        stop()
        thread.join()


def run(app: Starlette, host: str, port: int, started: Callable[[Running], None] | None = None) -> None:
    """
    Serve an application of `create_app` until it is interrupted.

    `started` is called when it listens; with port 0 it is the way to learn the port. Requests are not kept.

    Raises:
        OSError: the address can not be listened on.
    """
    simulator: Simulator = app.state.simulator
    simulator.recording = False
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family)
    running = _running(app, listener)
    with suppress(KeyboardInterrupt):
        asyncio.run(_listen(app, listener, lambda _: started(running) if started else None))


def _running(app: Starlette, listener: socket.socket) -> Running:
    host, port = listener.getsockname()[:2]
    origin = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    simulator: Simulator = app.state.simulator
    return Running(f"{origin}{API_PATH}", origin, simulator.seen)


class _Protocol(H11Protocol):
    """HTTP/1.1 that hands the application its connection, so that it can reset it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # asyncio does this only for sockets that were made with a protocol number, which those of
        # `socket.create_server` are not: each answer would wait 40 ms for an acknowledgement.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.app_state = {**self.app_state, "transport": transport}


async def _listen(
    app: Starlette, listener: socket.socket, started: Callable[[Callable[[], object]], None]
) -> None:
    """
    Serve until stopped or cancelled; `started` is given a function that stops it from any thread.

    The protocol is uvicorn's. Its server is made for one process with signals and a graceful end, which takes
    a fifth of a second and waits for stalled answers: too long for something that every test starts.
    """
    config = uvicorn.Config(
        app,
        ws="none",
        lifespan="off",
        proxy_headers=False,
        log_config=None,
        log_level="critical",
        access_log=False,
    )
    config.load()
    state, stopped, loop = ServerState(), asyncio.Event(), asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: _Protocol(config=config, server_state=state, app_state={}), sock=listener
    )
    started(lambda: loop.call_soon_threadsafe(stopped.set))
    try:
        await stopped.wait()
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        for task in state.tasks:
            task.cancel()
        await asyncio.gather(*state.tasks, return_exceptions=True)
        await server.wait_closed()
