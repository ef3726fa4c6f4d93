"""A web server's front as a phone far away sees it: TLS, a long way to it, and a new connection for every request.

A process of its own (`python -m tests.tracker.slow_tls CERTIFICATE KEY PAGES`), so that its delays are its own: it
prints its port, reads the URL of the collector, and at the end of its input prints the requests it carried.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

ROUND_TRIP: Final = 0.15  # seconds
_CHUNK: Final = 65_536


@dataclass
class Front:
    """As the tests see it. `requests` (`POST /tw/e HTTP/1.1`), one a connection, are known after `close`."""

    process: subprocess.Popen[str]
    port: int
    requests: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def serve(self, collector: str) -> None:
        """From now on `/tw/…` is answered by the collector at this URL, all else by the pages."""
        assert self.process.stdin
        self.process.stdin.write(collector + "\n")
        self.process.stdin.flush()

    def close(self) -> None:
        if not self.requests:
            self.requests = self.process.communicate(timeout=30)[0].splitlines()


@contextlib.contextmanager
def slow_tls(folder: Path, pages: str) -> Iterator[Front]:
    """A front for the length of the block, with a certificate of its own for 127.0.0.1."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    named = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*made.split(), *named], check=True, capture_output=True)
    command = [sys.executable, "-m", "tests.tracker.slow_tls", str(certificate), str(key), pages]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        front = Front(process, int(process.stdout.readline()))
        try:
            yield front
        finally:
            front.close()


class Carrier:
    """What the process does."""

    def __init__(self, pages: str) -> None:
        self.pages = pages
        self.collector = ""
        self.tls_port = 0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The long way: TCP's own handshake, then half a round trip for whatever goes either way."""
        await asyncio.sleep(ROUND_TRIP)
        near_reader, near_writer = await asyncio.open_connection("127.0.0.1", self.tls_port)
        await asyncio.gather(late(reader, near_writer), late(near_reader, writer))
        near_writer.close()
        writer.close()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer, and the connection ends."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            line, *lines = head.decode("latin-1").rstrip().split("\r\n")
            length = next((int(one[15:]) for one in lines if one.lower().startswith("content-length:")), 0)
            body = await reader.readexactly(length)
            print(line, flush=True)
            given = [one for one in lines if not one.lower().startswith("connection:")]
            given += ["Connection: close", "X-Forwarded-Proto: https", "X-Forwarded-For: 127.0.0.1"]
            upstream = urlsplit(self.collector if line.split(" ")[1].startswith("/tw/") else self.pages)
            up_reader, up_writer = await asyncio.open_connection(upstream.hostname, upstream.port)
            up_writer.write("\r\n".join([line, *given, "", ""]).encode("latin-1") + body)
            writer.write(await up_reader.read(-1))
            up_writer.close()
            await writer.drain()
        writer.close()


async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes half a round trip later, at any rate, and the end after it."""
    loop = asyncio.get_running_loop()
    coming: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def read() -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                coming.put_nowait((loop.time() + ROUND_TRIP / 2, data))
        coming.put_nowait((loop.time() + ROUND_TRIP / 2, b""))

    async def write() -> None:
        while True:
            due, data = await coming.get()
            await asyncio.sleep(due - loop.time())
            if not data:
                return writer.close()
            writer.write(data)

    await asyncio.gather(read(), write())


async def main(certificate: str, key: str, pages: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.num_tickets = 0  # no session is resumed
    carrier = Carrier(pages)
    tls = await asyncio.start_server(carrier.answer, "127.0.0.1", 0, ssl=context, limit=1 << 20)
    carrier.tls_port = tls.sockets[0].getsockname()[1]
    far = await asyncio.start_server(carrier.carry, "127.0.0.1", 0)
    print(far.sockets[0].getsockname()[1], flush=True)
    carrier.collector = (await asyncio.to_thread(sys.stdin.readline)).strip()
    await asyncio.to_thread(sys.stdin.read)
    os._exit(0)  # whoever is still connected is gone too


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
