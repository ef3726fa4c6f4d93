"""The embedded event log: the consumer. One member of a group reads every partition; the next waits for its lease."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from eventlog.groups import Groups
from eventlog.log import Assigned, Bounds, OutOfRange, Partition, Record, Revoked
from eventlog.reading import Files
from eventlog.settings import LogSettings
from eventlog.timestamps import now_ms
from eventlog.topics import TOPICS
from eventlog.wakeup import register, unregister

# How often a reader looks for what another process wrote: while there is traffic, and when there is none.
_LOOK_ACTIVE, _LOOK_IDLE, _ACTIVE_FOR = 0.05, 0.5, 5.0
_LEASE, _BEAT = 6.0, 2.0

T = TypeVar("T")


class EmbeddedConsumer:
    """`Consumer` on SQLite files."""

    def __init__(
        self, settings: LogSettings, topics: Sequence[str], group: str | None, assigned: Assigned, revoked: Revoked
    ) -> None:
        counts = {topic.full_name(settings.topic_prefix): topic.partitions for topic in TOPICS}
        self._partitions = [Partition(topic, number) for topic in topics for number in range(counts[topic])]
        self._folder = settings.log_folder.resolve()
        self._group = group
        self._member = uuid.uuid4().hex
        self._assigned, self._revoked = assigned, revoked
        # SQLite may block on a disk: never on the event loop, and one thread keeps the connections to itself.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="eventlog-reader")
        self._positions: dict[Partition, int] = {}
        self._news = asyncio.Event()
        self._beating: asyncio.Task[None] | None = None
        self._groups: Groups | None = None
        self._files: Files | None = None
        self._last_news = 0.0
        self._asked_at = 0.0

    async def start(self) -> None:
        self._files = await self._call(Files, self._folder)
        register(self._folder, self._news)
        if self._group is None:
            await self._begin()
            return
        self._groups = await self._call(Groups, self._folder, self._group)
        self._beating = asyncio.create_task(self._beat())
        await self._join()

    async def poll(self, max_records: int, timeout: float) -> list[Record]:
        until = time.monotonic() + timeout
        while True:
            self._news.clear()
            if not self._positions:
                await self._join()
            if self._positions:
                records = await self._call(self._opened().read, dict(self._positions), max_records)
                if records:
                    self._last_news = time.monotonic()
                    for record in records:
                        if record.partition in self._positions:
                            self._positions[record.partition] = record.offset + 1
                    return records
            now = time.monotonic()
            if now >= until:
                return []
            active = now - self._last_news < _ACTIVE_FOR
            await self._sleep(min(until - now, _LOOK_ACTIVE if active else _LOOK_IDLE))

    def assignment(self) -> frozenset[Partition]:
        return frozenset(self._positions)

    async def seek(self, partition: Partition, offset: int) -> None:
        _check(partition, offset, (await self.bounds())[partition])
        self._positions[partition] = offset

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        if self._groups:
            await self._call(self._groups.commit, dict(offsets))

    async def bounds(self) -> dict[Partition, Bounds]:
        return await self._call(self._opened().bounds, self._partitions)

    async def offsets_at(self, time: int) -> dict[Partition, int]:
        return await self._call(self._opened().offsets_at, self._partitions, time)

    async def stop(self) -> None:
        unregister(self._folder, self._news)
        if self._beating:
            self._beating.cancel()
            await asyncio.wait({self._beating})
        if self._groups:
            await self._call(self._groups.leave, self._member)
        if self._files:
            await self._call(self._files.close)
        self._positions = {}
        self._thread.shutdown()

    async def _begin(self) -> None:
        wanted = await self._assigned(frozenset(self._partitions))
        bounds = await self.bounds()
        for partition, offset in wanted.items():
            _check(partition, offset, bounds[partition])
        self._positions = {partition: bounds[partition].first for partition in self._partitions} | dict(wanted)

    async def _join(self) -> None:
        # Asking takes the write lock of the groups' file: once a second is enough.
        if self._groups is None or time.monotonic() - self._asked_at < 1.0:
            return
        self._asked_at = time.monotonic()
        if await self._call(self._groups.take, self._member, now_ms(), _LEASE):
            await self._begin()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_BEAT)
            if not self._positions or self._groups is None:
                continue
            if not await self._call(self._groups.take, self._member, now_ms(), _LEASE):
                lost, self._positions = frozenset(self._positions), {}
                await self._revoked(lost)

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            pass

    async def _call(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    def _opened(self) -> Files:
        if self._files is None:
            raise RuntimeError("the consumer is not started")
        return self._files


def _check(partition: Partition, offset: int, held: Bounds) -> None:
    if not held.first <= offset <= held.next:
        raise OutOfRange({partition: offset})
