"""How a server leaves: what its clients see."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
from starlette.types import Receive, Scope, Send

from trackway.serving import bind, serve

REQUEST = b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 0\r\n\r\n"
# The grace is a tenth of this.
DRAIN = 10.0


class Server:
    """Serves an app that answers what it is asked once `go` is set."""

    def __init__(self) -> None:
        self.go, self.stop = asyncio.Event(), asyncio.Event()
        self.asked, self.is_asked = 0, asyncio.Condition()
        self.sock = bind("127.0.0.1:0")
        self.address = self.sock.getsockname()
        self.serving = asyncio.create_task(serve(self, self.sock, self.stop, DRAIN))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self.is_asked:
            self.asked += 1
            self.is_asked.notify_all()
        await self.go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.address)

    async def asked_for(self, count: int) -> None:
        async with asyncio.timeout(30), self.is_asked:
            await self.is_asked.wait_for(lambda: self.asked >= count)


async def answer(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def test_requests_in_flight_and_those_that_come_late_are_answered_and_told_to_go() -> None:
    async def scenario() -> None:
        server = Server()
        first, second = await server.connect(), await server.connect()
        first[1].write(REQUEST)
        await server.asked_for(1)
        server.stop.set()
        await asyncio.sleep(DRAIN / 30)
        # One that was open, and one that only comes now.
        late = await server.connect()
        for _, writer in (second, late):
            writer.write(REQUEST)
        await server.asked_for(3)
        server.go.set()
        for reader, writer in (first, second, late):
            assert b"connection: close" in await answer(reader)
            assert await reader.read() == b""
            writer.close()
        await server.serving
        with pytest.raises(ConnectionRefusedError):
            await server.connect()

    asyncio.run(scenario())


def test_an_idle_connection_sees_an_end_and_never_a_reset() -> None:
    async def scenario() -> None:
        server = Server()
        server.go.set()
        loop = asyncio.get_running_loop()
        # Without streams: they close a connection as soon as the other side has, and this client does not look.
        with socket.socket() as client:
            client.setblocking(False)
            await loop.sock_connect(client, server.address)
            await loop.sock_sendall(client, REQUEST)
            assert b"connection: close" not in await loop.sock_recv(client, 1000)
            begun = time.monotonic()
            server.stop.set()
            assert await loop.sock_recv(client, 1000) == b""
            # After a reset the second of these would fail.
            for _ in range(2):
                await loop.sock_sendall(client, REQUEST)
                await asyncio.sleep(0.1)
            assert await loop.sock_recv(client, 1000) == b""
        assert server.asked == 1, "nobody would have got the answer"
        await server.serving
        assert time.monotonic() - begun < DRAIN

    asyncio.run(scenario())


def test_with_nobody_there_it_leaves_at_once() -> None:
    async def scenario() -> None:
        server = Server()
        await asyncio.sleep(0.3)
        begun = time.monotonic()
        server.stop.set()
        await server.serving
        assert time.monotonic() - begun < DRAIN / 10

    asyncio.run(scenario())
