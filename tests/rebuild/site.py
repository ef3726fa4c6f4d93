"""A log and a store that was folded from it, in random batches; and what comparing and rebuilding find."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson

from eventlog.event import Event
from eventlog.log import Outgoing, Partition, Record
from eventlog.opening import open_consumer, open_producer
from eventlog.timestamps import parse_ms
from eventlog.topics import EVENTS, REJECTED
from exporter.compare import Difference
from exporter.rebuild import compare, rebuild
from exporter.rules import Rules
from exporter.settings import ExporterSettings
from tests.store.folding import Shelf, shelf_of
from tests.store.test_profiles import agree


class Site:
    """One log, one store."""

    def __init__(self, shelf: Shelf, chance: random.Random) -> None:
        self.shelf = shelf
        self.chance = chance
        self.events: list[Event] = []

    @property
    def settings(self) -> ExporterSettings:
        return self.shelf.settings

    def use(self, settings: ExporterSettings) -> None:
        """From now on these settings are in force."""
        self.shelf.settings, self.shelf.rules = settings, settings.rules

    async def post(self, events: Sequence[Event], *others: dict[str, Any], copies: float = 0.2) -> None:
        """Into the log in any order, some of them twice, copies perhaps into another partition."""
        self.events += events
        bodies: list[Any] = [*events, *(one for one in events if self.chance.random() < copies), *others]
        self.chance.shuffle(bodies)
        producer = open_producer(self.settings)
        await producer.start()
        await producer.append([self._outgoing(one) for one in bodies])
        await producer.stop()

    async def fold(self, at_once: int = 8) -> None:
        """As aggregators would: batches of any size, partitions in any order, profiles made now and then."""
        lanes = await self._unread()
        while lanes:
            some = []
            for _ in range(self.chance.randint(1, at_once)):
                if lanes:
                    lane = self.chance.choice(sorted(lanes))
                    some.append(lanes[lane].pop(0))
                    if not lanes[lane]:
                        del lanes[lane]
            await self.shelf.apply(some)
            if self.chance.random() < 0.5:
                await self.shelf.make_profiles()

    async def compare(self) -> list[Difference]:
        return list((await compare(self.settings, self.shelf.store, _quiet, lambda: self.shelf.now)).differences)

    async def rebuild(self, *, drop_history: bool = False) -> list[Difference]:
        found = await rebuild(
            self.settings, self.shelf.store, _quiet, lambda: self.shelf.now, drop_history=drop_history
        )
        return list(found.differences)

    async def agree(self) -> None:
        """The store and its topics' readers have what the rules give."""
        await agree(self.shelf, self.events)

    def _outgoing(self, body: Any) -> Outgoing:
        topic = EVENTS if "kind" in body else REJECTED
        key = b"%d" % self.chance.randrange(3)
        name = topic.full_name(self.settings.topic_prefix)
        return Outgoing(name, key, orjson.dumps(body), (), parse_ms(str(body["received_at"])))

    async def _unread(self) -> dict[Partition, list[Record]]:
        async def begin(_: frozenset[Partition]) -> dict[Partition, int]:
            bounds.update(await consumer.bounds())
            return {one: self.shelf.next.get(one) or bound.first for one, bound in bounds.items()}

        bounds: dict[Partition, Any] = {}
        topics = [topic.full_name(self.settings.topic_prefix) for topic in (EVENTS, REJECTED)]
        consumer = open_consumer(self.settings, topics, assigned=begin)
        await consumer.start()
        lanes: dict[Partition, list[Record]] = {}
        while records := await consumer.poll(1000, 0.01):
            for record in records:
                lanes.setdefault(record.partition, []).append(record)
        await consumer.stop()
        return lanes


@contextlib.asynccontextmanager
async def site_of(settings: ExporterSettings, seed: int = 1) -> AsyncIterator[Site]:
    async with shelf_of(settings, settings.rules) as shelf:
        yield Site(shelf, random.Random(seed))


def with_rules(settings: ExporterSettings, rules: Rules) -> ExporterSettings:
    return settings.model_copy(update={"rules": rules})


def _quiet(_: int, __: int) -> None:
    pass
