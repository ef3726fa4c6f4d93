"""The newest records of the log itself, read only while somebody looks.

One reader without a group for the whole process. It reads when asked, up to where the log ended at that moment, keeps
the newest records of each topic, and lets go of the log when nobody has asked for a minute.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

from eventlog.errors import Unavailable
from eventlog.log import Bounds, Consumer, Partition, Record
from eventlog.opening import open_consumer
from eventlog.settings import LogSettings
from eventlog.topics import EVENTS, REJECTED

# A reader this far behind jumps to the end: the page shows what is new, `trackway events tail` what was.
TAIL_RECORDS: Final = 150
KEPT_RECORDS: Final = 2000
KEPT_BYTES: Final = 16 * 1024 * 1024
IDLE_SECONDS: Final = 60.0
READ_SECONDS: Final = 2.0
# Several tabs that ask at once share one look at the log.
_FRESH_SECONDS: Final = 0.2
_POLL_RECORDS: Final = 200


@dataclass(frozen=True, slots=True)
class Tail:
    """Records of one topic, newest first: all later than `complete_since` (ms), or all there are where that is None."""

    records: tuple[Record, ...]
    complete_since: int | None
    held_by_log: int


@dataclass(frozen=True, slots=True)
class Tails:
    """Both topics. `caught_up` is False where the log did not answer fully in time. `ever` counts every event."""

    events: Tail
    rejected: Tail
    caught_up: bool
    ever: int


@dataclass(slots=True)
class _Kept:
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
            if at >= KEPT_RECORDS or (size > KEPT_BYTES and at):
                self.miss(record.timestamp)
                del self.records[at:]
                break
        if self.missing_before is not None:
            self.records = [record for record in self.records if record.timestamp >= self.missing_before]


class LogReader:
    """Reads the newest records on demand. Safe to share between requests of one event loop."""

    def __init__(self, settings: LogSettings, idle_seconds: float = IDLE_SECONDS) -> None:
        self._settings = settings
        self._idle_seconds = idle_seconds
        self._events = EVENTS.full_name(settings.topic_prefix)
        self._rejected = REJECTED.full_name(settings.topic_prefix)
        self._lock = asyncio.Lock()
        self._consumer: Consumer | None = None
        self._forget()

    def _forget(self) -> None:
        self._next: dict[Partition, int] = {}
        self._skipped: set[Partition] = set()
        self._kept: dict[str, _Kept] = {self._events: _Kept(), self._rejected: _Kept()}
        self._last: tuple[float, Tails] | None = None
        self._closing: asyncio.TimerHandle | None = None
        self._close_task: asyncio.Task[None] | None = None

    def is_open(self) -> bool:
        """Whether the log is being held open now."""
        return self._consumer is not None

    async def read(self) -> Tails:
        """The newest records, up to the end the log had when this was called. Raises Unavailable."""
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if self._last and now - self._last[0] < _FRESH_SECONDS:
                return self._last[1]
            try:
                async with asyncio.timeout(READ_SECONDS * 5):
                    tails = await self._read()
            except (Unavailable, OSError, TimeoutError, ValueError) as error:
                await self._let_go()
                raise Unavailable("the log does not answer") from error
            self._last = (asyncio.get_running_loop().time(), tails)
            self._close_later()
            return tails

    async def close(self) -> None:
        """Let go of the log; the next read opens it again."""
        async with self._lock:
            await self._let_go()

    async def _read(self) -> Tails:
        if self._consumer is None:
            consumer = open_consumer(self._settings, [self._events, self._rejected])
            await consumer.start()
            self._consumer = consumer
        consumer = self._consumer
        bounds = await consumer.bounds()
        await self._jump_ahead(consumer, bounds)
        caught_up = await self._catch_up(consumer, bounds)
        for kept in self._kept.values():
            kept.tidy()
        return Tails(
            events=self._tail(self._events, bounds),
            rejected=self._tail(self._rejected, bounds),
            caught_up=caught_up,
            ever=sum(bound.next for partition, bound in bounds.items() if partition.topic == self._events),
        )

    async def _jump_ahead(self, consumer: Consumer, bounds: dict[Partition, Bounds]) -> None:
        for partition, bound in bounds.items():
            target = max(bound.first, bound.next - TAIL_RECORDS)
            at = self._next.get(partition)
            if at is not None and target <= at <= bound.next:
                continue
            await consumer.seek(partition, target)
            self._next[partition] = target
            if target > bound.first:
                self._skipped.add(partition)

    async def _catch_up(self, consumer: Consumer, bounds: dict[Partition, Bounds]) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + READ_SECONDS
        while any(self._next[partition] < bound.next for partition, bound in bounds.items()):
            left = deadline - loop.time()
            if left <= 0:
                return False
            for record in await consumer.poll(_POLL_RECORDS, min(left, 0.25)):
                self._take(record)
        return True

    def _take(self, record: Record) -> None:
        # A consumer may hand over what it had fetched before the jump.
        if record.offset < self._next.get(record.partition, 0):
            return
        kept = self._kept[record.partition.topic]
        self._next[record.partition] = record.offset + 1
        kept.records.append(record)
        if record.partition in self._skipped:
            self._skipped.discard(record.partition)
            kept.miss(record.timestamp)

    def _tail(self, topic: str, bounds: dict[Partition, Bounds]) -> Tail:
        kept = self._kept[topic]
        held = sum(bound.next - bound.first for partition, bound in bounds.items() if partition.topic == topic)
        return Tail(tuple(kept.records), kept.missing_before, held)

    def _close_later(self) -> None:
        if self._closing:
            self._closing.cancel()
        self._closing = asyncio.get_running_loop().call_later(self._idle_seconds, self._start_closing)

    def _start_closing(self) -> None:
        self._close_task = asyncio.create_task(self.close())

    async def _let_go(self) -> None:
        consumer, self._consumer = self._consumer, None
        if self._closing:
            self._closing.cancel()
        closing = self._close_task
        self._forget()
        self._close_task = closing
        if consumer is not None:
            await consumer.stop()
