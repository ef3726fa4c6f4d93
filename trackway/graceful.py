"""How an HTTP server leaves: whoever is being answered gets the answer, whoever comes late is answered too or sees the
connection closed in good order, and nobody's connection is reset.

1. Answers say `connection: close`, so that connections in use go by themselves; new ones are still taken.
2. After a short grace nothing new is accepted. What the system had accepted for us is taken along.
3. Connections nobody used meanwhile are closed on our side only, and listened to without hearing until the other side
   closes too: a request that crosses the close finds an end, which clients take for what it is, and not a reset.
4. What is in flight is served to its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from trackway.listener import accept_waiting, take_no_more

# How often it is looked whether everybody has gone; how long a connection that has begun may take to be complete.
_LOOK, _HANDSHAKE = 0.02, 0.1


class GracefulServer(uvicorn.Server):
    """uvicorn on httptools, with that farewell, and without its signal handlers: whoever sets `should_exit` decides.

    `grace`: seconds the first step, and again the third, may take while connections are open.
    """

    def __init__(self, config: uvicorn.Config, grace: float) -> None:
        super().__init__(config)
        self._grace = grace

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Requests share this list while they are answered: also the answers under way say it.
        self.server_state.default_headers.append((b"connection", b"close"))
        for connection in self._connections():
            if _is_answering(connection):
                connection.cycle.keep_alive = False
        await self._while(self._connections)
        await self._stop_listening(sockets or [])
        silent: set[_Silent] = set()
        for connection in self._idle():
            _half_close(connection, silent)
        await self._while(lambda: silent or self._new())
        for connection in self._new():
            _half_close(connection, silent)
        await super().shutdown(sockets)
        for one in list(silent):
            one.transport.abort()

    def _connections(self) -> list[HttpToolsProtocol]:
        return cast("list[HttpToolsProtocol]", list(self.server_state.connections))

    def _idle(self) -> list[HttpToolsProtocol]:
        return [one for one in self._connections() if not _is_new(one) and not _is_answering(one)]

    def _new(self) -> list[HttpToolsProtocol]:
        """Who has only just connected, and so is about to ask."""
        return [one for one in self._connections() if _is_new(one)]

    async def _while(self, any_left: Callable[[], object]) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._grace
        while any_left() and loop.time() < end:  # noqa: ASYNC110 - uvicorn tells nobody when a connection goes
            await asyncio.sleep(_LOOK)

    async def _stop_listening(self, sockets: list[socket.socket]) -> None:
        for sock in sockets:
            take_no_more(sock)
        await asyncio.sleep(_HANDSHAKE)
        waiting = [one for sock in sockets for one in accept_waiting(sock)]
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for one in waiting:
            await loop.connect_accepted_socket(self._new_protocol, one)

    def _new_protocol(self) -> HttpToolsProtocol:
        make = cast("Callable[..., HttpToolsProtocol]", self.config.http_protocol_class)
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)


class _Silent(asyncio.Protocol):
    """What hears a connection that we have closed on our side: nothing, until the other side has closed it too."""

    def __init__(self, transport: asyncio.Transport, others: set[_Silent]) -> None:
        self.transport = transport
        self._others = others
        others.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._others.discard(self)


def _is_new(connection: HttpToolsProtocol) -> bool:
    """Whether it has not asked for anything yet."""
    cycle: object = connection.cycle
    return cycle is None


def _is_answering(connection: HttpToolsProtocol) -> bool:
    return not _is_new(connection) and not connection.cycle.response_complete


def _half_close(connection: HttpToolsProtocol, silent: set[_Silent]) -> None:
    connection.connections.discard(connection)
    transport = connection.transport
    if not transport.is_closing():
        transport.set_protocol(_Silent(transport, silent))
        transport.write_eof()
