"""Reads a span of the log from its own offsets, for whoever counts or seeks in it. Reads alone, commits nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog

from eventlog.log import Bounds, Consumer, Partition, Position, Record
from eventlog.opening import open_consumer
from eventlog.settings import LogSettings

_log = structlog.get_logger(__name__)

_AT_ONCE: Final = 5_000
_POLL_SECONDS: Final = 2.0
# A log that gives nothing for so long although it answers, and has more by its own account, has a hole there.
_STANDSTILL_SECONDS: Final = 20.0


async def read_log(
    settings: LogSettings,
    topics: Sequence[str],
    start: int | Mapping[Partition, int],
    visit: Callable[[Record, Bounds], None],
) -> dict[Partition, Bounds]:
    """Show `visit` each record of the topics (full names) from the first one of `start` (ms), or from these offsets, on
    to where the log ends now, with the bounds of its partition; answers the bounds of all. Raises Unavailable."""
    bounds: dict[Partition, Bounds] = {}
    starts: dict[Partition, int] = {}

    # Before anything is fetched: afterwards each question would wait for a fetch to end.
    async def begin(_: frozenset[Partition]) -> Mapping[Partition, int]:
        bounds.update(await consumer.bounds())
        if isinstance(start, int):
            starts.update(await consumer.offsets_at(start))
        else:
            starts.update({one: max(start.get(one, 0), held.first) for one, held in bounds.items()})
        # An offset behind the end is another log's: there is nothing to read.
        starts.update({one: min(first, bounds[one].next) for one, first in starts.items()})
        return starts

    consumer = open_consumer(settings, topics, assigned=begin)
    await consumer.start()
    try:
        ends = {one: bounds[one].next for one, first in starts.items() if first < bounds[one].next}
        await _read(consumer, ends, lambda record: visit(record, bounds[record.partition]))
    finally:
        await consumer.stop()
    return bounds


async def read_records(settings: LogSettings, wanted: Sequence[Position]) -> dict[Position, Record]:
    """The records at these positions, as far as the log still holds them. Raises Unavailable."""
    found: dict[Position, Record] = {}
    for topic in sorted({position.partition.topic for position in wanted}):
        of_topic = sorted({position for position in wanted if position.partition.topic == topic})
        found |= await _read_records(settings, topic, of_topic)
    return found


async def _read_records(settings: LogSettings, topic: str, wanted: Sequence[Position]) -> dict[Position, Record]:
    bounds: dict[Partition, Bounds] = {}
    found: dict[Position, Record] = {}

    async def begin(_: frozenset[Partition]) -> Mapping[Partition, int]:
        bounds.update(await consumer.bounds())
        return {one: held.next for one, held in bounds.items()}

    def take(record: Record) -> None:
        found[Position(record.partition, record.offset)] = record

    consumer = open_consumer(settings, [topic], assigned=begin)
    await consumer.start()
    try:
        for position in wanted:
            held = bounds.get(position.partition, Bounds(0, 0))
            if held.first <= position.offset < held.next:
                await consumer.seek(position.partition, position.offset)
                await _read(consumer, {position.partition: position.offset + 1}, take)
    finally:
        await consumer.stop()
    return {position: found[position] for position in wanted if position in found}


async def _read(consumer: Consumer, ends: dict[Partition, int], visit: Callable[[Record], None]) -> None:
    """Show `visit` what stands before the ends."""
    left = dict(ends)
    moved = time.monotonic()
    while left:
        for record in await consumer.poll(_AT_ONCE, _POLL_SECONDS):
            moved = time.monotonic()
            end = left.get(record.partition)
            if end is None:
                continue
            if record.offset < end:
                visit(record)
            if record.offset + 1 >= end:
                del left[record.partition]
        if time.monotonic() - moved > _STANDSTILL_SECONDS:
            # Raises where it does not answer.
            await consumer.bounds()
            _log.warning("log_has_holes", partitions=[f"{one.topic}/{one.number}" for one in left])
            return
