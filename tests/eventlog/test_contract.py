"""What any event log promises, tried on both implementations."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from eventlog.errors import RecordTooLarge, Unavailable
from eventlog.log import Consumer, Outgoing, Partition, Position, Producer, Record
from eventlog.opening import open_consumer, open_producer
from eventlog.provision import provision
from eventlog.settings import LogSettings
from eventlog.topics import MAX_MESSAGE_BYTES
from tests.appending import append_all
from tests.services import Kafka

TOPIC = "events.v1"
HEADERS = (("ce_id", b"1"), ("content-type", b"application/json"))


@pytest.fixture(params=["embedded", "kafka"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LogSettings]:
    if request.param == "embedded":
        yield LogSettings(data=tmp_path)
        return
    kafka: Kafka = request.getfixturevalue("kafka")
    made = LogSettings(data=tmp_path, log=kafka.url, topic_prefix=f"{tmp_path.name}-{os.getpid()}.", append_deadline=5)
    findings = asyncio.run(provision(made, apply=True))
    assert [finding.level for finding in findings if finding.level == "fail"] == []
    yield made


def outgoing(settings: LogSettings, key: str, value: str | bytes, at: int = 1_795_000_000_000) -> Outgoing:
    body = value.encode() if isinstance(value, str) else value
    return Outgoing(settings.topic_prefix + TOPIC, key.encode(), body, HEADERS, at)


async def started(settings: LogSettings) -> Producer:
    producer = open_producer(settings)
    await producer.start()
    # A topic made a moment ago may have no leader yet.
    for _ in range(20):
        try:
            await producer.append([outgoing(settings, "first", "first")])
            return producer
        except Unavailable:
            await asyncio.sleep(0.2)
    raise AssertionError("the log never took a record")


async def read(consumer: Consumer, count: int) -> list[Record]:
    records: list[Record] = []
    async with asyncio.timeout(30):
        while len(records) < count:
            records += await consumer.poll(1000, 1.0)
    return records


def test_records_come_back_as_they_were_and_in_order_of_their_key(settings: LogSettings) -> None:
    async def scenario() -> None:
        producer = await started(settings)
        sent: dict[Position, Outgoing] = {}
        for number in range(20):
            batch = [
                outgoing(settings, f"visitor-{key}", f"{key}:{number}", 1_795_000_000_000 + number) for key in range(5)
            ]
            for position, record in zip(await append_all(producer, batch), batch, strict=True):
                sent[position] = record
        assert len(sent) == 100
        consumer = open_consumer(settings, [settings.topic_prefix + TOPIC])
        await consumer.start()
        records = [record for record in await read(consumer, 101) if record.key != b"first"]
        for got in records:
            there = sent[Position(got.partition, got.offset)]
            assert (got.key, got.value, got.headers, got.timestamp) == (
                there.key,
                there.value,
                there.headers,
                there.timestamp,
            )
        for key in range(5):
            mine = [got.value for got in records if got.key == f"visitor-{key}".encode()]
            assert mine == [f"{key}:{number}".encode() for number in range(20)]
        bounds = await consumer.bounds()
        assert sum(held.next - held.first for held in bounds.values()) == 101
        await consumer.stop()
        await producer.stop()

    asyncio.run(scenario())


def test_reading_can_begin_anywhere_the_log_reaches_and_nowhere_else(settings: LogSettings) -> None:
    async def scenario() -> None:
        producer = await started(settings)
        records = [outgoing(settings, "one", str(number), 1_795_000_000_000 + number) for number in range(10)]
        positions = await append_all(producer, records)
        partition = positions[0].partition
        consumer = open_consumer(settings, [settings.topic_prefix + TOPIC])
        await consumer.start()
        await read(consumer, 11)
        await consumer.seek(partition, positions[7].offset)
        assert [record.value for record in await read(consumer, 3)] == [b"7", b"8", b"9"]
        assert (await consumer.offsets_at(1_795_000_000_004))[partition] == positions[4].offset
        assert (await consumer.offsets_at(1_895_000_000_000))[partition] == positions[9].offset + 1
        await consumer.seek(partition, positions[9].offset + 1)
        assert await consumer.poll(10, 0.3) == []
        for wrong in (-1, positions[9].offset + 2):
            with pytest.raises(ValueError, match="outside"):
                await consumer.seek(partition, wrong)
        await consumer.stop()
        await producer.stop()

    asyncio.run(scenario())


def test_a_record_at_the_limit_is_kept_and_one_over_it_takes_nothing_with_it(settings: LogSettings) -> None:
    async def scenario() -> None:
        producer = await started(settings)
        room = MAX_MESSAGE_BYTES - 128 - len("k") - sum(len(name) + len(value) + 8 for name, value in HEADERS)
        (position,) = await append_all(producer, [outgoing(settings, "k", b"x" * room)])
        with pytest.raises(RecordTooLarge):
            await producer.append([outgoing(settings, "k", "small"), outgoing(settings, "k", b"x" * (room + 1))])
        consumer = open_consumer(settings, [settings.topic_prefix + TOPIC])
        await consumer.start()
        assert (await consumer.bounds())[position.partition].next == position.offset + 1
        await consumer.stop()
        await producer.stop()

    asyncio.run(scenario())


def test_a_group_resumes_where_its_owner_says(settings: LogSettings) -> None:
    async def scenario() -> None:
        producer = await started(settings)
        positions = await append_all(producer, [outgoing(settings, "one", str(number)) for number in range(6)])
        partition = positions[0].partition
        seen: list[frozenset[Partition]] = []

        def resume(at: Mapping[Partition, int]) -> Callable[[frozenset[Partition]], Awaitable[Mapping[Partition, int]]]:
            async def assigned(partitions: frozenset[Partition]) -> Mapping[Partition, int]:
                seen.append(partitions)
                return {one: offset for one, offset in at.items() if one in partitions}

            return assigned

        for start in (positions[0].offset, positions[4].offset):
            consumer = open_consumer(settings, [settings.topic_prefix + TOPIC], "group", resume({partition: start}))
            await consumer.start()
            expected = [b"%d" % number for number in range(start - positions[0].offset, 6)]
            records: list[Record] = []
            async with asyncio.timeout(30):
                while len(records) < len(expected):
                    records += [one for one in await consumer.poll(100, 1.0) if one.key == b"one"]
            assert [record.value for record in records] == expected
            await consumer.commit({partition: records[-1].offset + 1})
            await consumer.stop()
        assert [len(partitions) for partitions in seen] == [12, 12]
        await producer.stop()

    asyncio.run(scenario())


def test_a_stored_offset_that_the_log_does_not_hold_is_an_error(settings: LogSettings) -> None:
    async def scenario() -> None:
        producer = await started(settings)
        partition = Partition(settings.topic_prefix + TOPIC, 0)

        async def assigned(partitions: frozenset[Partition]) -> Mapping[Partition, int]:
            return {partition: 1_000_000}

        consumer = open_consumer(settings, [partition.topic], "group", assigned)
        try:
            with pytest.raises(ValueError, match="outside"):  # noqa: PT012 - on Kafka the first poll tells
                await consumer.start()
                for _ in range(30):
                    await consumer.poll(10, 0.5)
        finally:
            await consumer.stop()
            await producer.stop()

    asyncio.run(scenario())


_CHILD = """
import asyncio, sys
from eventlog.errors import Unavailable
from eventlog.log import Outgoing
from eventlog.opening import open_producer
from eventlog.settings import LogSettings

