"""A load generator of its own process: N connections, one request in flight on each, events with ids of their own.

`python -m bench.load PORT CONNECTIONS SECONDS EVENTS_A_REQUEST [REQUESTS_A_SECOND]` prints one JSON line with what it
counted. Without a rate each connection sends as soon as it has its answer; with one they share it out evenly, and a
late answer counts from the moment its request was due.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from dataclasses import dataclass
from typing import cast

import uvloop

KEY = "wk_bench"
# Events of one visit as a shop sends them, about 600 bytes each; to fill in: id, visitor, milliseconds.
_EVENT = (
    '{"type":"track","event":"Product Viewed","messageId":"bench-%012d","anonymousId":"visitor-%08d",'
    '"timestamp":"TIME.%03dZ","properties":{"product_id":"SKU-1042","name":"Trail shoe","category":'
    '"25#Shoes;402#Running","brand":"Fjell","price":89.9,"currency":"EUR"},"context":{"page":{"url":'
    '"https://shop.example/p/1042","path":"/p/1042","title":"Trail shoe","referrer":"https://shop.example/c/402"},'
    '"locale":"en-GB","library":{"name":"bench","version":"1"},"userAgent":"Mozilla/5.0 (X11; Linux x86_64) '
    'AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"}}'
)


class Bodies:
    """Requests of `batch` events, no two events with the same id, twenty a visitor: as many as an eager visit has."""

    def __init__(self, batch: int) -> None:
        self._batch = batch
        self._numbers = itertools.count(time.time_ns() // 1_000_000 % 10**9 * 1000)
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        events = ",".join([_EVENT.replace("TIME", moment)] * batch)
        self._template = f'{{"writeKey":"{KEY}","sentAt":"{moment}.000Z","batch":[{events}]}}'.encode()
        self.length = len(self._template % ((0, 0, 0) * batch))

    def body(self) -> bytes:
        fill: list[int] = []
        for _ in range(self._batch):
            number = next(self._numbers)
            fill += (number % 10**12, number // 20 % 10**8, number % 1000)
        return self._template % tuple(fill)


@dataclass
class Plan:
    """What a run is asked for; `rate` in requests a second over all connections, 0 for as many as are answered."""

    connections: int
    seconds: float
    batch: int
    rate: float = 0.0


class Client(asyncio.Protocol):
    """One connection: sends the next request when the answer to the last one is whole, and it is due."""

    def __init__(self, load: Load, due: float) -> None:
        self.load = load
        self.due = due
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one only in behaviour
        self.next()

    def next(self) -> None:
        now = time.perf_counter()
        wait = self.due - now
        if now + wait >= self.load.until:
            self.transport.close()
        elif wait > 0:
            asyncio.get_running_loop().call_later(wait, self.send)
        else:
            self.send()

    def send(self) -> None:
        if not self.load.gap:
            self.due = time.perf_counter()
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
        self.load.answered(int(self.buffer[9:12]), time.perf_counter() - self.due)
        self.buffer = b""
        self.due = self.due + self.load.gap if self.load.gap else time.perf_counter()
        self.next()

    def connection_lost(self, error: Exception | None) -> None:
        self.load.closed += 1
        if self.load.closed == self.load.connections:
            self.load.done.set()


class Load:
    """The run's state and counts. `gap`: seconds between two requests of a connection."""

    def __init__(self, plan: Plan) -> None:
        self.connections = plan.connections
        self.gap = plan.connections / plan.rate if plan.rate else 0.0
        self.started = time.perf_counter()
        self.until = self.started + plan.seconds
        self.done = asyncio.Event()
        self.closed = 0
        self.statuses: dict[int, int] = {}
        self.latencies: list[float] = []
        self.bodies = Bodies(plan.batch)
        self.head = (
            f"POST /v1/batch HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Type: application/json\r\nContent-Length: {self.bodies.length}\r\n\r\n"
        ).encode()

    def client(self, number: int) -> Client:
        return Client(self, self.started + self.gap * number / self.connections)

    def request(self) -> bytes:
        return self.head + self.bodies.body()

    def answered(self, status: int, seconds: float) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.latencies.append(seconds)


def counted(latencies: list[float], elapsed: float) -> dict[str, float]:
    """What a run came to."""
    latencies.sort()
    count = len(latencies)
    return {
        "requests": count,
        "rate": count / elapsed,
        "p50_ms": latencies[count // 2] * 1000,
        "p99_ms": latencies[int(count * 0.99)] * 1000,
    }


async def main(port: int, plan: Plan) -> None:
    load = Load(plan)
    loop = asyncio.get_running_loop()
    for number in range(plan.connections):
        await loop.create_connection(lambda at=number: load.client(at), "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.wait_for(load.done.wait(), plan.seconds + 30)
    elapsed = time.perf_counter() - load.started
    refused = sum(count for status, count in load.statuses.items() if status != 200)
    print(json.dumps({**counted(load.latencies, elapsed), "refused": refused}))


if __name__ == "__main__":
    given = [float(value) for value in sys.argv[2:]]
    uvloop.run(main(int(sys.argv[1]), Plan(int(given[0]), given[1], int(given[2]), *given[3:])))
