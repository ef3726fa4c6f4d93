"""Reads a span of the log from its own offsets, for whoever counts or seeks in it. Reads alone, commits nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from eventlog.errors import Unavailable
from eventlog.log import Bounds, Consumer, Partition, Position, Record
from eventlog.opening import open_consumer
from eventlog.settings import LogSettings

_AT_ONCE: Final = 5_000
_POLL_SECONDS: Final = 2.0
_STANDSTILL_SECONDS: Final = 60.0


async def read_log(
    settings: LogSettings, topics: Sequence[str], start: int, visit: Callable[[Record, Bounds], None]
) -> dict[Partition, Bounds]:
    """Show `visit` each record of the topics (full names) from the first one of `start` (ms) on to where the log ends
    now, with the bounds of its partition; answers the bounds of all. Raises Unavailable."""
    bounds: dict[Partition, Bounds] = {}
    starts: dict[Partition, int] = {}

    # Before anything is fetched: afterwards each question would wait for a fetch to end.
    async def begin(_: frozenset[Partition]) -> Mapping[Partition, int]:
        bounds.update(await consumer.bounds())
        starts.update(await consumer.offsets_at(start))
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
        for position in [one for one in wanted if one.partition.topic == topic]:
            await _read_one(settings, position, found)
    return found


async def _read_one(settings: LogSettings, position: Position, found: dict[Position, Record]) -> None:
    held: dict[Partition, Bounds] = {}

    async def begin(_: frozenset[Partition]) -> Mapping[Partition, int]:
        held.update(await consumer.bounds())
        at = held.get(position.partition, Bounds(0, 0))
        there = at.first <= position.offset < at.next
        # Of the other partitions nothing is wanted.
        ends = {one: bound.next for one, bound in held.items()}
        return ends | ({position.partition: position.offset} if there else {})

    consumer = open_consumer(settings, [position.partition.topic], assigned=begin)
    await consumer.start()
    try:
        at = held.get(position.partition, Bounds(0, 0))
        if not at.first <= position.offset < at.next:
            return

        def visit(record: Record) -> None:
            if record.offset == position.offset:
                found[position] = record

        await _read(consumer, {position.partition: position.offset + 1}, visit)
    finally:
        await consumer.stop()


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
            raise Unavailable(f"the log gave nothing for {_STANDSTILL_SECONDS:.0f} s although there is more to read")
