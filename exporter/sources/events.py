"""Interactions from the event log, in the order of each partition, up to where the log ends when the pass begins.

Only what the aggregator has read is forwarded: of the rest it is not known yet whether its person objects by now.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Final, Literal

import orjson
import structlog

from eventlog.errors import Unavailable
from eventlog.event import Event
from eventlog.log import Bounds, Consumer, Partition, Record
from eventlog.opening import open_consumer
from eventlog.profile import IdentifierKind
from eventlog.topics import EVENTS
from exporter.fold import EVENTS_TOPIC, fold_record
from exporter.interaction import NO_INTERACTIONS, rows_of
from exporter.lease import pause
from exporter.lookup import Lookup
from exporter.member import Member, consent_of
from exporter.settings import ExporterSettings
from exporter.sources.item import Cursor, Item, SourceError, Withheld
from exporter.sources.profiles import may_be_shared, third_party_sharing
from exporter.workflow import WorkflowSettings

_log = structlog.get_logger(__name__)

_PAGE: Final = 500
_PATIENCE: Final = 10.0
_ASK_EVERY: Final = 0.1
_STANDSTILL: Final = 30.0


class EventLog:
    """The cursor is the next offset of each partition, by the partition's number as text. The aggregator is given
    `patience` seconds to read up to the log's end, or until `stop` is set; the next pass takes what it has not read by
    then."""

    def __init__(
        self,
        settings: ExporterSettings,
        lookup: Lookup,
        workflow: WorkflowSettings,
        patience: float = _PATIENCE,
        stop: asyncio.Event | None = None,
    ) -> None:
        self._patience = patience
        self._stop = stop or asyncio.Event()
        self._settings = settings
        self._lookup = lookup
        self._names = frozenset(workflow.from_.names)
        self._consent: Literal["required", "implied"] = workflow.consent
        self._topic = EVENTS.full_name(settings.topic_prefix)
        self._next: dict[str, int] = {}
        self._ends: dict[str, int] = {}
        # What the persons of the records in hand said last on being passed on.
        self._today: dict[tuple[IdentifierKind, str], bool | None] = {}

    @property
    def reached(self) -> Cursor:
        """Where the next pass begins: also behind records that gave no item."""
        return dict(self._next)

    async def iterate(self, since: int | None, cursor: Cursor) -> AsyncGenerator[Item]:
        """`since` says nothing here: the log has offsets."""

        async def begin(_: frozenset[Partition]) -> Mapping[Partition, int]:
            return self._begin(await consumer.bounds(), cursor or {})

        consumer = open_consumer(self._settings, [self._topic], assigned=begin)
        try:
            await consumer.start()
            await self._wait_for_the_aggregator()
            async for item in self._items(consumer):
                yield item
        except Unavailable as error:
            raise SourceError(f"the event log does not answer: {error}") from None
        finally:
            await consumer.stop()

    def _begin(self, bounds: Mapping[Partition, Bounds], cursor: Mapping[str, int]) -> Mapping[Partition, int]:
        starts: dict[Partition, int] = {}
        for partition, held in bounds.items():
            name = str(partition.number)
            wanted = cursor.get(name, held.first)
            if wanted > held.next:
                raise SourceError(
                    f"partition {name} of {self._topic} ends at {held.next}, before what was exported ({wanted}): it "
                    "is another log; `--full` begins with it anew and sends nothing again that has the same event id"
                )
            if wanted < held.first:
                _log.warning("events_expired_unexported", partition=partition.number, events=held.first - wanted)
            starts[partition] = max(wanted, held.first)
            self._next[name], self._ends[name] = starts[partition], held.next
        return starts

    async def _wait_for_the_aggregator(self) -> None:
        """Shorten the pass to what the store has folded in the end."""
        until = time.monotonic() + self._patience
        while any(end > folded for end, folded in await self._folded()) and time.monotonic() < until:
            if self._stop.is_set():
                break
            await pause(self._stop, _ASK_EVERY)
        behind = 0
        for (end, folded), name in zip(await self._folded(), self._ends, strict=True):
            self._ends[name] = min(end, folded)
            behind += end - self._ends[name]
        if behind:
            _log.warning("export_waits_for_the_aggregator", events=behind)

    async def _folded(self) -> list[tuple[int, int]]:
        """(end of the pass, next offset the store will fold) of each partition; one with nothing to read is done."""
        folded = {
            str(one.number): at for one, at in (await self._lookup.positions()).items() if one.topic == self._topic
        }
        return [(end, folded.get(name, self._next[name])) for name, end in self._ends.items()]

    async def _items(self, consumer: Consumer) -> AsyncGenerator[Item]:
        moved = time.monotonic()
        while any(self._next[name] < end for name, end in self._ends.items()):
            records = await consumer.poll(_PAGE, 1.0)
            self._today.clear()
            for record in records:
                name = str(record.partition.number)
                if record.offset >= self._ends[name]:
                    continue
                moved = time.monotonic()
                before = self.reached
                self._next[name] = record.offset + 1
                for item in await self._of(record, before):
                    yield item
            if time.monotonic() - moved > _STANDSTILL:
                raise SourceError(f"{self._topic} gave nothing for {_STANDSTILL:.0f} s although there is more to read")

    async def _of(self, record: Record, before: Cursor) -> list[Item]:
        """The items of a record. Only the last one's cursor is behind the record."""
        member = fold_record(record, EVENTS_TOPIC, self._settings.rules).member
        if (
            member is None
            or member.bot
            or member.name in NO_INTERACTIONS
            or (self._names and member.name not in self._names)
        ):
            return []
        event: Event = orjson.loads(record.value or b"")
        rows = rows_of(event, member)
        withheld = await self._withheld(member)
        keys = [orjson.dumps((member.source, member.id, row.get("line", 0))).decode() for row in rows]
        cursors = [before] * (len(rows) - 1) + [self.reached]
        return [Item(key, cursor, row, withheld=withheld) for key, cursor, row in zip(keys, cursors, rows, strict=True)]

    async def _withheld(self, member: Member) -> Withheld | None:
        """The event's own statement must allow it, and the person must not have said no since."""
        stated = consent_of(member)
        then = stated.get("third_party_sharing")
        if then is None and stated.get("gpc"):
            then = False
        if not may_be_shared(then, self._consent):
            return "no_consent"
        return "no_consent" if await self._record_today(member) is False else None

    async def _record_today(self, member: Member) -> bool | None:
        named: tuple[tuple[IdentifierKind, str | None], ...] = (
            ("user", member.user),
            ("anon", member.anon),
            ("email", member.email),
            ("ruid", member.ruid),
        )
        for kind, value in named:
            if value is not None:
                if (kind, value) not in self._today:
                    profile = await self._lookup.find_profile(kind, value)
                    self._today[kind, value] = third_party_sharing(profile)
                return self._today[kind, value]
        return None
