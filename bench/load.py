"""A load generator of its own process: N connections, one request in flight on each, events with ids of their own.

`python -m bench.load PORT CONNECTIONS SECONDS EVENTS_A_REQUEST` prints one JSON line with what it counted.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from typing import cast

import uvloop

KEY = "wk_bench"
# Events of one visit as a shop sends them, about 600 bytes each: %d are the visitor and the event's number.
_EVENT = (
    '{"type":"track","event":"Product Viewed","messageId":"bench-%012d","anonymousId":"visitor-%08d",'
    '"timestamp":"TIME","properties":{"product_id":"SKU-1042","name":"Trail shoe","category":"25#Shoes;402#Running",'
    '"brand":"Fjell","price":89.9,"currency":"EUR"},"context":{"page":{"url":"https://shop.example/p/1042",'
    '"path":"/p/1042","title":"Trail shoe","referrer":"https://shop.example/c/402"},"locale":"en-GB",'
    '"library":{"name":"bench","version":"1"},"userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 '
    '(KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"}}'
)


class Client(asyncio.Protocol):
    """One connection: sends the next request when the answer to the last one is whole."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.buffer = b""
        self.sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one only in behaviour
        self.next()

    def next(self) -> None:
        self.sent_at = time.perf_counter()
        self.transport.write(self.load.request())

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        lower = self.buffer[:head].lower()
        at = lower.find(b"content-length:")
        length = int(lower[at + 15 :].split(b"\r\n", 1)[0])
        if len(self.buffer) < head + 4 + length:
            return
        self.load.answered(int(self.buffer[9:12]), time.perf_counter() - self.sent_at)
        self.buffer = b""
        if time.perf_counter() < self.load.until:
            self.next()
        else:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.load.closed += 1
        if self.load.closed == self.load.connections:
            self.load.done.set()


class Load:
    """The run's state and counts."""

    def __init__(self, connections: int, seconds: float, batch: int) -> None:
        self.connections, self.batch = connections, batch
        self.until = time.perf_counter() + seconds
        self.numbers = itertools.count(time.time_ns() // 1_000_000 % 10**9 * 1000)
        self.done = asyncio.Event()
        self.closed = 0
        self.statuses: dict[int, int] = {}
        self.latencies: list[float] = []
        moment = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        event = _EVENT.replace("TIME", moment)
        one = f'{{"writeKey":"{KEY}","sentAt":"{moment}","batch":[{",".join([event] * batch)}]}}'
        self.template = one.encode()
        length = len(self.template % ((0, 0) * batch))
        self.head = (
            f"POST /v1/batch HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        ).encode()

    def request(self) -> bytes:
        fill: list[int] = []
        for _ in range(self.batch):
            number = next(self.numbers)
            # Twenty events a visitor: as many as an eager visit has.
            fill += (number % 10**12, number // 20 % 10**8)
        return self.head + self.template % tuple(fill)

    def answered(self, status: int, seconds: float) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.latencies.append(seconds)


async def main(port: int, connections: int, seconds: float, batch: int) -> None:
    load = Load(connections, seconds, batch)
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: Client(load), "127.0.0.1", port)
    await asyncio.wait_for(load.done.wait(), seconds + 30)
    elapsed = time.perf_counter() - started
    load.latencies.sort()
    count = len(load.latencies)
    print(
        json.dumps(
            {
                "requests": count,
                "seconds": elapsed,
                "rate": count / elapsed,
                "events_rate": count * batch / elapsed,
                "p50_ms": load.latencies[count // 2] * 1000,
                "p99_ms": load.latencies[int(count * 0.99)] * 1000,
                "statuses": load.statuses,
            }
        )
    )


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