async def main():
    settings = LogSettings.model_validate_json(sys.argv[1])
    producer = open_producer(settings)
    await producer.start()
    topic = settings.topic_prefix + "events.v1"
    number = 0
    while True:
        numbers = range(number, number + 20)
        batch = [Outgoing(topic, b"v%d" % (n % 7), b"%d" % n, (), 1_795_000_000_000) for n in numbers]
        try:
            await producer.append(batch)
        except Unavailable:
            continue
        number += 20
        print(number, flush=True)

asyncio.run(main())
"""


def test_what_was_acknowledged_before_a_kill_is_there(settings: LogSettings) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, settings.model_dump_json()], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout
    acknowledged = 0
    while acknowledged < 400:
        acknowledged = int(child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    acknowledged = max([acknowledged, *(int(line) for line in child.stdout.read().split())])
    child.wait()
    child.stdout.close()

    async def stored() -> Sequence[int]:
        consumer = open_consumer(settings, [settings.topic_prefix + TOPIC])
        await consumer.start()
        records: list[Record] = []
        wanted = sum(held.next - held.first for held in (await consumer.bounds()).values())
        records = await read(consumer, wanted)
        await consumer.stop()
        return [int(record.value or b"-1") for record in records]

    assert set(range(acknowledged)) <= set(asyncio.run(stored()))
