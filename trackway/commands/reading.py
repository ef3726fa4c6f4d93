"""Reads a topic of the log from a moment on, without being a member of any consumer group."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from eventlog.log import Bounds, Partition, Record
from eventlog.opening import open_consumer
from eventlog.topics import Topic
from trackway.settings import Settings


async def records(settings: Settings, topic: Topic, start: int, follow: bool = False) -> AsyncGenerator[Record]:
    """What stands in the topic since `start` (milliseconds) when this begins, with `follow` what comes later too."""
    starts: dict[Partition, int] = {}
    ends: dict[Partition, Bounds] = {}

    # Before anything is fetched: afterwards each question would wait for a fetch to end.
    async def begin(_: frozenset[Partition]) -> dict[Partition, int]:
        ends.update(await consumer.bounds())
        starts.update(await consumer.offsets_at(start))
        return starts

    consumer = open_consumer(settings, [topic.full_name(settings.topic_prefix)], assigned=begin)
    await consumer.start()
    try:
        left = sum(max(0, ends[one].next - first) for one, first in starts.items())
        while follow or left > 0:
            for record in await consumer.poll(500, 1.0):
                inside = record.offset < ends[record.partition].next
                left -= inside
                if inside or follow:
                    yield record
    finally:
        await consumer.stop()
