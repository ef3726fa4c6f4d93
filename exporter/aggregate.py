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
from eventlog.log import Consumer, Partition, Record
from eventlog.numbers import Timings
from eventlog.opening import open_consumer
from eventlog.timestamps import now_ms
from eventlog.topics import EVENTS, REJECTED
from exporter.apply import Batch, Fenced, apply, positions_of
from exporter.assembly import make_profiles
from exporter.fold import EVENTS_TOPIC, REJECTED_TOPIC, fold_record
from exporter.lease import pause
from exporter.profile import Setting
from exporter.settings import ExporterSettings
from exporter.store import STORE_AWAY, Store

_log = structlog.get_logger(__name__)

GROUP = "trackway-aggregate"
# Batches grow with the lag: large ones cost least an event, small ones are seen soonest.
_FEWEST, _MOST = 1_000, 10_000
_POLL_SECONDS = 1.0
_AGAIN_SECONDS = 2.0
# Profiles wait no longer than this for a loop that is behind.
_STALE_SECONDS = 5.0


@dataclass
class Progress:
    """What the loop has done, and what it waits for: None while all is well."""

    problem: str | None = "starting"
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

    def stored(self, batch: Batch, seconds: float) -> None:
        """A batch has been stored."""
        self.batches.observe(seconds)
        for one in batch.folded:
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
        # Where each partition we own stands in the store; None: it was never read.
        self._next: dict[Partition, int | None] = progress.next
        self._consumer: Consumer | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set. A store that does not answer is waited for; a log that lost what was not yet
        folded raises ValueError, because going on would lose count."""
        consumer = self._consumer = open_consumer(
            self._settings, list(self._topics), GROUP, self._assigned, self._revoked
        )
        await consumer.start()
        self._progress.problem, self._progress.consumer = None, consumer
        try:
            size = _FEWEST
            made = time.monotonic()
            while not stop.is_set():
                records = await consumer.poll(size, _POLL_SECONDS)
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
                self._progress.problem = "the store does not answer"
                _log.warning("store_away", error=type(error).__name__)
                await pause(stop, _AGAIN_SECONDS)
            else:
                self._progress.problem = None
                return

    async def _store_batch(self, records: list[Record]) -> None:
        batch = self._batch(records)
        if not batch.ends:
            return
        begun = time.monotonic()
        try:
            self._progress.counts += await apply(self._store, batch, self._settings.topic_prefix)
        except Fenced as error:
            _log.warning("fenced", partitions=str(error))
            await self._go_back(batch, error.stored)
            return
        self._progress.stored(batch, time.monotonic() - begun)
        for partition, end in batch.ends.items():
            if partition in self._next:
                self._next[partition] = end
        try:
            await self._opened().commit(batch.ends)
        except Unavailable:
            # For lag monitoring only; the next batch says it again.
            _log.warning("commit_waits")

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
        folded = [fold_record(record, self._topics[record.partition.topic], self._settings.rules) for record in wanted]
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
        async with self._store.read() as connection:
            stored = await positions_of(connection)
        self._next |= {one: stored.get(one) for one in partitions}
        return {one: stored[one] for one in partitions if one in stored}

    async def _revoked(self, partitions: frozenset[Partition]) -> None:
        for one in partitions:
            self._next.pop(one, None)

    def _opened(self) -> Consumer:
        if self._consumer is None:
            raise RuntimeError("the aggregator is not running")
        return self._consumer


async def aggregate(
    settings: ExporterSettings, store: Store, stop: asyncio.Event, progress: Progress | None = None
) -> None:
    """Fold the log into the store until `stop` is set."""
    await Aggregator(settings, store, progress or Progress()).run(stop)
