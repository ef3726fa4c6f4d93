"""The accounts, minute by minute: what collectors answered (C), the log and the spools hold (L), the store counted (S).

Law 1: for every minute of received_at, source and status, L = S up to the offsets the store has reached. Law 2: C = L
(answers.py). Each side is taken independently: C from the collectors' own files, L by reading the log from its own
offsets, S from the store's counters and, for what was accepted, from the traces it keeps of each record.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from eventlog.account import KEPT_DAYS, Key, Told, read_account
from eventlog.log import Bounds, Partition
from eventlog.slot import slot_folders
from eventlog.timestamps import DAY_MS, MINUTE_MS, now_ms
from eventlog.topics import TOPICS
from exporter.answers import Answers, Span, compare
from exporter.fold import EVENTS_TOPIC
from exporter.log_counts import ACCEPTED, Disks, LogCounts
from exporter.log_reading import read_log
from exporter.lookup import Counted, Lookup
from exporter.settings import ExporterSettings
from exporter.store import Store


@dataclass
class Accounts:
    """All sides. `log` goes up to the offsets the store has reached, `later` holds what stands after them, `behind` is
    how many of all times those are. `store` is what was counted, `forgotten` by how many accepted events fewer (or, if
    negative, more) are remembered one by one. `since`: the first minute (ms) that the log still holds whole, the first
    asked for where it holds all of it. `statuses`: how the store tells records apart. `disks`: what is not in the log
    but on collectors' own disks, `undeliverable` those of them that Kafka refuses for good."""

    log: Counter[Key] = field(default_factory=Counter)
    store: Counter[Key] = field(default_factory=Counter)
    forgotten: Counter[Key] = field(default_factory=Counter)
    later: Counter[Key] = field(default_factory=Counter)
    disks: Counter[Key] = field(default_factory=Counter)
    undeliverable: Counter[Key] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    answers: Answers = field(default_factory=Answers)
    behind: int = 0
    since: int = 0
    # Records that were made again of rejected ones; the same record stored twice (a twin of the collector's making);
    # events that name no collector.
    replayed: int = 0
    nameless: int = 0
    twins: int = 0

    @property
    def differences(self) -> list[Key]:
        """Where law 1 does not hold, oldest first."""
        keys = self.log.keys() | self.store.keys() | self.forgotten.keys()
        return sorted(key for key in keys if self.log[key] != self.store[key] or self.forgotten[key])

    @property
    def holds(self) -> bool:
        """Whether law 1 holds, law 2 does as far as it could be checked, and nothing acknowledged is undeliverable."""
        return not self.differences and self.answers.holds and not self.undeliverable

    @property
    def keys(self) -> list[Key]:
        """Every minute, source and status that anything was counted of."""
        sides = (self.log, self.store, self.forgotten, self.later, self.disks, self.answers.answered)
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
    now, folders = now_ms(), asked.folders or (settings.data,)
    # In this order: what is told of as answered is then on a disk or, if it has left that since, in the log.
    asked_from = span.start
    told = read_accounts(folders, asked_from, now)
    disks = Disks.read(folders, settings.topic_prefix)
    counted = await Lookup(store, settings).counted(span.start, span.end, span.source)
    log = LogCounts(settings, span, counted.reached, disks)
    bounds = await read_log(settings, log.topics, span.start, log.take)
    since = max(log.since, span.start, *(_since(one, bound, now) for one, bound in bounds.items()))
    span = replace(span, start=since)
    log.end(span)
    accounts = Accounts(log.reached, later=log.later, disks=log.disks, undeliverable=log.undeliverable, since=since)
    accounts.behind = sum(bound.next - counted.reached.get(one, bound.first) for one, bound in bounds.items())
    accounts.replayed, accounts.nameless = log.replayed, log.nameless
    _add_store(accounts, counted, max(since, now - settings.trace_days * DAY_MS + MINUTE_MS))
    span = replace(span, start=max(since, (now // DAY_MS - KEPT_DAYS) * DAY_MS))
    accounts.twins = await log.discount_twins(told, span)
    if not any(one.moving for one in told) and read_accounts(folders, asked_from, now) == told:
        # Nobody was at work meanwhile, so that the newest minute can be taken too.
        for one in told:
            one.settled = span.end
    accounts.answers = compare(told, log.held, span)
    return accounts


def read_accounts(folders: Sequence[Path], start: int, now: int) -> list[Told]:
    """What the collectors of these data folders tell, each once."""
    found = [read_account(slot, start, now) for folder in folders for slot in slot_folders(folder)]
    return list({one.name: one for one in reversed(found) if one is not None}.values())


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


def by_source(accounts: Accounts) -> Iterable[tuple[str, str, Totals]]:
    """(source, status, its sums over the minutes)."""
    sums: defaultdict[tuple[str, str], Totals] = defaultdict(Totals)
    for minute, source, status in accounts.keys:
        key = minute, source, status
        sums[source, status].add(totals_of(accounts, key))
    return [(*key, one) for key, one in sorted(sums.items())]


@dataclass(slots=True)
class Totals:
    """One line of the accounts, of one minute or of many. `held`: in log or on disk with a collector's receipt."""

    answered: int = 0
    held: int = 0
    disks: int = 0
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
        accounts.disks[key],
        accounts.log[key],
        accounts.later[key],
        accounts.store[key],
        accounts.forgotten[key],
    )
