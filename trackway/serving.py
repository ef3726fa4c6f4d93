"""HTTP listeners and stopping: uvicorn on one event loop with our own signals and drain time."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from typing import cast

import uvicorn
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trackway.connections import Connections
from trackway.graceful import GracefulServer
from trackway.limits import ConnectionLimits
from trackway.listener import take_again

# Of the drain time: what is left for flushing the log once the last request is answered, and the farewell's grace.
_FLUSH_SHARE, _GRACE_SHARE, _MOST_GRACE = 1 / 3, 1 / 10, 1.0


Rule = tuple[Callable[[str], bool], ASGIApp]


class Dispatch:
    """Sends a request to the app of the first rule that its path fits; everything else to `default`."""

    def __init__(self, default: ASGIApp, *rules: Rule) -> None:
        self.default = default
        self.rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        app = next((app for fits, app in self.rules if fits(path)), self.default)
        await app(scope, receive, send)


def segments(*names: str) -> Callable[[str], bool]:
    """Fits the paths whose first segment is one of `names`."""
    return lambda path: path[1:].partition("/")[0] in names


class WithHeaders:
    """Adds headers to every answer of an app; what an answer says itself stays."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str]) -> None:
        self.app = app
        self.headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    said.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers)


def split_address(listen: str) -> tuple[str, int]:
    """`127.0.0.1:8080` or `[::1]:8080` as host and port. Raises ValueError."""
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdigit():
        raise ValueError(f"{listen!r} is no address; write host:port, such as 127.0.0.1:8080")
    return host.strip("[]"), int(port)


def bind(listen: str, *, shared: bool = False) -> socket.socket:
    """A listening socket, bound before anything else starts, so that a taken port is known at once. `shared`: others
    that are shared too may listen on the same port, and the kernel spreads connections over them."""
    host, port = split_address(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((host, port))
        # From here on who connects waits instead of being refused, also before the server takes over.
        sock.listen(2048)
    except OSError:
        sock.close()
        raise
    return sock


def address_of(sock: socket.socket) -> str:
    """`host:port` as bound; port 0 has become a real one."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def serve(
    app: ASGIApp, sock: socket.socket, stop: asyncio.Event, drain_time: float, limits: ConnectionLimits | None = None
) -> None:
    """Serve `app` until `stop` is set; then finish what is in flight, for at most two thirds of `drain_time` seconds:
    the last third belongs to what has to be stored after that."""
    connections = Connections(limits or ConnectionLimits())
    grace = min(_MOST_GRACE, drain_time * _GRACE_SHARE)
    config = uvicorn.Config(
        app,
        loop="none",
        http=cast(type[asyncio.Protocol], connections.protocol),
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=max(1, int(drain_time * (1 - _FLUSH_SHARE) - 2 * grace)),
        # A browser's tab may stay a while between two batches; a new connection costs it two round trips.
        timeout_keep_alive=connections.limits.idle_seconds,
    )
    server = GracefulServer(config, grace)
    # One that is shared may have been left by a process that had stopped taking connections.
    take_again(sock)
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    stopped = asyncio.create_task(stop.wait())
    sweeping = asyncio.create_task(connections.sweep())
    await asyncio.wait({serving, stopped, sweeping}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    stopped.cancel()
    sweeping.cancel()
    await serving
    if not stop.is_set():
        raise RuntimeError("the HTTP server ended by itself")


@contextlib.asynccontextmanager
async def stopping() -> AsyncIterator[asyncio.Event]:
    """An event that TERM and INT set. A second INT ends the process at once."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            loop.remove_signal_handler(signal.SIGINT)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
