"""The loop from the log to the store: poll, fold, apply, commit; then profiles are made of what was marked."""

from __future__ import annotations

import asyncio
import functools
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import structlog

from eventlog.errors import Unavailable
from eventlog.log import Bounds, Consumer, OutOfRange, Partition, Record
from eventlog.numbers import Timings
from eventlog.opening import open_consumer
from eventlog.timestamps import now_ms
from eventlog.topics import EVENTS, REJECTED
from exporter.apply import Batch, Fenced, positions_of
from exporter.aside import note_partitions, try_again
from exporter.assembly import make_profiles
from exporter.fold import EVENTS_TOPIC, REJECTED_TOPIC, fold_record
from exporter.lease import pause
from exporter.poison import Stored, store_batch
from exporter.profile import Setting
from exporter.settings import ExporterSettings
from exporter.store import STORE_AWAY, Store

_log = structlog.get_logger(__name__)

GROUP = "trackway-aggregate"
# Batches grow with the lag: large ones cost least an event, small ones are seen soonest.
_FEWEST, _MOST = 1_000, 10_000
_POLL_SECONDS = 1.0
_AGAIN_SECONDS = 2.0
# How often it is looked whether a stopped partition may go on.
_LOOK_SECONDS = 1.0
# Profiles wait no longer than this for a loop that is behind.
_STALE_SECONDS = 5.0


@dataclass
class Progress:
    """What the loop has done, what it waits for (None: nothing), and which partitions it reads no further, and why."""

    waits: str | None = "starting"
    counts: Counter[str] = field(default_factory=Counter)
    # Partitions that are read no further, and why.
    stopped: dict[Partition, str] = field(default_factory=dict)
    poison: Counter[str] = field(default_factory=Counter)
    # Marks handled; how long batches and passes over the marks took.
    made: int = 0
    batches: Timings = field(default_factory=lambda: Timings("trackway_batch_seconds"))
    passes: Timings = field(default_factory=lambda: Timings("trackway_profile_pass_seconds"))
    # What is asked for the lag: the consumer, where each partition that is read stands (None: at its first record),
    # and the time (ms) of its newest record folded.
    consumer: Consumer | None = None
    next: dict[Partition, int | None] = field(default_factory=dict)
    newest: dict[Partition, int] = field(default_factory=dict)

    def stored(self, batch: Batch, ends: Mapping[Partition, int], seconds: float) -> None:
        """A batch has been stored, as far as `ends` of each partition."""
        self.batches.observe(seconds)
        for one in batch.folded:
            if one.record.offset >= ends.get(one.record.partition, 0):
                continue
            self.newest[one.record.partition] = one.record.timestamp
            if one.status == "poison" and one.topic == EVENTS_TOPIC:
                self.poison[one.reason or "fold_failed"] += 1


