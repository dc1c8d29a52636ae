"""The simulator on a socket: beside a test, or in the foreground."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from auditor.simulator.server import API_PATH, SeenRequest, Simulator

if TYPE_CHECKING:
    from starlette.applications import Starlette

_START_S = 30


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


class _Protocol(H11Protocol):
    """HTTP/1.1 that hands the application its socket, so that it can reset the connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # asyncio does this only for sockets that were made with a protocol number, which those of
        # `socket.create_server` are not: each answer would wait 40 ms for an acknowledgement.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.app_state = {**self.app_state, "transport": transport}


class _Server(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, app: Starlette, started: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_Protocol,
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                date_header=False,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._started()


@contextmanager
def serve(app: Starlette) -> Iterator[Running]:
    """
    Serve an application of `create_app` on a free loopback port while the block runs.

    Raises:
        RuntimeError: the server did not start.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    listening = threading.Event()
    server = _Server(app, listening.set)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listener]}, name="simulator", daemon=True
    )
    running = _running(app, listener)
    thread.start()
    try:
        if not listening.wait(_START_S):
            raise RuntimeError(f"the simulator did not start within {_START_S} s")
        yield running
    finally:
        server.should_exit = server.force_exit = True
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
    with socket.create_server((host, port), family=family) as listener:
        running = _running(app, listener)
        server = _Server(app, lambda: started(running) if started else None)
        with suppress(KeyboardInterrupt):  # raised again by the server after it has shut down
            server.run(sockets=[listener])


def _running(app: Starlette, listener: socket.socket) -> Running:
    host, port = listener.getsockname()[:2]
    origin = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    simulator: Simulator = app.state.simulator
    return Running(f"{origin}{API_PATH}", origin, simulator.seen)
