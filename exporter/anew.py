"""Makes a store anew from the log, in another place: all records are folded first, then each profile is made once."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from eventlog.log import Bounds, Consumer, OutOfRange, Partition, Record
from eventlog.opening import open_consumer
from eventlog.timestamps import now_ms
from eventlog.topics import EVENTS, REJECTED
from exporter.apply import Batch
from exporter.assembly import Assembly, make_profiles
from exporter.fold import EVENTS_TOPIC, REJECTED_TOPIC, Folded, fold_record
from exporter.identity import Root
from exporter.marks import SHARDS, Mark
from exporter.poison import store_batch
from exporter.profile import Setting
from exporter.settings import ExporterSettings
from exporter.store import Store

_AT_ONCE: Final = 10_000
_POLL_SECONDS: Final = 1.0
_LOOKS: Final = 10
# Visitors whose profiles are made in one transaction.
_VISITORS: Final = 1_000

# The time in ms.
Clock = Callable[[], int]
# Told how many records have been read, of how many that have to be.
Told = Callable[[int, int], None]
# Identity (hashes of the id, and of source and id) -> partition and offset of the copy that counts.
Choices = Mapping[tuple[int, int], tuple[int, int]]

# Copies of one event in several partitions: which of them counted was decided by who came first, and no reader of the
# log can tell. The store can.
_CHOICES: Final = (
    'SELECT DISTINCT counts.id_hash, counts.key_hash, counts.partition, counts."offset" FROM trace AS copy'
    " JOIN trace AS counts ON counts.seen AND counts.id_hash = copy.id_hash AND counts.key_hash = copy.key_hash"
    " WHERE NOT copy.seen AND copy.status = 'twin' AND copy.partition <> counts.partition"
)


class Halted(Exception):  # noqa: N818 - what happened
    """The new store cannot be made: `partition` could be read no further, and why."""


class HistoryGone(Exception):  # noqa: N818 - what happened
    """Retention took records of the log while they were being read."""


async def choices_of(connection: AsyncConnection) -> Choices:
    """Which copies count of the events that stand in several partitions."""
    rows = await connection.execute(text(_CHOICES))
    return {(id_hash, key_hash): (partition, offset) for id_hash, key_hash, partition, offset in rows}


class Anew:
    """A store in the making. `at` is where it stands in each partition, `poison` what it found that cannot be folded
    and names an event."""

    def __init__(self, settings: ExporterSettings, told: Told, clock: Clock = now_ms) -> None:
        self._clock = clock
        self._settings = settings
        self._told = told
        self.events = EVENTS.full_name(settings.topic_prefix)
        self._topics = {
            self.events: EVENTS_TOPIC,
            REJECTED.full_name(settings.topic_prefix): REJECTED_TOPIC,
        }
        self.bounds: dict[Partition, Bounds] = {}
        self.at: dict[Partition, int] = {}
        self.poison: list[Folded] = []
        self.read = 0
        self._written: set[Partition] = set()
        self._store: Store

    async def start(self, store: Store) -> None:
        """Look where the log begins; its records will be folded into `store`, which is empty. Raises Unavailable."""
        self._store = store
        async with self._reading():
            self.at = {one: bound.first for one, bound in self.bounds.items()}

    @contextlib.asynccontextmanager
    async def _reading(self) -> AsyncIterator[Consumer]:
        """The log from where the new store stands. One consumer a reading: on Kafka a seek waits for fetches."""

        # Before anything is fetched: afterwards each question would wait for a fetch to end.
        async def begin(_: frozenset[Partition]) -> Mapping[Partition, int]:
            self.bounds = await consumer.bounds()
            lost = {one: at for one, at in self.at.items() if at < self.bounds[one].first}
            if lost:
                raise OutOfRange(lost)
            return self.at

        consumer = open_consumer(self._settings, list(self._topics), assigned=begin)
        await consumer.start()
        try:
            yield consumer
        except OutOfRange as error:
            raise HistoryGone(str(error)) from None
        finally:
            await consumer.stop()

    def missing(self, targets: Mapping[Partition, int]) -> int:
        """How many records lie between where it stands and the targets."""
        return sum(max(0, target - self.at.get(one, target)) for one, target in targets.items())

    async def first_times(self, partitions: set[Partition]) -> dict[Partition, int]:
        """When (ms) the oldest records of these partitions were received, as far as a look at the log tells."""
        found: dict[Partition, int] = {}
        async with self._reading() as consumer:
            for _ in range(_LOOKS):
                if partitions <= found.keys():
                    break
                for record in await consumer.poll(_AT_ONCE, _POLL_SECONDS):
                    if record.partition in partitions:
                        found.setdefault(record.partition, record.timestamp)
        return found

    async def fold_to(self, targets: Mapping[Partition, int], choices: Choices) -> None:
        """Fold the records below the targets, and no others. Raises Halted, HistoryGone, Unavailable."""
        if not self.missing(targets):
            return
        total = self.read + self.missing(targets)
        async with self._reading() as consumer:
            while self.missing(targets):
                records = await consumer.poll(_AT_ONCE, _POLL_SECONDS)
                wanted = [
                    one for one in records if self.at[one.partition] <= one.offset < targets.get(one.partition, 0)
                ]
                if not wanted or any(one.offset != self.at[one.partition] for one in _firsts(wanted)):
                    bounds = await consumer.bounds()
                    lost = {one: at for one, at in self.at.items() if at < bounds[one].first}
                    if lost:
                        raise OutOfRange(lost)
                if wanted:
                    await self._fold(wanted, choices)
                self.read = total - self.missing(targets)
                self._told(self.read, total)

    async def make_all_profiles(self) -> None:
        """Make every profile, each once. Nothing may have been made before."""
        made: set[Root] = set()
        last = None
        async with self._store.write() as connection:
            # Every visitor is gone through, so what has marked them does not matter.
            await connection.execute(text("DELETE FROM dirty"))
        while True:
            async with self._store.write() as connection:
                vids = await _visitors_after(connection, last)
                if not vids:
                    return
                assembly = Assembly(connection, self.setting(), None, set(range(SHARDS)))
                assembly.made = made
                visitors = await assembly.evidence.members(vids)
                await assembly.run({Mark("visitor", key) for key in visitors})
            last = vids[-1]

    async def make_marked_profiles(self) -> None:
        """Make the profiles again that changed since."""
        while await make_profiles(self._store, self.setting(), None):
            pass

    def setting(self) -> Setting:
        """What profiles are made by, now."""
        return Setting(self._settings.rules, self._settings.secret.get_secret_value().encode(), self._clock())

    async def _fold(self, records: list[Record], choices: Choices) -> None:
        folded = [self._folded(one, choices) for one in records]
        ends = {one.partition: one.offset + 1 for one in records}
        begins = {one: self.at[one] if one in self._written else None for one in ends}
        # How many are too many depends on how the log is cut into batches; `take` asks for the whole.
        stored = await store_batch(self._store, Batch(folded, begins, ends), None, 100.0)
        for partition, reason in stored.stopped.items():
            raise Halted(f"partition {partition.topic}/{partition.number}: {reason}")
        self.at |= stored.ends
        self._written |= stored.ends.keys()
        self.poison += [one for one in folded if one.is_poison and one.event_id]

    def _folded(self, record: Record, choices: Choices) -> Folded:
        folded = fold_record(record, self._topics[record.partition.topic], self._settings.rules)
        if choices and folded.seen:
            chosen = choices.get((folded.id_hash, folded.key_hash))
            if chosen is not None and chosen != (record.partition.number, record.offset):
                folded.status, folded.member = "twin", None
        return folded


def _firsts(records: list[Record]) -> list[Record]:
    first: dict[Partition, Record] = {}
    for one in records:
        first.setdefault(one.partition, one)
    return list(first.values())


async def _visitors_after(connection: AsyncConnection, last: int | None) -> list[int]:
    behind = "" if last is None else " WHERE vid > :last"
    statement = text(f"SELECT DISTINCT vid FROM timeline{behind} ORDER BY vid LIMIT {_VISITORS}")
    rows = await connection.execute(statement, {} if last is None else {"last": last})
    return [vid for (vid,) in rows]
