"""The other reference: producers without HTTP before them, fed with records that are ready.

`python -m bench.producer KIND LOG_URL CALLERS SECONDS RECORDS_A_CALL` prints one JSON line. KIND `log` is the
collector's own producer on either log; `aiokafka` is the client library alone, its `send` awaited record by record.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import uvloop
from aiokafka import AIOKafkaProducer

from bench.load import counted
from eventlog.connection import connection_options
from eventlog.log import Outgoing
from eventlog.opening import open_producer
from eventlog.settings import LogSettings
from eventlog.topics import EVENTS

# As large as what the collector makes of the load generator's events, with as many headers.
_VALUE = b'{"id":"%s"}' % (b"x" * 760)
_HEADERS = (
    ("ce_specversion", b"1.0"), ("content-type", b"application/json"), ("ce_id", b"bench-000000000001"),
    ("ce_source", b"bench"), ("ce_type", b"visit"), ("ce_time", b"2026-11-24T10:15:00.000Z"),
)  # fmt: skip

Append = Callable[[Sequence[Outgoing]], Awaitable[object]]


async def drive(append: Append, topic: str, callers: int, seconds: float, batch: int) -> dict[str, float]:
    """Call `append` from so many tasks, each again as soon as it has its answer."""
    started, cpu = time.perf_counter(), time.process_time()
    numbers = itertools.count()
    latencies: list[float] = []

    async def caller() -> None:
        while (begun := time.perf_counter()) < started + seconds:
            now = time.time_ns() // 1_000_000
            records = [Outgoing(topic, b"%016x" % (next(numbers) // 20), _VALUE, _HEADERS, now) for _ in range(batch)]
            await append(records)
            latencies.append(time.perf_counter() - begun)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return {**counted(latencies, time.perf_counter() - started), "cpu": time.process_time() - cpu}


async def main(kind: str, url: str, callers: int, seconds: float, batch: int) -> None:
    settings = LogSettings(data=Path("."), log=url)
    topic = EVENTS.full_name(settings.topic_prefix)
    if kind == "log":
        producer = open_producer(settings)
        await producer.start()
        found = await drive(producer.append, topic, callers, seconds, batch)
        await producer.stop()
    else:
        client = AIOKafkaProducer(
            **connection_options(settings), acks="all", enable_idempotence=True, linger_ms=2, max_batch_size=512 * 1024
        )
        await client.start()

        async def send(records: Sequence[Outgoing]) -> None:
            sent = [
                await client.send(one.topic, one.value, one.key, timestamp_ms=one.timestamp, headers=list(one.headers))
                for one in records
            ]
            await asyncio.gather(*sent)

        found = await drive(send, topic, callers, seconds, batch)
        await client.stop()
    print(json.dumps({**found, "refused": 0}))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])))
