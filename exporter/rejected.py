"""Reads the rejected topic: what did not become an event, one by one or grouped by cause."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

import orjson

from eventlog.errors import Unavailable
from eventlog.log import Bounds, Partition, Record
from eventlog.opening import open_consumer
from eventlog.outcome import Outcome, cause_path
from eventlog.settings import LogSettings
from eventlog.timestamps import format_ms
from eventlog.topics import REJECTED
from exporter.replays import Place, replayed_of
from exporter.store import Store

# Few, because each may be as large as an event can be; so may a page.
_AT_ONCE: Final = 200
_PAGE_BYTES: Final = 8 * 1024 * 1024
_POLL_SECONDS: Final = 5.0
_SILENT_POLLS: Final = 6
# Records that one answer looks at, at most.
_SCANNED: Final = 50_000

# Of an event that should have become one.
REFUSED: Final = ("rejected", "poison")
STATUSES: Final = ("rejected", "poison", "filtered", "duplicate")


@dataclass(frozen=True, slots=True)
class Found:
    """One record of the rejected topic; `at` is its receive time in ms."""

    partition: int
    offset: int
    at: int
    outcome: Outcome

    @property
    def place(self) -> Place:
        return Place(self.partition, self.offset, self.at)

    @property
    def position(self) -> str:
        return f"{self.partition}/{self.offset}"

    @property
    def cause(self) -> str:
        """What stands for status, reason, source and path without indexes: the same for all that failed alike."""
        words = (*(str(self.outcome.get(name, "")) for name in ("status", "reason", "source")), self.path)
        return hashlib.sha256("\0".join(words).encode()).hexdigest()[:12]

    @property
    def path(self) -> str:
        return cause_path(self.outcome.get("path", ""))

    def row(self, replayed: Collection[Place]) -> dict[str, Any]:
        """Of a list: everything but the event itself. `replayed` are the places that were."""
        told: dict[str, Any] = {"record": self.position, "cause": self.cause, "received_at": format_ms(self.at)}
        for name in ("status", "reason", "source", "id", "path", "message"):
            told[name] = self.outcome.get(name, "")
        return told | {"kept": "event" in self.outcome, "replayed": self.place in replayed}


@dataclass(slots=True)
class Cause:
    """What failed alike. `kept` of its `count` can be replayed, `replayed` were; `sample` is the newest's id, or its
    record. Times in ms."""

    cause: str
    status: str
    reason: str
    source: str
    path: str
    message: str
    count: int = 0
    kept: int = 0
    replayed: int = 0
    first_seen: int = 0
    last_seen: int = 0
    sample: str = ""

    def add(self, found: Found, replayed: Collection[Place]) -> None:
        self.count += 1
        self.replayed += found.place in replayed
        self.kept += "event" in found.outcome
        self.first_seen = min(self.first_seen or found.at, found.at)
        if found.at >= self.last_seen:
            self.last_seen, self.sample = found.at, found.outcome.get("id") or found.position

    def row(self) -> dict[str, Any]:
        told = {name: getattr(self, name) for name in self.__slots__}
        return told | {"first_seen": format_ms(self.first_seen), "last_seen": format_ms(self.last_seen)}


class Wanted(NamedTuple):
    """Which records: received in [`start`, `end`) (ms), of one of `statuses`; an empty word lets all pass."""

    start: int
    end: int
    statuses: Collection[str] = REFUSED
    source: str = ""
    reason: str = ""
    cause: str = ""

    def passes(self, found: Found) -> bool:
        outcome = found.outcome
        return (
            self.start <= found.at < self.end
            and outcome["status"] in self.statuses
            and (not self.source or outcome.get("source") == self.source)
            and (not self.reason or outcome["reason"] == self.reason)
            and (not self.cause or found.cause == self.cause)
        )


@dataclass
class Scan:
    """How many records may be looked at; `complete` tells whether that were all."""

    most: int
    complete: bool = True


class Page(NamedTuple):
    """Records from some offsets on. `next` has the offsets that what comes behind it begins with; None at the end."""

    found: list[Found]
    next: dict[int, int] | None


async def read_rejected(settings: LogSettings, wanted: Wanted, scan: Scan | None = None) -> AsyncIterator[list[Found]]:
    """All records that are wanted, some at a time, each partition's in its order. Raises Unavailable."""
    async with aclosing(_records(settings, wanted.start)) as reading:
        async for records in reading:
            if scan is not None:
                if scan.most <= 0:
                    scan.complete = False
                    return
                scan.most -= len(records)
            yield [one for one in map(found_in, records) if one is not None and wanted.passes(one)]


