"""Connections that misbehave, at a real collector: each has its answer or its end, and others are served meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.trackway.processes import collecting, config_in, stored

LIMITS = """\
limits: {body_seconds: 1}
connections: {header_seconds: 1, body_seconds: 2, answer_seconds: 1, most: 30}
"""
POST = b"POST /v1/t HTTP/1.1\r\nHost: x\r\n"
GOOD = b'{"writeKey":"sk_shop","type":"track","event":"good","userId":"u"}'
# Tenfold of what each may take by these settings.
PATIENCE = 30


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    config = config_in(tmp_path_factory.mktemp("connections"))
    config.write_text(config.read_text() + LIMITS)
    with collecting(config) as url:
        yield int(url.rsplit(":", 1)[1]), config


async def answer(port: int, at_once: bytes, slowly: bytes = b"") -> bytes:
    """What comes back until the other end closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def send() -> None:
        writer.write(at_once)
        for byte in slowly:
            await asyncio.sleep(0.05)
            writer.write(bytes([byte]))

    sending = asyncio.create_task(send())
    try:
        return await asyncio.wait_for(reader.read(-1), PATIENCE)
    except ConnectionResetError:
        return b""
    finally:
        sending.cancel()
        await asyncio.wait({sending})
        await end(writer)


async def end(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def post(body: bytes = GOOD, more: bytes = b"", closing: bool = True) -> bytes:
    close = b"Connection: close\r\n" if closing else b""
    return POST + more + close + b"Content-Length: %d\r\n\r\n" % len(body) + body


def shown(raw: bytes) -> tuple[int, str]:
    """Status and code of the last answer; zero where the connection was cut before it was read."""
    if not raw:
        return 0, ""
    status = int(raw.rpartition(b"HTTP/1.1 ")[2][:3])
    body = json.loads(raw.rpartition(b"\r\n\r\n")[2])
    return status, body.get("code", "")


CASES: list[tuple[str, bytes, bytes, tuple[int, str]]] = [
    ("headers cut short", POST, b"", (408, "slow_headers")),
    ("headers a byte at a time", POST, b"X: " + b"y" * 1000, (408, "slow_headers")),
    ("a body cut short", post()[:-5], b"", (408, "slow_body")),
    ("a body a byte at a time", post(GOOD + b" " * 1000)[:-1000], b" " * 1000, (408, "slow_body")),
    ("long headers", post(more=b"X: " + b"y" * 40_000 + b"\r\n"), b"", (431, "headers_too_large")),
    ("a long first line", b"GET /" + b"y" * 40_000 + b" HTTP/1.1\r\n\r\n", b"", (431, "headers_too_large")),
    ("many headers", post(more=b"a: b\r\n" * 300), b"", (431, "headers_too_large")),
    ("headers without end", POST + b"a: b\r\n" * 30_000, b"", (431, "headers_too_large")),
    ("no HTTP", b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"", (400, "bad_request")),
    ("a path of odd bytes", b"GET /\xff HTTP/1.1\r\n\r\n", b"", (400, "bad_request")),
    ("a length that is none", POST + b"Content-Length: x\r\n\r\n", b"", (400, "bad_request")),
    ("two lengths", POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", b"", (400, "bad_request")),
    ("a length beyond numbers", POST + b"Content-Length: 999999999999999999999\r\n\r\n", b"", (400, "bad_request")),
    ("chunks that are none", POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"", (400, "bad_request")),
    ("a length beyond the limit", POST + b"Content-Length: 99999999\r\n\r\n", b"", (413, "body_too_large")),
    ("another protocol", post(more=b"Connection: Upgrade\r\nUpgrade: websocket\r\n"), b"", (400, "invalid_json")),
]  # fmt: skip


def test_each_has_its_answer_while_good_ones_are_served(collector: tuple[int, Path]) -> None:
    port, config = collector

    async def scenario() -> tuple[list[bytes], list[bytes]]:
        bad = [asyncio.create_task(answer(port, at_once, slowly)) for _, at_once, slowly, _ in CASES]
        good = []
        while not all(task.done() for task in bad):
            good.append(await answer(port, post()))
            await asyncio.sleep(0.05)
        return [task.result() for task in bad], good

    answers, good = asyncio.run(scenario())
    for (name, _, _, expected), raw in zip(CASES, answers, strict=True):
        assert shown(raw) == expected, name
    assert [shown(raw) for raw in good] == [(200, "")] * len(good)
    accepted = [event for event in stored(config) if event["name"] == "good"]
    assert len(accepted) >= len(good)


def test_a_client_that_does_not_read_is_cut_off(collector: tuple[int, Path]) -> None:
    port, _ = collector
    # 2 bytes a message become 150 of receipt: more than the buffers between the two take, several times.
    body = b'{"writeKey":"sk_shop","batch":[' + b"1," * 4999 + b"1]}"
    request = POST.replace(b"/v1/t", b"/v1/batch") + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)

    async def scenario() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.transport.pause_reading()  # type: ignore[attr-defined]

        async def send() -> None:
            while True:
                writer.write(request)
                await writer.drain()
                await asyncio.sleep(0.05)

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(send(), PATIENCE)
        await end(writer)
        assert shown(await answer(port, post())) == (200, "")

    asyncio.run(scenario())


def test_idle_connections_make_room_and_busy_ones_do_not(collector: tuple[int, Path]) -> None:
    port, _ = collector

    async def scenario() -> None:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(60)]
        assert shown(await answer(port, post())) == (200, "")
        busy = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]
        for _, writer in busy:
            writer.write(POST)
        await asyncio.sleep(0.2)
        statuses = [shown(await answer(port, post()))[0] for _ in range(3)]
        assert set(statuses) <= {0, 503}
        for _, writer in idle + busy:
            await end(writer)
        begun = time.monotonic()
        while shown(await answer(port, post()))[0] != 200:
            assert time.monotonic() - begun < PATIENCE

    asyncio.run(scenario())


def test_requests_sent_far_ahead_are_not_all_taken_and_those_taken_are_answered(collector: tuple[int, Path]) -> None:
    port, _ = collector
    raw = asyncio.run(answer(port, post(closing=False) * 40))
    assert 1 <= raw.count(b"HTTP/1.1 200") <= 10
    assert raw.count(b'"accepted"') == raw.count(b"HTTP/1.1 200")
