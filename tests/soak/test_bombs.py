"""Bombs and slow clients at a real collector: memory stays below 200 MB, good requests are answered meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import brotli
import psutil
import pytest

from collector.decompress import ENCODINGS
from tests.soak.malformed import Request
from tests.soak.plain_http import Connection
from tests.trackway.processes import config_in, running

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MOST_MEMORY: Final = 200_000_000
MEBIBYTE: Final = 1024 * 1024
BODY: Final = 6 * MEBIBYTE
POST: Final = b"POST /v1/batch HTTP/1.1\r\nHost: x\r\n"
HEAD: Final = b'{"writeKey":"sk_shop","batch":['
GOOD: Final = Request(b"POST", b"/v1/t", [], b'{"writeKey":"sk_shop","type":"track","event":"good","userId":"u"}')
# A receipt of a rejected message is a hundred times as long as the message.
UNREAD: Final = HEAD + b"1," * 4999 + b"1]}"
PATIENCE: Final = 120.0


class Watched:
    """A collector under attack: the memory it has at most (as the kernel counts it), and good requests meanwhile."""

    def __init__(self, port: int, process: psutil.Process) -> None:
        self.port = port
        self._process = process
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.statuses: list[int] = []
        self.slowest = 0.0

    def peak(self) -> int:
        """Bytes resident at most, since its start."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    @contextlib.contextmanager
    def asked_meanwhile(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join(PATIENCE)

    def _ask(self) -> None:
        connection = Connection(self.port)
        while not self._stop.wait(0.02):
            begun = time.monotonic()
            self.statuses.append(connection.ask(GOOD)[0])
            self.slowest = max(self.slowest, time.monotonic() - begun)
        connection.close()

    def check(self, what: str) -> None:
        memory, asked = self.peak() / 1e6, len(self.statuses)
        print(f"\n{what}: {memory:.0f} MB at most; {asked} good ones, {self.slowest:.2f} s at most")
        assert self.peak() < MOST_MEMORY
        assert self.statuses
        assert set(self.statuses) == {200}


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Watched]:
    config = config_in(tmp_path)
    # The machine may be busy, with this too: an append is not to be refused for that.
    config.write_text(config.read_text() + "append_deadline: 60\n")
    with running("collect", config) as url:
        (process,) = (one for one in psutil.Process().children(recursive=True) if str(config) in one.cmdline())
        yield Watched(int(url.rsplit(":", 1)[1]), process)