class Aggregator:
    """One member of the group of aggregators."""

    def __init__(self, settings: ExporterSettings, store: Store, progress: Progress) -> None:
        self._settings = settings
        self._store = store
        self._progress = progress
        self._topics = {
            EVENTS.full_name(settings.topic_prefix): EVENTS_TOPIC,
            REJECTED.full_name(settings.topic_prefix): REJECTED_TOPIC,
        }
        # Where each partition we own and read stands in the store; None: it was never read.
        self._next: dict[Partition, int | None] = progress.next
        # Where those stand that we own and have stopped.
        self._stopped: dict[Partition, int | None] = {}
        # Those of which the store is to be told whether they are stopped.
        self._untold: set[Partition] = set()
        self._looked = 0.0
        self._ending = asyncio.Event()
        self._consumer: Consumer | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set. A store that does not answer is waited for. A partition is stopped, and the others
        go on, where the log does not hold what is to be folded next, or too much of it is poison."""
        self._ending = stop
        consumer = self._consumer = open_consumer(
            self._settings, list(self._topics), GROUP, self._assigned, self._revoked
        )
        await self._until(stop, self._try_again)
        await consumer.start()
        self._progress.waits, self._progress.consumer = None, consumer
        try:
            size = _FEWEST
            made = time.monotonic()
            while not stop.is_set():
                records = await self._poll(consumer, size)
                if self._untold:
                    await self._until(stop, self._tell)
                if self._stopped and time.monotonic() - self._looked > _LOOK_SECONDS:
                    await self._until(stop, self._look_again)
                behind = len(records) >= size
                size = min(_MOST, size * 2) if behind else _FEWEST
                await self._until(stop, functools.partial(self._store_batch, records))
                # Behind the log, a visitor's next events are near: making its profile once for all of them is cheaper.
                if not behind or time.monotonic() - made > _STALE_SECONDS:
                    await self._until(stop, functools.partial(self._make_profiles, stop))
                    made = time.monotonic()
        finally:
            self._progress.consumer = None
            await consumer.stop()

    async def _until(self, stop: asyncio.Event, done: Callable[[], Awaitable[None]]) -> None:
        """Try until it is done; a store that does not answer is waited for."""
        while not stop.is_set():
            try:
                await done()
            except STORE_AWAY as error:
                self._progress.waits = "the store does not answer"
                _log.warning("store_away", error=type(error).__name__)
                await pause(stop, _AGAIN_SECONDS)
            else:
                self._progress.waits = None
                return

    async def _poll(self, consumer: Consumer, size: int) -> list[Record]:
        try:
            return await consumer.poll(size, _POLL_SECONDS)
        except OutOfRange as error:
            bounds = await consumer.bounds()
            for partition in error.offsets:
                self._stop(partition, _out_of_range(self._next.get(partition), bounds[partition]))
                await consumer.seek(partition, bounds[partition].next)
            return []

    async def _store_batch(self, records: list[Record]) -> None:
        batch = self._batch(await self._without_gaps(records))
        if not batch.ends:
            return
        begun = time.monotonic()
        stored = Stored()
        try:
            stored = await store_batch(
                self._store, batch, self._settings.topic_prefix, self._settings.aggregate.max_poison
            )
        except Fenced as error:
            _log.warning("fenced", partitions=str(error))
            await self._go_back(batch, error.stored)
            return
        self._progress.counts += stored.counts
        self._progress.stored(batch, stored.ends, time.monotonic() - begun)
        for partition, end in stored.ends.items():
            if partition in self._next:
                self._next[partition] = end
        for partition, reason in stored.stopped.items():
            self._stop(partition, reason)
        try:
            await self._opened().commit(stored.ends)
        except Unavailable:
            # For lag monitoring only; the next batch says it again.
            _log.warning("commit_waits")

    async def _without_gaps(self, records: list[Record]) -> list[Record]:
        """The records, but for those of partitions of which retention took some before they were folded."""
        following: dict[Partition, int] = {one: at for one, at in self._next.items() if at is not None}
        suspect = set()
        for record in records:
            if record.offset > following.get(record.partition, record.offset):
                suspect.add(record.partition)
            following[record.partition] = record.offset + 1
        if suspect:
            bounds = await self._opened().bounds()
            for partition in suspect:
                at = self._next.get(partition)
                if at is not None and at < bounds[partition].first:
                    self._stop(partition, _out_of_range(at, bounds[partition]))
        return records

    def _stop(self, partition: Partition, reason: str) -> None:
        """Read the partition no further, and say so until it goes on or is given up."""
        if partition not in self._next:
            return
        _log.error("partition_stopped", topic=partition.topic, partition=partition.number, reason=reason)
        self._stopped[partition] = self._next.pop(partition)
        self._progress.stopped[partition] = reason
        self._untold.add(partition)

    async def _tell(self) -> None:
        await note_partitions(self._store, self._untold, self._progress.stopped)
        self._untold.clear()

    async def _look_again(self) -> None:
        """Go on with stopped partitions that were moved in the store, as a rebuild does."""
        self._looked = time.monotonic()
        async with self._store.read() as connection:
            stored = await positions_of(connection)
        moved = {one: stored[one] for one, at in self._stopped.items() if one in stored and stored[one] != at}
        going = set()
        for partition, at in moved.items():
            if partition in self._opened().assignment():
                await self._opened().seek(partition, at)
                self._next[partition] = at
                going.add(partition)
        if going:
            self._forget_stopped(frozenset(going))
            self._untold |= going

    def _forget_stopped(self, partitions: frozenset[Partition]) -> None:
        for one in partitions:
            self._stopped.pop(one, None)
            self._progress.stopped.pop(one, None)

    async def _try_again(self) -> None:
        """A new process may be able to make the profiles that the last one could not."""
        async with self._store.write() as connection:
            again = await try_again(connection)
        if again:
            _log.info("profiles_tried_again", marks=again)

    async def _make_profiles(self, stop: asyncio.Event) -> None:
        secret = self._settings.secret.get_secret_value().encode()
        more = 1
        while more and not stop.is_set():
            setting = Setting(self._settings.rules, secret, now_ms())
            begun = time.monotonic()
            more = await make_profiles(self._store, setting, self._settings.topic_prefix)
            if more:
                self._progress.made += more
                self._progress.passes.observe(time.monotonic() - begun)

    def _batch(self, records: list[Record]) -> Batch:
        """The records as a batch: those of partitions we own, that were not stored by this loop already."""
        wanted = [
            record
            for record in records
            if record.partition in self._next and record.offset >= (self._next[record.partition] or 0)
        ]
        folded = [fold_record(one, self._topics[one.partition.topic], self._settings.rules) for one in wanted]
        ends = {record.partition: record.offset + 1 for record in wanted}
        return Batch(folded, {one: self._next[one] for one in ends}, ends)

    async def _go_back(self, batch: Batch, stored: Mapping[Partition, int]) -> None:
        """Read from where the store is; for partitions that have another owner by now we hear of it soon."""
        consumer = self._opened()
        first = {one.record.partition: one.record.offset for one in reversed(batch.folded)}
        for partition in batch.ends:
            at = stored.get(partition, self._next.get(partition))
            if partition in consumer.assignment():
                self._next[partition] = at
                await consumer.seek(partition, first[partition] if at is None else at)

    async def _assigned(self, partitions: frozenset[Partition]) -> Mapping[Partition, int]:
        stored: dict[Partition, int] = {}

        async def load() -> None:
            async with self._store.read() as connection:
                stored.update(await positions_of(connection))

        await self._until(self._ending, load)
        bounds = await self._opened().bounds()
        self._untold |= partitions
        self._next |= {one: stored.get(one) for one in partitions}
        begins = {one: stored[one] for one in partitions if one in stored}
        for one, at in begins.items():
            if not bounds[one].first <= at <= bounds[one].next:
                self._stop(one, _out_of_range(at, bounds[one]))
        # One that is stopped is read from its end: nothing of it is wanted.
        return {one: at if one in self._next else bounds[one].next for one, at in begins.items()}

    async def _revoked(self, partitions: frozenset[Partition]) -> None:
        for one in partitions:
            self._next.pop(one, None)
        self._forget_stopped(partitions)

    def _opened(self) -> Consumer:
        if self._consumer is None:
            raise RuntimeError("the aggregator is not running")
        return self._consumer


def _out_of_range(at: int | None, bounds: Bounds) -> str:
    return (
        f"the store has folded up to offset {at}, the log holds {bounds.first} to {bounds.next}; what is between is"
        " lost to the store, or this is another log. `trackway rebuild --drop-history` makes the store anew from what"
        " the log holds"
    )


async def aggregate(
    settings: ExporterSettings, store: Store, stop: asyncio.Event, progress: Progress | None = None
) -> None:
    """Fold the log into the store until `stop` is set."""
    await Aggregator(settings, store, progress or Progress()).run(stop)
