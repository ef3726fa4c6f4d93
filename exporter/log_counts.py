"""L: what stands in the log, and what waits on the collectors' own disks, by minute, source and status."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from eventlog.account import COLLECTOR_HEADER, REPLAYED_HEADER, Key, Told
from eventlog.log import Bounds, Outgoing, Partition, Record
from eventlog.refused import refused
from eventlog.settings import LogSettings
from eventlog.spool import undelivered
from eventlog.timestamps import MINUTE_MS
from eventlog.topics import EVENTS, REJECTED
from exporter.answers import Span, excess_of
from exporter.fold import source_of, value_of
from exporter.log_reading import read_log
from exporter.searching import refused_record

_STATUSES: Final = ("rejected", "filtered", "duplicate", "poison")
# What receipts call what stands in the events topic; the store tells four kinds of it apart.
ACCEPTED: Final = "accepted"

# Of records that were made again of rejected ones: whatever collector they name, it did not answer them.
_REPLAYED: Final = "replayed"

# The collector whose receipt a record has ("": none), and what it is counted under.
_Place = tuple[str, Key]


@dataclass(slots=True)
class _Waiting:
    place: _Place
    undeliverable: bool
    n: int = 1


@dataclass(slots=True)
class Disks:
    """What collectors hold that is not known to be in the log, by digests of topic and value. A record may stand in two
    spools, or in one and in the log, because a process died between sending it and noting so: it counts once."""

    waiting: dict[bytes, _Waiting] = field(default_factory=dict)

    @classmethod
    def read(cls, folders: Sequence[Path], topic_prefix: str) -> Disks:
        """Everything in these data folders."""
        disks = cls()
        events = EVENTS.full_name(topic_prefix)
        for folder in folders:
            for record in map(refused_record, refused(folder)):
                disks.waiting[_digest(record.topic, record.value)] = _Waiting(_place(record, events), True)
            for record in undelivered(folder):
                known = disks.waiting.setdefault(
                    _digest(record.topic, record.value), _Waiting(_place(record, events), False, 0)
                )
                known.n += not known.undeliverable
        return disks

    def found(self, record: Record) -> None:
        """It is in the log."""
        known = self.waiting.get(_digest(record.partition.topic, record.value)) if self.waiting else None
        if known is not None and not known.undeliverable:
            known.n = max(0, known.n - 1)


class LogCounts:
    """Counts in one reading what both laws need. Records below the offsets the store has `reached` are in `reached`,
    the others in `later`; `held` has, by collector, what it gave a receipt for, on disks too."""

    def __init__(self, settings: LogSettings, span: Span, reached: Mapping[Partition, int], disks: Disks) -> None:
        self._settings = settings
        self._span = span
        self._offsets = reached
        self._disks = disks
        self._events = EVENTS.full_name(settings.topic_prefix)
        self.topics = [self._events, REJECTED.full_name(settings.topic_prefix)]
        self.reached: Counter[Key] = Counter()
        self.later: Counter[Key] = Counter()
        self.disks: Counter[Key] = Counter()
        self.undeliverable: Counter[Key] = Counter()
        self.held: defaultdict[str, Counter[Key]] = defaultdict(Counter)
        self.replayed = 0
        # Events that name no collector.
        self.nameless = 0
        self.since = 0

    def take(self, record: Record, bounds: Bounds) -> None:
        """Count a record of the log."""
        collector, key = _place(record, self._events)
        if record.offset == bounds.first > 0 and key[0] >= self._span.start:
            # What stood before it has expired: only from the next minute on is nothing missing.
            self.since = max(self.since, key[0] + MINUTE_MS)
        self._disks.found(record)
        if not self._span.has(key):
            return
        reached = record.offset < self._offsets.get(record.partition, bounds.first)
        (self.reached if reached else self.later)[key] += 1
        if collector == _REPLAYED:
            self.replayed += 1
        elif collector:
            self.held[collector][key] += 1
        else:
            self.nameless += key[2] == ACCEPTED

    def end(self, span: Span) -> None:
        """The log is read, and of its minutes these are whole: leave out the others, and add what is on disks."""
        for counts in (self.reached, self.later):
            for key in [key for key in counts if not span.has(key)]:
                del counts[key]
        for one in self._disks.waiting.values():
            collector, key = one.place
            if one.n and span.has(key):
                self.disks[key] += one.n
                self.held[collector][key] += one.n
                if one.undeliverable:
                    self.undeliverable[key] += one.n
        for nobody in ("", _REPLAYED):
            self.held.pop(nobody, None)

    async def discount_twins(self, told: Sequence[Told], span: Span) -> int:
        """Where more is stored than was answered, leave out records that are there twice, byte for byte: a producer
        that was replaced sent them again. Answers how many."""
        excess = excess_of(told, self.held, span)
        if not excess:
            return 0
        seen: set[bytes] = set()
        twins: Counter[_Place] = Counter()
        for digest, one in self._disks.waiting.items():
            if one.n and one.place[1] in excess.get(one.place[0], ()):
                twins[one.place] += one.n - 1
                seen.add(digest)

        def visit(record: Record, _: Bounds) -> None:
            place = _place(record, self._events)
            if place[1] in excess.get(place[0], ()):
                digest = _digest(record.partition.topic, record.value)
                twins[place] += digest in seen
                seen.add(digest)

        await read_log(self._settings, self.topics, min(min(keys)[0] for keys in excess.values()), visit)
        answered = {one.name: one.answered for one in told}
        total = 0
        for (collector, key), n in twins.items():
            n = min(n, self.held[collector][key] - answered[collector][key])
            self.held[collector][key] -= n
            total += n
        return total


def _place(record: Record | Outgoing, events: str) -> _Place:
    value = value_of(record)
    topic = record.topic if isinstance(record, Outgoing) else record.partition.topic
    key = record.timestamp // MINUTE_MS * MINUTE_MS, source_of(record, value), _status(value, topic == events)
    headers = dict(record.headers)
    collector = (
        _REPLAYED if REPLAYED_HEADER in headers else headers.get(COLLECTOR_HEADER, b"").decode("utf-8", "replace")
    )
    return collector, key


def _status(value: Any, is_event: bool) -> str:
    if is_event:
        return ACCEPTED
    status = value.get("status") if isinstance(value, dict) else None
    return status if status in _STATUSES else "unknown"


def _digest(topic: str, value: bytes | None) -> bytes:
    return blake2b(topic.encode() + b"\0" + (value or b""), digest_size=16).digest()
