"""The accounts: what the log holds (L) against what the store counted (S), minute by minute.

Law 1: for every minute of received_at, source and status, L = S up to the offsets the store has reached. The two are
taken independently: L by reading the log from its own offsets, S from the store's counters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from eventlog.log import Bounds, Consumer, Partition, Record
from eventlog.opening import open_consumer
from eventlog.timestamps import MINUTE_MS
from eventlog.topics import EVENTS, REJECTED
from exporter.fold import EVENTS_TOPIC, source_of, value_of
from exporter.lookup import Lookup
from exporter.settings import ExporterSettings
from exporter.store import Store

_AT_ONCE = 5_000
_POLL_SECONDS = 5.0
_STATUSES = ("rejected", "filtered", "duplicate", "poison")
# The store tells four kinds of record in the events topic apart; the log just holds events.
EVENT = "event"

# (minute in ms, source, status)
Key = tuple[int, str, str]


@dataclass
class Accounts:
    """Both sides. `behind` is how many records of the log the store has not reached; `since` the first minute (ms)
    that the log still holds whole, `start` where it holds all that was asked for."""

    log: Counter[Key]
    store: Counter[Key]
    statuses: Counter[str] = field(default_factory=Counter)
    behind: int = 0
    since: int = 0

    @property
    def differences(self) -> list[Key]:
        """Where law 1 does not hold, oldest first."""
        return sorted(key for key in self.log.keys() | self.store.keys() if self.log[key] != self.store[key])

    @property
    def holds(self) -> bool:
        """Whether law 1 holds."""
        return not self.differences


async def take_accounts(
    settings: ExporterSettings, store: Store, start: int, end: int, source: str | None = None
) -> Accounts:
    """The accounts of minutes in [start, end) (ms), of one source or of all. Raises Unavailable."""
    counted, reached = await Lookup(store, settings).counts_with_positions(start, end, source)
    reading = _Reading(settings, start, end, source)
    await reading.run(reached)
    accounts = Accounts(reading.counts, Counter(), behind=reading.behind, since=reading.since)
    for count in counted:
        if count.minute >= accounts.since:
            of_events = count.topic == EVENTS_TOPIC
            accounts.store[count.minute, count.source, EVENT if of_events else count.status] += count.n
            if of_events or count.status != "poison":
                accounts.statuses[count.status] += count.n
    accounts.log = Counter({key: n for key, n in accounts.log.items() if key[0] >= accounts.since})
    return accounts


class _Reading:
    """The log's side."""

    def __init__(self, settings: ExporterSettings, start: int, end: int, source: str | None) -> None:
        self._settings = settings
        self._start, self._end, self._source = start, end, source
        self._events = EVENTS.full_name(settings.topic_prefix)
        self.counts: Counter[Key] = Counter()
        self.behind = 0
        self.since = start
        self._left: dict[Partition, int] = {}

    async def run(self, reached: Mapping[Partition, int]) -> None:
        """Count the records of the range below the offsets the store has reached."""
        topics = [self._events, REJECTED.full_name(self._settings.topic_prefix)]
        starts: dict[Partition, int] = {}
        bounds: dict[Partition, Bounds] = {}

        # Before anything is fetched: afterwards each question would wait for a fetch to end.
        async def begin(_: frozenset[Partition]) -> dict[Partition, int]:
            bounds.update(await consumer.bounds())
            starts.update(await consumer.offsets_at(self._start))
            return starts

        consumer = open_consumer(self._settings, topics, assigned=begin)
        await consumer.start()
        try:
            self.behind = sum(bound.next - reached.get(one, bound.first) for one, bound in bounds.items())
            self._left = {one: reached[one] for one, at in starts.items() if reached.get(one, 0) > at}
            await self._read(consumer, bounds)
        finally:
            await consumer.stop()

    async def _read(self, consumer: Consumer, bounds: Mapping[Partition, Bounds]) -> None:
        while self._left:
            for record in await consumer.poll(_AT_ONCE, _POLL_SECONDS):
                end = self._left.get(record.partition)
                if end is None:
                    continue
                if record.offset < end:
                    self._count(record, bounds[record.partition].first)
                if record.offset + 1 >= end:
                    del self._left[record.partition]

    def _count(self, record: Record, first: int) -> None:
        minute = record.timestamp // MINUTE_MS * MINUTE_MS
        if record.offset == first > 0 and minute >= self._start:
            # What stood before it has expired: only from the next minute on is nothing missing.
            self.since = max(self.since, minute + MINUTE_MS)
        if not self._start <= minute < self._end:
            return
        value = value_of(record)
        source = source_of(record, value)
        if self._source is None or source == self._source:
            self.counts[minute, source, self._status(record, value)] += 1

    def _status(self, record: Record, value: Any) -> str:
        if record.partition.topic == self._events:
            return EVENT
        status = value.get("status") if isinstance(value, dict) else None
        return status if status in _STATUSES else "unknown"


def by_source(accounts: Accounts) -> Iterable[tuple[str, str, int, int]]:
    """(source, status, in the log, in the store), summed over the minutes."""
    log: Counter[tuple[str, str]] = Counter()
    store: Counter[tuple[str, str]] = Counter()
    for (_, source, status), n in accounts.log.items():
        log[source, status] += n
    for (_, source, status), n in accounts.store.items():
        store[source, status] += n
    return [(*key, log[key], store[key]) for key in sorted(log.keys() | store.keys())]
