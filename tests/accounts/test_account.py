"""A collector's account on its disk: what is read of it is what was answered, whatever became of process and disk."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.account_file import AccountFile
from collector.answered import Answered
from collector.intake import Context, Receipt, Topics
from collector.settings import Limits
from eventlog.account import (
    IDLE_MS,
    SILENT_MS,
    Death,
    Key,
    Line,
    Mark,
    by_minute,
    day_file,
    lines_of,
    read_account,
    told,
)
from eventlog.log import Outgoing
from eventlog.outcome import Status
from eventlog.timestamps import DAY_MS, MINUTE_MS, format_ms, now_ms
from exporter.answers import Span, compare

NOON = 1_795_575_600_000
STATUSES: tuple[Status, ...] = ("accepted", "duplicate", "filtered", "rejected")


def context(now: int) -> Context:
    return Context(
        source="shop", protocol="segment", server_key=True, required_consent=False, respect_dnt=True, filter_bots=False,
        limits=Limits(), topics=Topics("events", "rejected"), secret=b"s", now=now, cookie_id=None,
        received_at=format_ms(now), client={}, describe=lambda address, agent: {}, gpc=False, dnt=False,
    )  # fmt: skip


def receipts(chance: random.Random, most: int) -> list[Receipt]:
    record = Outgoing("events", b"", b"", (), 0)
    return [Receipt("e", chance.choice(STATUSES), record) for _ in range(chance.randint(1, most))]


class Life:
    """A collector and what the log would hold of it: requests come, are answered, fail, and the process dies."""

    def __init__(self, slot: Path, chance: random.Random) -> None:
        self.answered = Answered(slot)
        self.chance = chance
        self.stored: Counter[Key] = Counter()
        self.given: Counter[Key] = Counter()
        self.open: list[tuple[int, list[Receipt], Context]] = []

    def step(self) -> None:
        if self.open and self.chance.random() < 0.5:
            self.close_one()
            return
        some, its = receipts(self.chance, 40), context(now_ms())
        self.open.append((self.answered.begin(len(some)), some, its))

    def close_one(self) -> None:
        number, some, its = self.open.pop(self.chance.randrange(len(self.open)))
        if self.chance.random() < 0.8:
            self.store(some, its)
            self.answered.give(number, some, its)
            self.count(self.given, some, its)
        else:
            if self.chance.random() < 0.5:
                self.store(some, its)
            self.answered.fail(number, some, its)

    def die(self) -> None:
        """Of what is under way something is stored."""
        for _, some, its in self.open:
            if self.chance.random() < 0.7:
                self.store(some, its)
        self.open.clear()

    def store(self, some: list[Receipt], its: Context) -> None:
        self.count(self.stored, some, its)

    @staticmethod
    def count(counts: Counter[Key], some: list[Receipt], its: Context) -> None:
        for receipt in some:
            counts[its.now // MINUTE_MS * MINUTE_MS, its.source, receipt.status] += 1


async def a_stop(life: Life, steps: int) -> None:
    async with life.answered.kept():
        for _ in range(steps):
            life.step()
        while life.open:
            life.close_one()


async def a_death(life: Life, steps: int) -> None:
    kept = life.answered.kept()
    await kept.__aenter__()
    for _ in range(steps):
        life.step()
    life.die()
    # The process is gone: nothing of the block's end is written.
    life.answered._file = None


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.booleans(), min_size=1, max_size=3), st.integers(0, 100))
def test_law_2_holds_for_whatever_a_collector_goes_through_and_for_nothing_less(
    tmp_path_factory: pytest.TempPathFactory, seed: int, ends: list[bool], steps: int
) -> None:
    chance = random.Random(seed)
    slot = tmp_path_factory.mktemp("slot")
    start, stored, given = now_ms() // MINUTE_MS * MINUTE_MS, Counter[Key](), Counter[Key]()
    for dies in ends:
        life = Life(slot, chance)
        asyncio.run((a_death if dies else a_stop)(life, steps))
        stored += life.stored
        given += life.given
    later = now_ms() + 2 * SILENT_MS
    account = read_account(slot, start, later)
    assert account is not None
    assert len(account.deaths) == sum(ends)
    span = Span(start, later)
    laws = compare([account], {account.name: stored}, span)
    assert laws.holds, laws.faults
    assert laws.unanswered == stored.total() - laws.answered.total()
    # An account is never ahead of what was answered, and behind only by what it said it could be.
    assert account.answered <= given
    assert given.total() - account.answered.total() <= sum(death.most for death in account.deaths)
    if not any(ends):
        assert account.answered == given
    for key in account.answered:
        # One answered record fewer than was told of.
        less = stored.copy()
        less[key] = account.answered[key] - 1
        (fault, *_) = compare([account], {account.name: less}, span).faults
        assert (fault.key, fault.held, fault.answered) == (key, less[key], account.answered[key])
        # One record more than anything explains.
        more = stored.copy()
        more[key] = account.answered[key] + account.failed[key] + sum(death.most for death in account.deaths) + 1
        assert key in [one.key for one in compare([account], {account.name: more}, span).faults]


def test_each_death_explains_its_events_once_and_only_in_its_minutes() -> None:
    lines = [
        Line(NOON, "start", most=10),
        Line(NOON + 1000, answered=Counter({(NOON, "shop", "accepted"): 5}), most=4, oldest=NOON - 500),
        Line(NOON + 5000, "start", most=10),
        Line(NOON + 2 * MINUTE_MS, "stop"),
    ]
    account = told("a", lines, NOON - MINUTE_MS, NOON + DAY_MS)
    assert account.deaths == [Death(NOON - MINUTE_MS, NOON, 4)]
    before, at, after = ((NOON + minutes * MINUTE_MS, "shop", "accepted") for minutes in (-1, 0, 1))
    span = Span(NOON - MINUTE_MS, NOON + DAY_MS)
    for held, unanswered, faults in (
        ({at: 9}, 4, []),
        ({before: 1, at: 8}, 4, []),
        ({at: 10}, 5, [at]),
        ({before: 3, at: 7}, 5, [at]),
        ({at: 5, after: 1}, 1, [after]),
        ({at: 4}, -1, [at]),
    ):
        laws = compare([account], {"a": Counter(held)}, span)
        assert ([fault.key for fault in laws.faults], laws.unanswered if unanswered > 0 else unanswered) == (
            faults,
            unanswered,
        )


def test_what_is_in_motion_is_only_checked_for_losses() -> None:
    now = NOON + 3 * MINUTE_MS
    lines = [Line(NOON, "start", most=10), Line(now - IDLE_MS, answered=Counter({(NOON, "shop", "accepted"): 1}))]
    account = told("a", lines, NOON, now)
    assert (account.settled, account.deaths) == (now - IDLE_MS, [])
    moving = (now - MINUTE_MS, "shop", "accepted")
    settled = (now - 2 * MINUTE_MS, "shop", "accepted")
    one = {(NOON, "shop", "accepted"): 1}
    assert compare([account], {"a": Counter({**one, moving: 7})}, Span(NOON, now)).holds
    assert not compare([account], {"a": Counter({**one, settled: 7})}, Span(NOON, now)).holds
    assert not compare([account], {"a": Counter({moving: 7})}, Span(NOON, now)).holds
    # One that has been silent for long has died.
    (death,) = told("a", lines, NOON, now + DAY_MS).deaths
    assert death.last >= now - IDLE_MS


@pytest.mark.parametrize("mark", ["", "stop"])
def test_what_is_later_than_an_account_is_asked_for_not_held_against_it(mark: Mark) -> None:
    account = told("a", [Line(NOON, "start", most=10), Line(NOON + 1, mark, most=4)], NOON, NOON + DAY_MS)
    # The account was copied while its collector was at work: of its last minute it does not tell everything.
    held = {(NOON + minute * MINUTE_MS, "shop", "accepted"): 90 for minute in (0, 1, 5)}
    laws = compare([account], {"a": Counter(held)}, Span(NOON, NOON + DAY_MS))
    assert (laws.holds, laws.unanswered, laws.unheard) == (True, 0, {"a": Counter(held)})


def test_records_of_collectors_without_an_account_are_not_held_against_those_with_one() -> None:
    account = told("a", [Line(NOON, "start"), Line(NOON + 1, "stop")], NOON, NOON + DAY_MS)
    held = {"a": Counter[Key](), "b": Counter({(NOON, "shop", "accepted"): 3, (NOON, "blog", "accepted"): 2})}
    laws = compare([account], held, Span(NOON, NOON + DAY_MS, "shop"))
    assert (laws.holds, laws.unheard) == (True, {"b": Counter({(NOON, "shop", "accepted"): 3})})


def test_a_source_that_states_its_own_times_may_be_short_in_any_minute_but_not_by_more() -> None:
    long_ago = (NOON - 50 * MINUTE_MS, "import", "accepted")
    account = told("a", [Line(NOON, "start", most=3), Line(NOON + 1, "start")], 0, NOON + DAY_MS)
    for n, stated, holds in (
        (3, frozenset({"import"}), True),
        (4, frozenset({"import"}), False),
        (3, frozenset(), False),
    ):
        assert compare([account], {"a": Counter({long_ago: n})}, Span(0, NOON, None, stated)).holds is holds


def test_a_torn_line_is_read_past_and_the_next_one_counts(tmp_path: Path) -> None:
    line = Line(NOON, answered=Counter({(NOON, "shop", "accepted"): 2}))
    file = AccountFile(tmp_path)
    assert file.append(line)
    file.close()
    path = day_file(tmp_path / "answered", NOON)
    path.write_bytes(path.read_bytes() + line.encoded()[:-9])
    again = AccountFile(tmp_path)
    assert again.name == file.name
    assert again.append(line)
    again.close()
    account = read_account(tmp_path, NOON, NOON + DAY_MS)
    assert account is not None
    assert account.answered.total() == 4


def test_days_gone_by_become_small_and_old_ones_go(tmp_path: Path) -> None:
    file = AccountFile(tmp_path)
    chance = random.Random(4)
    lines = [Line(NOON, "start", most=10)]
    for second in range(300):
        key = (NOON + second * 1000) // MINUTE_MS * MINUTE_MS, "shop", chance.choice(STATUSES)
        mark: Mark = "start" if second == 200 else ""
        lines.append(Line(NOON + second * 1000, mark, Counter({key: second}), most=second, oldest=NOON + second * 999))
    for line in lines:
        assert file.append(line)
    assert file.append(Line(NOON - 40 * DAY_MS, "start"))
    today = NOON + DAY_MS
    assert file.append(Line(today, "stop"))
    file.close()
    before = read_account(tmp_path, NOON, today)
    assert before is not None
    file.tidy(today)
    file.tidy(today)
    assert read_account(tmp_path, NOON, today) == before
    assert [len(list(lines_of(one))) for one in sorted((tmp_path / "answered").glob("*.ndjson"))] == [8, 1]


marks: st.SearchStrategy[Mark] = st.sampled_from(("", "", "", "start", "stop"))


@given(st.lists(st.tuples(st.integers(0, 200_000), marks, st.integers(0, 9))))
def test_joined_lines_tell_the_same(rows: list[tuple[int, Mark, int]]) -> None:
    def lines() -> list[Line]:
        made, at = [], NOON
        for step, mark, n in rows:
            at += step
            made.append(Line(at, mark, Counter({(NOON, "shop", "accepted"): n}), most=n, oldest=at - n))
        return made

    now = NOON + DAY_MS
    assert told("a", by_minute(lines()), NOON, now) == told("a", lines(), NOON, now)


def test_a_full_disk_costs_no_count(tmp_path: Path) -> None:
    async def scenario() -> None:
        life = Life(tmp_path, random.Random(5))
        async with life.answered.kept():
            folder = tmp_path / "answered"
            (today,) = folder.glob("*.ndjson")
            life.answered._file.close()  # type: ignore[union-attr]
            today.rename(folder / "kept")
            today.mkdir()  # what cannot be opened as a file stands for a disk that takes nothing
            for _ in range(200):
                life.step()
            today.rmdir()
            (folder / "kept").rename(today)
            while life.open:
                life.close_one()
        account = read_account(tmp_path, 0, now_ms())
        assert account is not None
        assert account.answered == life.given

    asyncio.run(scenario())
