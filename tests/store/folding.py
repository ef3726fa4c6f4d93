"""A store under test: records are made of events, folded in batches, and profiles made of what they mark."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import text

from eventlog.event import Event
from eventlog.log import Outgoing, Partition, Record
from eventlog.timestamps import parse_ms
from eventlog.topics import EVENTS, PROFILES, REJECTED, SESSIONS
from exporter.apply import Batch, apply
from exporter.assembly import make_profiles
from exporter.fold import EVENTS_TOPIC, REJECTED_TOPIC, fold_record
from exporter.lookup import Lookup
from exporter.outgoing import decode
from exporter.profile import Setting
from exporter.rules import Rules
from exporter.settings import ExporterSettings
from exporter.store import Store, open_store
from exporter.tables import METADATA
from tests.rules.events import DAY, RULES, START

NOW = START + 30 * DAY
PREFIX = "trackway."
TOPIC = PREFIX + EVENTS.name
REJECTED_NAME = PREFIX + REJECTED.name
_KEPT = ("shard", "sequence")


def record_of(event: Event | dict[str, Any] | bytes, partition: int, offset: int, topic: str = TOPIC) -> Record:
    """The record of an event (or of any bytes) as the log would hold it."""
    value = event if isinstance(event, bytes) else orjson.dumps(event)
    at = START if isinstance(event, bytes) else parse_ms(str(event["received_at"]))
    return Record(Partition(topic, partition), offset, b"0123456789abcdef", value, (), at)


@dataclass
class Shelf:
    """A store that is given records as the aggregator would."""

    store: Store
    settings: ExporterSettings
    rules: Rules
    now: int = NOW
    next: dict[Partition, int | None] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def lookup(self) -> Lookup:
        return Lookup(self.store, self.settings.model_copy(update={"rules": self.rules}))

    @property
    def setting(self) -> Setting:
        return Setting(self.rules, self.settings.secret.get_secret_value().encode(), self.now)

    def batch(self, records: Sequence[Record]) -> Batch:
        folded = [
            fold_record(one, EVENTS_TOPIC if one.partition.topic == TOPIC else REJECTED_TOPIC, self.rules)
            for one in records
        ]
        ends = {one.partition: one.offset + 1 for one in records}
        return Batch(folded, {one: self.next.get(one) for one in ends}, ends)

    async def apply(self, records: Sequence[Record]) -> None:
        batch = self.batch(records)
        self.counts += await apply(self.store, batch, PREFIX)
        self.next |= batch.ends

    async def make_profiles(self) -> None:
        while await make_profiles(self.store, self.setting, PREFIX):
            pass

    async def clear(self) -> None:
        """As when new: for the next of many random cases."""
        async with self.store.write() as connection:
            for table in METADATA.tables.values():
                if table.name not in _KEPT:
                    await connection.execute(text(f"DELETE FROM {table.name}"))
        self.next.clear()
        self.counts.clear()

    async def profiles(self) -> dict[tuple[str, str], dict[str, Any]]:
        found = await self.lookup.recent_profiles(1000)
        return {(one["root"]["kind"], one["root"]["value"]): one for one in found}

    async def sent(self) -> list[Outgoing]:
        """What waits in the outbox, in order."""
        async with self.store.read() as connection:
            rows = await connection.execute(text("SELECT body FROM outbox ORDER BY number"))
            return [record for (body,) in rows for record in decode(body, 0)]


@contextlib.asynccontextmanager
async def shelf_of(made: ExporterSettings, rules: Rules = RULES) -> AsyncIterator[Shelf]:
    """An open store."""
    store = await open_store(made)
    try:
        await store.migrate()
        yield Shelf(store, made, rules)
    finally:
        await store.close()


@contextlib.contextmanager
def shelf_of_examples(made: ExporterSettings) -> Iterator[tuple[Shelf, Callable[[Coroutine[Any, Any, None]], None]]]:
    """One open store for the many examples of a test that is no coroutine, and what runs each of them to its end."""
    with asyncio.Runner() as runner:
        opened = contextlib.AsyncExitStack()
        shelf = runner.run(opened.enter_async_context(shelf_of(made)))
        try:
            yield shelf, runner.run
        finally:
            runner.run(opened.aclose())


def spread(bodies: Sequence[Event | dict[str, Any]], chance: random.Random) -> list[list[Record]]:
    """Events, and what became none, as batches of records: in any order, over partitions of both topics, some twice."""
    copies = [*bodies, *(one for one in bodies if chance.random() < 0.2)]
    chance.shuffle(copies)
    offsets: Counter[Partition] = Counter()
    records = []
    for one in copies:
        place = Partition(TOPIC if "kind" in one else REJECTED_NAME, chance.randrange(2))
        records.append(record_of(one, place.number, offsets[place], place.topic))
        offsets[place] += 1
    batches = []
    while records:
        size = chance.randint(1, 9)
        batches.append(records[:size])
        records = records[size:]
    return batches


def readers_view(sent: Iterable[Outgoing]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a reader of the topics has: the last profile of each id; of each session the highest revision."""
    profiles: dict[str, Any] = {}
    sessions: dict[str, Any] = {}
    for record in sent:
        if record.topic == PREFIX + PROFILES.name:
            value = None if record.value is None else orjson.loads(record.value)
            if value is not None and (before := profiles.get(record.key.decode())) is not None:
                assert value["revision"] > before["revision"]
            profiles[record.key.decode()] = value
        elif record.topic == PREFIX + SESSIONS.name and record.value is not None:
            value = orjson.loads(record.value)
            before = sessions.get(value["id"])
            assert before is None or before["revision"] != value["revision"]
            if before is None or before["revision"] < value["revision"]:
                sessions[value["id"]] = value
    return (
        {one: value for one, value in profiles.items() if value is not None},
        {one: value for one, value in sessions.items() if value["state"] != "deleted"},
    )
