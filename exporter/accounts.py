"""The accounts, minute by minute: what collectors answered (C), the log and the spools hold (L), the store counted (S).

Law 1: for every minute of received_at, source and status, L = S up to the offsets the store has reached. Law 2: C = L
(answers.py). Each side is taken independently: C from the collectors' own files, L by reading the log from its own
offsets, S from the store's counters and, for what was accepted, from the traces it keeps of each record.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from eventlog.account import COLLECTOR_HEADER, KEPT_DAYS, REPLAYED_HEADER, Key, Told, read_account
from eventlog.log import Bounds, Partition, Record
from eventlog.slot import slot_folders
from eventlog.timestamps import DAY_MS, MINUTE_MS, now_ms
from eventlog.topics import EVENTS, REJECTED, TOPICS
from exporter.answers import Answers, Span, compare, excess_of
from exporter.fold import EVENTS_TOPIC, header, source_of, value_of
from exporter.log_reading import read_log
from exporter.lookup import Counted, Lookup
from exporter.settings import ExporterSettings
from exporter.store import Store

_STATUSES = ("rejected", "filtered", "duplicate", "poison")
# What receipts call what stands in the events topic; the store tells four kinds of it apart.
ACCEPTED = "accepted"


@dataclass
class Accounts:
    """All sides. `log` goes up to the offsets the store has reached, `later` holds what stands after them, `behind` is
    how many of all times those are. `store` is what was counted, `forgotten` by how many accepted events fewer (or, if
    negative, more) are remembered one by one. `since`: the first minute (ms) that the log still holds whole, the first
    asked for where it holds all of it. `statuses`: how the store tells records apart."""

    log: Counter[Key] = field(default_factory=Counter)
    store: Counter[Key] = field(default_factory=Counter)
    forgotten: Counter[Key] = field(default_factory=Counter)
    later: Counter[Key] = field(default_factory=Counter)
    spooled: Counter[Key] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    answers: Answers = field(default_factory=Answers)
    behind: int = 0
    since: int = 0
    # Records that were made again of rejected ones; the same record stored twice (a twin of the collector's making).
    replayed: int = 0
    twins: int = 0

    @property
    def differences(self) -> list[Key]:
        """Where law 1 does not hold, oldest first."""
        keys = self.log.keys() | self.store.keys() | self.forgotten.keys()
        return sorted(key for key in keys if self.log[key] != self.store[key] or self.forgotten[key])

    @property
    def holds(self) -> bool:
        """Whether law 1 holds, and law 2 as far as it could be checked."""
        return not self.differences and self.answers.holds

    @property
    def keys(self) -> list[Key]:
        """Every minute, source and status that anything was counted of."""
        sides = (self.log, self.store, self.forgotten, self.later, self.spooled, self.answers.answered)
        return sorted({key for side in sides for key in side})


@dataclass(frozen=True, slots=True)
class Asked:
    """Of which `source` (None: of all), and the data `folders` of all machines that run collectors (empty: this one's).
    `stated`: sources whose senders say themselves when something was received."""

    source: str | None = None
    folders: Sequence[Path] = ()
    stated: frozenset[str] = frozenset()


async def take_accounts(
    settings: ExporterSettings, store: Store, start: int, end: int, asked: Asked = Asked()
) -> Accounts:
    """The accounts of the minutes from that of `start` to that of `end` (ms). Raises Unavailable."""
    span = Span(start // MINUTE_MS * MINUTE_MS, -(-end // MINUTE_MS) * MINUTE_MS, asked.source, asked.stated)
    now = now_ms()
    # In this order: what is told of as answered is then in a spool or, if it has left that since, in the log.
    told = read_accounts(asked.folders or (settings.data,), span.start, now)
    counted = await Lookup(store, settings).counted(span.start, span.end, span.source)
    counting = _Counting(settings, span, counted.reached)
    bounds = await read_log(settings, counting.topics, span.start, counting.take)
    accounts = counting.accounts
    accounts.behind = sum(bound.next - counted.reached.get(one, bound.first) for one, bound in bounds.items())
    accounts.since = max(accounts.since, span.start, *(_since(one, bound, now) for one, bound in bounds.items()))
    _add_store(accounts, counted, max(accounts.since, now - settings.trace_days * DAY_MS + MINUTE_MS))
    for counts in (accounts.log, accounts.later):
        for key in [key for key in counts if key[0] < accounts.since]:
            del counts[key]
    kept = replace(span, start=max(accounts.since, (now // DAY_MS - KEPT_DAYS) * DAY_MS))
    accounts.twins = await _discount_twins(settings, told, counting, kept)
    accounts.answers = compare(told, counting.held, kept)
    return accounts


def read_accounts(folders: Sequence[Path], start: int, now: int) -> list[Told]:
    """What the collectors of these data folders tell, each once."""
    found = [read_account(slot, start, now) for folder in folders for slot in slot_folders(folder)]
    return list({one.name: one for one in reversed(found) if one is not None}.values())


class _Counting:
    """The log's side of both laws, in one reading."""

    def __init__(self, settings: ExporterSettings, span: Span, reached: Mapping[Partition, int]) -> None:
        self._span = span
        self._reached = reached
        self._events = EVENTS.full_name(settings.topic_prefix)
        self.topics = [self._events, REJECTED.full_name(settings.topic_prefix)]
        self.accounts = Accounts()
        # Of each collector what log and spools hold.
        self.held: defaultdict[str, Counter[Key]] = defaultdict(Counter)

    def take(self, record: Record, bounds: Bounds) -> None:
        """Count a record of the log."""
        key = self.key_of(record)
        if record.offset == bounds.first > 0 and key[0] >= self._span.start:
            # What stood before it has expired: only from the next minute on is nothing missing.
            self.accounts.since = max(self.accounts.since, key[0] + MINUTE_MS)
        if not self._span.has(key):
            return
        reached = record.offset < self._reached.get(record.partition, bounds.first)
        (self.accounts.log if reached else self.accounts.later)[key] += 1
        if header(record, REPLAYED_HEADER):
            self.accounts.replayed += 1
        elif collector := header(record, COLLECTOR_HEADER):
            self.held[collector][key] += 1

    def key_of(self, record: Record) -> Key:
        """What the record is counted under."""
        value = value_of(record)
        minute = record.timestamp // MINUTE_MS * MINUTE_MS
        return minute, source_of(record, value), self._status(record.partition.topic, value)

    def _status(self, topic: str, value: Any) -> str:
        if topic == self._events:
            return ACCEPTED
        status = value.get("status") if isinstance(value, dict) else None
        return status if status in _STATUSES else "unknown"


def _since(partition: Partition, bounds: Bounds, now: int) -> int:
    """Where nothing is left of what a partition held, all that is known is how long it keeps records."""
    if not bounds.first == bounds.next > 0:
        return 0
    topic = next(topic for topic in TOPICS if partition.topic.endswith(topic.name))
    return (now - topic.retention_ms) // MINUTE_MS * MINUTE_MS


def _add_store(accounts: Accounts, counted: Counted, remembered_since: int) -> None:
    for count in counted.counts:
        if count.minute < accounts.since:
            continue
        of_events = count.topic == EVENTS_TOPIC
        key = count.minute, count.source, ACCEPTED if of_events else count.status
        accounts.store[key] += count.n
        if of_events or count.status != "poison":
            accounts.statuses[count.status] += count.n
        if of_events and count.status != "poison" and count.minute >= remembered_since:
            accounts.forgotten[key] += count.n
    for (minute, source), n in counted.remembered.items():
        if minute >= max(accounts.since, remembered_since):
            accounts.forgotten[minute, source, ACCEPTED] -= n


async def _discount_twins(settings: ExporterSettings, told: Sequence[Told], counting: _Counting, span: Span) -> int:
    """Where more is stored than was answered, leave out records that are there twice, byte for byte: a producer that
    was replaced sent them again. Answers how many."""
    excess = excess_of(told, counting.held, span)
    if not excess:
        return 0
    seen: set[bytes] = set()
    twins: Counter[tuple[str, Key]] = Counter()

    def visit(record: Record, _: Bounds) -> None:
        collector = header(record, COLLECTOR_HEADER)
        if collector not in excess or header(record, REPLAYED_HEADER):
            return
        key = counting.key_of(record)
        if key in excess[collector]:
            digest = blake2b(record.partition.topic.encode() + b"\0" + (record.value or b""), digest_size=16).digest()
            twins[collector, key] += digest in seen
            seen.add(digest)

    await read_log(settings, counting.topics, min(key[0] for keys in excess.values() for key in keys), visit)
    answered = {one.name: one.answered for one in told}
    total = 0
    for (collector, key), n in twins.items():
        n = min(n, counting.held[collector][key] - answered[collector][key])
        counting.held[collector][key] -= n
        total += n
    return total


def by_source(accounts: Accounts) -> Iterable[tuple[str, str, Totals]]:
    """(source, status, its sums over the minutes)."""
    sums: defaultdict[tuple[str, str], Totals] = defaultdict(Totals)
    for minute, source, status in accounts.keys:
        key = minute, source, status
        sums[source, status].add(totals_of(accounts, key))
    return [(*key, one) for key, one in sorted(sums.items())]


@dataclass(slots=True)
class Totals:
    """One line of the accounts, of one minute or of many. `held`: in log and spools with a collector's receipt."""

    answered: int = 0
    held: int = 0
    spooled: int = 0
    log: int = 0
    later: int = 0
    store: int = 0
    forgotten: int = 0

    def add(self, other: Totals) -> None:
        """Sum up."""
        for name in Totals.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


def totals_of(accounts: Accounts, key: Key) -> Totals:
    """All sides of one minute, source and status."""
    return Totals(
        accounts.answers.answered[key],
        accounts.answers.held[key],
        accounts.spooled[key],
        accounts.log[key],
        accounts.later[key],
        accounts.store[key],
        accounts.forgotten[key],
    )
