"""The embedded log's own ways: days, retention, several processes, one member a group."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from eventlog.day_files import day_files
from eventlog.embedded import EmbeddedProducer, lock_writer
from eventlog.errors import Unavailable
from eventlog.log import Bounds, Outgoing, Partition, Record
from eventlog.opening import open_consumer
from eventlog.settings import LogSettings
from eventlog.timestamps import DAY_MS, now_ms
from tests.appending import append_all

EVENTS, PROFILES = "trackway.events.v1", "trackway.profiles.v1"


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.at = now_ms()

    def __call__(self) -> int:
        return self.at


def outgoing(topic: str, key: str, value: str) -> Outgoing:
    return Outgoing(topic, key.encode(), value.encode(), (), 1_795_000_000_000)


async def read_all(settings: LogSettings, topic: str) -> tuple[list[Record], dict[Partition, Bounds]]:
    consumer = open_consumer(settings, [topic])
    await consumer.start()
    bounds = await consumer.bounds()
    records = []
    while got := await consumer.poll(3, 0.05):
        records += got
    await consumer.stop()
    return records, bounds


def test_offsets_go_on_over_days_and_a_closed_day_is_not_written_again(tmp_path: Path) -> None:
    settings, clock = LogSettings(data=tmp_path), Clock()

    async def scenario() -> None:
        early, late = EmbeddedProducer(settings, clock), EmbeddedProducer(settings)
        late._now = lambda: now_ms() + DAY_MS
        await early.start()
        (first,) = await append_all(early, [outgoing(EVENTS, "a", "0")])
        await late.start()
        (second,) = await append_all(late, [outgoing(EVENTS, "a", "1")])
        # For this process it is still yesterday, but that day's file has been closed by the other one.
        (third,) = await append_all(early, [outgoing(EVENTS, "a", "2")])
        assert [first.offset, second.offset, third.offset] == [0, 1, 2]
        await early.stop()
        await late.stop()
        records, _ = await read_all(settings, EVENTS)
        assert [record.value for record in records] == [b"0", b"1", b"2"]

    asyncio.run(scenario())
    assert len(day_files(settings.log_folder)) == 2


def test_expired_days_go_but_the_last_value_of_each_key_of_a_compacted_topic_stays(tmp_path: Path) -> None:
    settings, clock = LogSettings(data=tmp_path), Clock()
    clock.at -= 100 * DAY_MS

    async def scenario() -> None:
        producer = EmbeddedProducer(settings, clock)
        await producer.start()
        await producer.append([outgoing(PROFILES, "p", "old"), outgoing(PROFILES, "q", "kept")])
        await producer.append([outgoing(EVENTS, "a", "expired"), outgoing(PROFILES, "p", "new")])
        clock.at += DAY_MS
        await producer.append([outgoing(PROFILES, "p", "newest")])
        clock.at += 99 * DAY_MS
        (position,) = await append_all(producer, [outgoing(EVENTS, "a", "fresh")])
        assert position.offset == 1
        await producer.stop()
        events, bounds = await read_all(settings, EVENTS)
        assert [record.value for record in events] == [b"fresh"]
        assert bounds[position.partition] == Bounds(1, 2)
        profiles, _ = await read_all(settings, PROFILES)
        assert {record.key: record.value for record in profiles} == {b"p": b"newest", b"q": b"kept"}

    asyncio.run(scenario())
    assert len(day_files(settings.log_folder)) == 1


def test_two_writers_share_the_offsets_of_a_partition(tmp_path: Path) -> None:
    settings = LogSettings(data=tmp_path)

    async def scenario() -> None:
        writers = [EmbeddedProducer(settings), EmbeddedProducer(settings)]
        for writer in writers:
            await writer.start()

        async def write(writer: EmbeddedProducer) -> list[int]:
            return [(await append_all(writer, [outgoing(EVENTS, "a", "x")]))[0].offset for _ in range(50)]

        offsets = await asyncio.gather(*(write(writer) for writer in writers))
        assert sorted(offsets[0] + offsets[1]) == list(range(100))
        for writer in writers:
            await writer.stop()

    asyncio.run(scenario())


def test_a_second_member_waits_and_takes_over_when_the_first_leaves(tmp_path: Path) -> None:
    settings = LogSettings(data=tmp_path)

    async def scenario() -> None:
        first, second = (open_consumer(settings, [EVENTS], "group") for _ in range(2))
        await first.start()
        await second.start()
        assert (len(first.assignment()), len(second.assignment())) == (12, 0)
        await first.stop()
        async with asyncio.timeout(20):
            while not second.assignment():
                await second.poll(1, 0.1)
        assert len(second.assignment()) == 12
        await second.stop()

    asyncio.run(scenario())


def test_a_reader_in_the_writers_process_is_woken_at_once(tmp_path: Path) -> None:
    settings = LogSettings(data=tmp_path)

    async def scenario() -> None:
        producer = EmbeddedProducer(settings)
        await producer.start()
        consumer = open_consumer(settings, [EVENTS])
        await consumer.start()
        waiting = asyncio.create_task(consumer.poll(10, 60))
        await asyncio.sleep(0.05)
        await producer.append([outgoing(EVENTS, "a", "x")])
        async with asyncio.timeout(30):
            assert [record.value for record in await waiting] == [b"x"]
        await consumer.stop()
        await producer.stop()

    asyncio.run(scenario())


def test_a_second_collector_is_refused_in_words(tmp_path: Path) -> None:
    with lock_writer(tmp_path), pytest.raises(Unavailable, match="kafka://"), lock_writer(tmp_path):
        pass