async def read_page(settings: LogSettings, wanted: Wanted, after: Mapping[int, int], limit: int) -> Page:
    """At most `limit` records that are wanted, from the offsets `after` on. A page of large ones holds fewer, and one
    with few among many may. Raises Unavailable."""
    found: list[Found] = []
    following = dict(after)
    scanned = size = 0
    async with aclosing(_records(settings, wanted.start, after)) as reading:
        async for records in reading:
            for record in records:
                if len(found) >= limit or scanned >= _SCANNED or size >= _PAGE_BYTES:
                    return Page(found, following)
                scanned += 1
                following[record.partition.number] = record.offset + 1
                one = found_in(record)
                if one is not None and wanted.passes(one):
                    found.append(one)
                    size += len(record.value or b"")
    return Page(found, None)


async def read_at(settings: LogSettings, positions: Iterable[tuple[int, int]]) -> list[Found]:
    """The records at these places (partition, offset), as far as the log still has them. Raises Unavailable."""
    found = []
    for number, offset in positions:
        async with aclosing(_records(settings, 0, {number: offset}, only=number)) as reading:
            async for records in reading:
                here = [found_in(one) for one in records if one.offset == offset]
                found += [one for one in here if one is not None]
                break
    return found


async def read_causes(settings: LogSettings, store: Store, wanted: Wanted) -> tuple[list[Cause], bool]:
    """The causes of what is wanted, those of most records first, and whether all of it was looked at. Raises
    Unavailable."""
    causes: dict[str, Cause] = {}
    scan = Scan(_SCANNED)
    async for some in read_rejected(settings, wanted, scan):
        group(some, await replayed_of(store, [one.place for one in some]), causes)
    return most_first(causes), scan.complete


def group(found: Iterable[Found], replayed: Collection[Place], causes: dict[str, Cause]) -> None:
    """Count the records under their causes; `replayed` are the places that were."""
    for one in found:
        cause = causes.get(one.cause)
        if cause is None:
            told = one.outcome
            cause = causes[one.cause] = Cause(
                one.cause, told["status"], told["reason"], told.get("source", ""), one.path, told.get("message", "")
            )
        cause.add(one, replayed)


def most_first(causes: Mapping[str, Cause]) -> list[Cause]:
    """The causes, those of most records first."""
    return sorted(causes.values(), key=lambda one: (-one.count, -one.last_seen, one.cause))


def found_in(record: Record) -> Found | None:
    """The record; None where it is no outcome at all."""
    try:
        value = orjson.loads(record.value or b"")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict) or not all(isinstance(value.get(name), str) for name in ("status", "reason")):
        return None
    return Found(record.partition.number, record.offset, record.timestamp, cast(Outcome, value))


async def _records(
    settings: LogSettings, start: int, after: Mapping[int, int] | None = None, only: int | None = None
) -> AsyncGenerator[list[Record]]:
    """The records from `start` (ms) on, or from the offsets `after` on, to where the topic ends now."""
    left: dict[Partition, int] = {}

    # Before anything is fetched: afterwards each question would wait for a fetch to end.
    async def begin(_: frozenset[Partition]) -> dict[Partition, int]:
        bounds = await consumer.bounds()
        starts = await consumer.offsets_at(start) if start else {one: held.first for one, held in bounds.items()}
        for one, held in bounds.items():
            stated = (after or {}).get(one.number, starts[one])
            starts[one] = held.next if only not in (None, one.number) else _within(stated, held)
            if starts[one] < held.next:
                left[one] = held.next
        return starts

    consumer = open_consumer(settings, [REJECTED.full_name(settings.topic_prefix)], assigned=begin)
    await consumer.start()
    silent = 0
    try:
        while left:
            records = await consumer.poll(_AT_ONCE, _POLL_SECONDS)
            silent = 0 if records else silent + 1
            if silent == _SILENT_POLLS:
                raise Unavailable("the log does not give what it says it has")
            # What has come since is left for another time.
            known = [one for one in records if one.offset < left.get(one.partition, 0)]
            for one in records:
                if one.offset + 1 >= left.get(one.partition, one.offset + 2):
                    del left[one.partition]
            if known:
                yield known
    finally:
        await consumer.stop()


def _within(offset: int, held: Bounds) -> int:
    return max(held.first, min(offset, held.next))
