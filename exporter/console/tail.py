"""The newest records of the log itself, followed only while somebody looks.

One reader without a group for the whole process, shared by all tabs. It begins near the log's end, keeps the newest
records of each topic, and lets go of the log when nobody has asked for a minute.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from eventlog.errors import Unavailable
from eventlog.log import Bounds, Consumer, Partition, Record
from eventlog.opening import open_consumer
from eventlog.settings import LogSettings
from eventlog.timestamps import now_ms
from eventlog.topics import EVENTS, REJECTED

_OPEN_SECONDS: Final = 5.0
# How long a page waits for a reader that has just been opened to reach the log's end.
_CATCH_UP_SECONDS: Final = 2.0
# How often the log is asked where it ends: a sign of life, and how far behind we are.
_LOOK_SECONDS: Final = 2.0
_POLL_RECORDS: Final = 500
_POLL_SECONDS: Final = 1.0
# Following a busy log must not cost the process a core; what we fall behind by is jumped over, and said.
_RECORDS_A_SECOND: Final = 5_000
_BEHIND_RECORDS: Final = 10_000


@dataclass(frozen=True, slots=True)
class TailLimits:
    """`partition`: records of each partition to begin with. `kept`, `kept_bytes`: of each topic."""

    partition: int = 150
    kept: int = 2000
    kept_bytes: int = 16 * 1024 * 1024
    idle_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Tail:
    """Records of one topic, newest first: all later than `complete_since` (ms), or all there are where that is None."""

    records: tuple[Record, ...]
    complete_since: int | None
    held_by_log: int


@dataclass(frozen=True, slots=True)
class Tails:
    """Both topics, as of the last sign of life of the log (ms).

    `caught_up` is False where the log did not answer fully in time. `ever` counts every event it was ever given.
    """

    events: Tail
    rejected: Tail
    caught_up: bool
    ever: int
    as_of: int


class LogReader:
    """What pages ask. Safe to share between requests of one event loop."""

    def __init__(self, settings: LogSettings, limits: TailLimits | None = None) -> None:
        self._settings = settings
        self._limits = limits or TailLimits()
        self._opening: asyncio.Task[_Follower] | None = None

    def is_open(self) -> bool:
        """Whether the log is being held open now."""
        return self._opening is not None and not _is_over(self._opening)

    async def read(self) -> Tails:
        """The newest records. Raises Unavailable."""
        try:
            return await (await self._follower()).tails()
        except (OSError, TimeoutError, ValueError) as error:
            raise Unavailable("the log does not answer") from error

    async def close(self) -> None:
        """Let go of the log; the next read opens it again."""
        opening, self._opening = self._opening, None
        if opening is not None:
            with contextlib.suppress(Unavailable, OSError, TimeoutError, ValueError):
                await (await opening).close()

    async def _follower(self) -> _Follower:
        if self._opening is None or _is_over(self._opening):
            self._opening = asyncio.create_task(_Follower(self._settings, self._limits).opened())
        # Whoever looks meanwhile waits for the same; one that goes away must not take it along.
        return await asyncio.shield(self._opening)


def _is_over(opening: asyncio.Task[_Follower]) -> bool:
    if not opening.done():
        return False
    return opening.cancelled() or opening.exception() is not None or opening.result().ended


@dataclass(slots=True)
class _Kept:
    """The newest records of one topic."""

    limits: TailLimits
    records: list[Record] = field(default_factory=list)
    missing_before: int | None = None

    def miss(self, timestamp: int) -> None:
        self.missing_before = max(timestamp, self.missing_before or timestamp)

    def tidy(self) -> None:
        """Newest first, within bounds, and nothing from before a gap."""
        self.records.sort(key=lambda record: (record.timestamp, record.partition.number, record.offset), reverse=True)
        size = 0
        for at, record in enumerate(self.records):
            size += len(record.value or b"")
            if at >= self.limits.kept or (size > self.limits.kept_bytes and at):
                self.miss(record.timestamp)
                del self.records[at:]
                break
        if self.missing_before is not None:
            self.records = [record for record in self.records if record.timestamp >= self.missing_before]


class _Follower:
    """A consumer that is open, and what it has brought so far."""

    def __init__(self, settings: LogSettings, limits: TailLimits) -> None:
        self._limits = limits
        self._events = EVENTS.full_name(settings.topic_prefix)
        self._rejected = REJECTED.full_name(settings.topic_prefix)
        self._consumer: Consumer = open_consumer(settings, [self._events, self._rejected], assigned=self._begin)
        self._kept = {self._events: _Kept(limits), self._rejected: _Kept(limits)}
        self._next: dict[Partition, int] = {}
        self._skipped: set[Partition] = set()
        self._bounds: dict[Partition, Bounds] = {}
        self._at_end = asyncio.Event()
        self._as_of = 0
        self._asked_at = 0.0
        self._running: asyncio.Task[None] | None = None

    async def opened(self) -> _Follower:
        """Itself, following. Raises Unavailable, OSError or TimeoutError."""
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                await self._consumer.start()
        except BaseException:
            await self._consumer.stop()
            raise
        self._asked_at = asyncio.get_running_loop().time()
        self._running = asyncio.create_task(self._run())
        return self

    @property
    def ended(self) -> bool:
        return self._running is None or self._running.done()

    async def tails(self) -> Tails:
        """What it has; of one that was just opened once it has reached the end. Raises what ended it."""
        self._asked_at = asyncio.get_running_loop().time()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CATCH_UP_SECONDS):
                await self._at_end.wait()
        if self._running is not None and self._running.done():
            await self._running
            raise Unavailable("the log was let go")
        events = self._tail(self._events)
        ever = sum(self._end_of(partition) for partition in self._next if partition.topic == self._events)
        return Tails(events, self._tail(self._rejected), self._at_end.is_set(), ever, self._as_of)

    async def close(self) -> None:
        """Let go; harmless where it has ended already."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})

    async def _begin(self, _: frozenset[Partition]) -> Mapping[Partition, int]:
        # Before anything is fetched: on Kafka each question would later wait for a fetch to end.
        await self._ask_bounds()
        for partition, bound in self._bounds.items():
            self._begin_at(partition, max(bound.first, bound.next - self._limits.partition))
        return dict(self._next)

    def _begin_at(self, partition: Partition, target: int) -> None:
        self._next[partition] = target
        if target > self._bounds[partition].first:
            self._skipped.add(partition)

    async def _ask_bounds(self) -> None:
        self._bounds = await self._consumer.bounds()
        self._as_of = now_ms()

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                following = group.create_task(self._follow())
                await self._look()
                following.cancel()
        except* (Unavailable, OSError, ValueError) as failed:
            raise Unavailable("the log does not answer") from failed
        finally:
            self._at_end.set()
            await self._consumer.stop()

    async def _follow(self) -> None:
        while True:
            if self._behind() == 0:
                self._at_end.set()
            records = await self._consumer.poll(_POLL_RECORDS, _POLL_SECONDS)
            for record in records:
                self._take(record)
            for kept in self._kept.values():
                kept.tidy()
            if records:
                self._as_of = now_ms()
            if self._at_end.is_set():
                await asyncio.sleep(len(records) / _RECORDS_A_SECOND)

    async def _look(self) -> None:
        """Ask the log for a sign of life every so often; returns when nobody has asked us for one."""
        loop = asyncio.get_running_loop()
        while loop.time() - self._asked_at < self._limits.idle_seconds:
            await asyncio.sleep(min(_LOOK_SECONDS, self._limits.idle_seconds))
            await self._ask_bounds()
            far_behind = self._behind() > _BEHIND_RECORDS
            for partition, bound in self._bounds.items():
                target = max(bound.first, bound.next - self._limits.partition)
                if self._next[partition] < (target if far_behind else bound.first):
                    await self._consumer.seek(partition, target)
                    self._begin_at(partition, target)

    def _behind(self) -> int:
        return sum(max(0, bound.next - self._next[partition]) for partition, bound in self._bounds.items())

    def _take(self, record: Record) -> None:
        # A consumer may hand over what it had fetched before a jump.
        if record.offset < self._next[record.partition]:
            return
        kept = self._kept[record.partition.topic]
        self._next[record.partition] = record.offset + 1
        kept.records.append(record)
        if record.partition in self._skipped:
            self._skipped.discard(record.partition)
            kept.miss(record.timestamp)

    def _end_of(self, partition: Partition) -> int:
        return max(self._bounds[partition].next, self._next[partition])

    def _tail(self, topic: str) -> Tail:
        kept = self._kept[topic]
        held = sum(self._end_of(one) - bound.first for one, bound in self._bounds.items() if one.topic == topic)
        return Tail(tuple(kept.records), kept.missing_before, held)