def compressed(name: str, size: int) -> bytes:
    """So many bytes of blanks behind the beginning of a batch."""
    blanks = bytes(MEBIBYTE).replace(b"\0", b" ")
    plain = [HEAD, *([blanks] * (size // MEBIBYTE))]
    if name == "br":
        brotlied = brotli.Compressor(quality=5)
        return b"".join([*(brotlied.process(part) for part in plain), brotlied.finish()])
    if name == "zstd":
        zstded = zstd.ZstdCompressor(3)
        return b"".join([*(zstded.compress(part) for part in plain), zstded.flush()])
    deflated = zlib.compressobj(6, wbits=31 if name == "gzip" else 15)
    return b"".join([*(deflated.compress(part) for part in plain), deflated.flush()])


def filled(pattern: bytes) -> bytes:
    return HEAD + pattern * ((BODY - 100) // len(pattern)) + b"1]}"


SHAPES: Final = {
    "empty lists": filled(b"[],"), "empty objects": filled(b"{},"), "small objects": filled(b'{"a":1},'),
    "lists of one": filled(b"[0],"), "numbers": filled(b"1,"), "texts": filled(b'"ab",'), "floats": filled(b"1.5,"),
    "brackets": b"[" * (BODY - 1), "braces": b'{"a":' * (BODY // 5), "a long number": filled(b"9" * 1000),
    "a long text": HEAD + b'"' + b"\\ud800" * (BODY // 6 - 100) + b'"]}',
    "nested to the limit": filled(b"[" * 60 + b"]" * 60 + b","),
    "events without end": filled(b'{"type":"page"},'), "as many as allowed": HEAD + b'{"type":"page"},' * 4999 + b"1]}",
    "keys": HEAD + b"{" + b",".join(b'"k%d":1' % number for number in range(380_000)) + b"}]}",
    "values up to the limit": HEAD + b'{"a":1},' * 4000 + b'{"a":%s}]}' % (b"[" + b'{"a":1},' * 180_000 + b"1]"),
    "one wide event": HEAD + b'{"type":"track","event":"x","properties":{"a":[' + b"{}," * 190_000 + b"{}]}}]}",
}  # fmt: skip


def test_some_bombs(collector: Watched) -> None:
    under_bombs(collector, 100 * MEBIBYTE, [])


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_bombs(collector: Watched) -> None:
    packed = [(f"{name}, gzip", [b"Content-Encoding: gzip"], gzip.compress(body, 1)) for name, body in SHAPES.items()]
    under_bombs(collector, 1024 * MEBIBYTE, packed)


def under_bombs(collector: Watched, size: int, more: list[tuple[str, list[bytes], bytes]]) -> None:
    bombs = [(name, [b"Content-Encoding: " + name.encode()], compressed(name, size)) for name in ENCODINGS]
    bombs += [(name, [], body) for name, body in SHAPES.items()] + more
    found = {}
    with collector.asked_meanwhile():
        connection = Connection(collector.port)
        for name, headers, body in bombs:
            found[name], _ = connection.ask(Request(b"POST", b"/v1/batch", headers, body))
        connection.close()
    collector.check("bombs")
    assert {found[name] for name in ENCODINGS} == {413}
    assert {name: status for name, status in found.items() if status not in (200, 400, 413)} == {}
    assert {found[name] for name in ("as many as allowed", "keys", "one wide event")} == {200}


# --- Slow clients, 500 at once ----------------------------------------------------------------------------------------


async def opened(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port, limit=1024)


async def ended(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def slow_headers(port: int, number: int, until: float) -> None:
    _, writer = await opened(port)
    with contextlib.suppress(OSError):
        writer.write(POST + b"a: b\r\n" * (number % 180))
        while time.monotonic() < until and not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(1)
    await ended(writer)


async def slow_body(port: int, number: int, until: float) -> None:
    """Nearly all of 6 MiB at once, then a byte a second."""
    _, writer = await opened(port)
    with contextlib.suppress(OSError):
        writer.write(POST + b"Content-Length: %d\r\n\r\n" % BODY)
        part = b"x" * 65_536
        for _ in range(90):
            writer.write(part)
            await writer.drain()
        while time.monotonic() < until and not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(1)
    await ended(writer)


async def small_parts(port: int, number: int, until: float) -> None:
    """Chunks of one byte each, as fast as they go."""
    _, writer = await opened(port)
    with contextlib.suppress(OSError):
        writer.write(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        while time.monotonic() < until and not writer.is_closing():
            writer.write(b"1\r\nx\r\n" * 200)
            await writer.drain()
            await asyncio.sleep(0.2)
    await ended(writer)


async def unread_answers(port: int, number: int, until: float) -> None:
    _, writer = await opened(port)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    request = POST + b"Content-Length: %d\r\n\r\n%s" % (len(UNREAD), UNREAD)
    with contextlib.suppress(OSError):
        while time.monotonic() < until and not writer.is_closing():
            writer.write(request)
            await writer.drain()
            await asyncio.sleep(2)
    await ended(writer)


async def sent_ahead(port: int, number: int, until: float) -> None:
    """As many requests as fit, and no answer read."""
    _, writer = await opened(port)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    with contextlib.suppress(OSError):
        while time.monotonic() < until and not writer.is_closing():
            writer.write(b"GET /tw/t.js HTTP/1.1\r\n\r\n" * 1000)
            await writer.drain()
            await asyncio.sleep(1)
    await ended(writer)


KINDS: Final = {one.__name__: one for one in (slow_headers, slow_body, small_parts, unread_answers, sent_ahead)}


def attack(port: int, kind: str, clients: int, seconds: float) -> None:
    """Run by `python -m tests.soak.test_bombs`, so that the collector has a core to itself."""

    async def all_of_them() -> None:
        until = time.monotonic() + seconds
        await asyncio.gather(*(KINDS[kind](port, number, until) for number in range(clients)))

    asyncio.run(all_of_them())


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", KINDS)
def test_five_hundred_slow_clients(collector: Watched, kind: str) -> None:
    # Longer than the time that a body, and an answer, may take.
    under_attack(collector, kind, 500, 40 if kind in ("slow_body", "unread_answers") else 20)


def test_some_that_do_not_read_their_answers(collector: Watched) -> None:
    under_attack(collector, "unread_answers", 60, 3)


def under_attack(collector: Watched, kind: str, clients: int, seconds: float) -> None:
    command = [sys.executable, "-m", "tests.soak.test_bombs", str(collector.port), kind, str(clients), str(seconds)]
    with collector.asked_meanwhile():
        subprocess.run(command, check=True, timeout=seconds + PATIENCE)
    collector.check(f"{clients} x {kind}")


if __name__ == "__main__":
    attack(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
