"""The store made anew from the log: to compare it (`compare`), or to have it mended (`rebuild`).

The new one grows beside the live one, which goes on meanwhile and is caught up with. For the last records the positions
are locked, so that both stand at the same offsets. Then, in that one transaction, what is made by folding alone takes
the place of what was there, and the profiles that differ are marked: they are made by the same code as ever, whose
revisions go on growing and which has sent what changed. Rows are copied, not tables swapped: that is one way for both
databases, other processes see all of it or nothing, and nothing they hold on to is taken from them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from eventlog.log import Bounds, Partition
from eventlog.timestamps import format_ms, now_ms
from exporter.anew import Anew, Choices, Clock, Halted, Told, choices_of
from exporter.apply import positions_of
from exporter.aside import all_aside
from exporter.assembly import make_profiles
from exporter.beside import Beside, place_beside
from exporter.compare import Comparison, Difference
from exporter.poison import most_poison
from exporter.profile import Setting
from exporter.settings import ExporterSettings
from exporter.store import Store, may_be_retried
from exporter.taking import Taking

# With fewer records than this to go, the positions are locked for the rest.
_NEAR: Final = 1_000
_CATCH_UPS: Final = 20
_TRIES: Final = 3
_WAIT_SECONDS: Final = 0.2
_SPANS: Final = "SELECT topic, partition, next, first FROM position"


class HistoryShort(Exception):  # noqa: N818 - what happened
    """The log no longer holds all that the store was made of."""


@dataclass
class Findings:
    """What became of it: how many records were read, what differs, how many profiles cannot be made, by reason."""

    records: int = 0
    differences: Sequence[Difference] = ()
    unmakeable: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Span:
    """Where a partition's fold began and where it stands."""

    first: int
    next: int


async def compare(settings: ExporterSettings, store: Store, told: Told, clock: Clock = now_ms) -> Findings:
    """What differs between the store and one made anew up to the same offsets. The store is not changed.

    Raises HistoryShort, Unavailable, and what `place_beside` and `Anew` raise.
    """
    async with contextlib.AsyncExitStack() as stack:
        making = await stack.enter_async_context(
            _making(settings, store, Anew(settings, told, clock), drop_history=False)
        )
        async with _positions_locked(making.beside.both) as connection:
            await making.finish(connection)
            snapshot = await stack.enter_async_context(making.beside.both.read())
            # Both begin here, at the same offsets; from now on the live one may go on.
            await making.check(snapshot)
        comparison = Comparison(snapshot, making.beside.name, making.anew.setting(), settings.trace_days)
        return await making.findings(await comparison.all_differences())


async def rebuild(
    settings: ExporterSettings, store: Store, told: Told, clock: Clock = now_ms, *, drop_history: bool
) -> Findings:
    """Have the store be what one made anew would be, and have what differs sent. It may be in use meanwhile.

    Raises HistoryShort unless the log reaches back to where the store began, or that is to be forgotten; and what
    `compare` raises. The store is as it was until all of it is exchanged at once.
    """
    async with _making(settings, store, Anew(settings, told, clock), drop_history=drop_history) as making:
        differences = await making.take()
        findings = await making.findings(differences)
    await _make_what_is_marked(store, making.anew.setting(), settings.topic_prefix, making.last_mark)
    return findings


class _Making:
    """A new store being made up to where the live one stands."""

    def __init__(self, settings: ExporterSettings, beside: Beside, anew: Anew) -> None:
        self._settings = settings
        self.beside = beside
        self.anew = anew
        # Partitions of which the live store stands outside the log: the new one stands at the log's end.
        self._elsewhere: dict[Partition, int] = {}
        self.last_mark = 0

    async def begin(self, *, drop_history: bool) -> None:
        """Fold what there is, make all profiles, and come near to where the live store is by then."""
        async with self.beside.both.read() as connection:
            spans = await _spans(connection)
        await self._check_reach(spans, drop_history=drop_history)
        await self.anew.fold_to(*await self._targets_now())
        await self.anew.make_all_profiles()
        for _ in range(_CATCH_UPS):
            targets, choices = await self._targets_now()
            if self.anew.missing(targets) < _NEAR:
                return
            await self.anew.fold_to(targets, choices)
            await self.anew.make_marked_profiles()

    async def finish(self, connection: AsyncConnection) -> None:
        """Come to exactly where the live store is; `connection` holds its positions."""
        await self.anew.fold_to(*await self._targets(connection))
        await self.anew.make_marked_profiles()

    async def check(self, connection: AsyncConnection) -> None:
        """That `connection` sees both stores at the same offsets: were it not so, acknowledged events would be lost."""
        live = {**await positions_of(connection), **self._elsewhere}
        rows = await connection.execute(text(f"SELECT topic, partition, next FROM {self.beside.name}.position"))
        anew = {Partition(topic, number): following for topic, number, following in rows}
        if self.anew.missing(live) or any(live.get(one) != at for one, at in anew.items()):
            raise RuntimeError("the two stores do not stand at the same offsets")

    async def take(self) -> Sequence[Difference]:
        """Have the live store be as the new one is. Answers which profiles differed."""
        for attempt in range(_TRIES):
            try:
                async with _positions_locked(self.beside.both) as connection:
                    await self.finish(connection)
                    await self.check(connection)
                    taking = Taking(connection, self.beside.name, self.anew.setting(), self._settings.topic_prefix)
                    await self._refuse_new_poison(taking)
                    await taking.lock_profiles()
                    comparison = Comparison(
                        connection, self.beside.name, self.anew.setting(), self._settings.trace_days
                    )
                    differences = await comparison.profiles({})
                    await taking.send_poison(self.anew.poison)
                    await taking.take_evidence()
                    await taking.move_positions(self._elsewhere, self.anew.bounds)
                    await taking.mark_profiles(differences)
                    self.last_mark = await taking.last_mark()
                return differences
            except DBAPIError as error:
                if attempt + 1 == _TRIES or not may_be_retried(error):
                    raise
        raise AssertionError("unreachable")

    async def _refuse_new_poison(self, taking: Taking) -> None:
        more, most = await taking.more_poison(), most_poison(self.anew.read, self._settings.aggregate.max_poison)
        if more > most:
            raise Halted(
                f"{more} records that could be folded before are poison now, of {self.anew.read}; look at what `rebuild"
                " --compare` tells of them, or have them set aside with a higher `aggregate.max_poison`"
            )

    async def findings(self, differences: Sequence[Difference]) -> Findings:
        aside = await all_aside(self.beside.anew)
        return Findings(self.anew.read, differences, aside.profiles)

    async def _targets_now(self) -> tuple[dict[Partition, int], Choices]:
        async with self.beside.both.read() as connection:
            return await self._targets(connection)

    async def _targets(self, connection: AsyncConnection) -> tuple[dict[Partition, int], Choices]:
        positions = await positions_of(connection)
        firsts = {one.number: bound.first for one, bound in self.anew.bounds.items() if one.topic == self.anew.events}
        choices = await choices_of(connection)
        # What retention has taken was not folded, so it cannot be the copy that counts.
        held = {identity: at for identity, at in choices.items() if at[1] >= firsts.get(at[0], 0)}
        return {**positions, **self._elsewhere}, held

    async def _check_reach(self, spans: Mapping[Partition, _Span], *, drop_history: bool) -> None:
        bounds = self.anew.bounds
        nothing = Bounds(0, 0)
        short = {
            one
            for one, span in spans.items()
            if span.first < bounds.get(one, nothing).first or span.next > bounds.get(one, nothing).next
        }
        if short and not drop_history:
            raise HistoryShort(_short(short, await self.anew.first_times(short)))
        for one in short:
            held = bounds.get(one, nothing)
            if not held.first <= spans[one].next <= held.next:
                self._elsewhere[one] = held.next


@contextlib.asynccontextmanager
async def _making(
    settings: ExporterSettings, store: Store, anew: Anew, *, drop_history: bool
) -> AsyncIterator[_Making]:
    async with place_beside(settings, store) as beside:
        await anew.start(beside.anew)
        making = _Making(settings, beside, anew)
        await making.begin(drop_history=drop_history)
        yield making


@contextlib.asynccontextmanager
async def _positions_locked(store: Store) -> AsyncIterator[AsyncConnection]:
    """A transaction during which no batch is stored."""
    async with store.write() as connection:
        if store.dialect == "postgresql":
            # Reading goes on; fences wait.
            await connection.execute(text("LOCK TABLE position IN EXCLUSIVE MODE"))
        yield connection


async def _spans(connection: AsyncConnection) -> dict[Partition, _Span]:
    rows = await connection.execute(text(_SPANS))
    return {Partition(topic, number): _Span(first, following) for topic, number, following, first in rows}


def _short(short: set[Partition], since: Mapping[Partition, int]) -> str:
    topics: dict[str, int | None] = {}
    for one in sorted(short):
        at = since.get(one)
        known = topics.get(one.topic)
        topics[one.topic] = at if known is None else known if at is None else max(known, at)
    told = "; ".join(
        f"{topic} reaches back to {format_ms(at)}" if at is not None else f"{topic} holds nothing of it"
        for topic, at in topics.items()
    )
    return (
        f"the log no longer holds all that the store was made of: {told}. What came before would be gone from sessions,"
        " profiles and counts; `rebuild --drop-history` accepts that"
    )


async def _make_what_is_marked(store: Store, setting: Setting, topic_prefix: str, last_mark: int) -> None:
    """Make the profiles that were marked; aggregators may be at it too."""
    waiting = text("SELECT 1 FROM dirty WHERE number <= :last LIMIT 1")
    while True:
        async with store.read() as connection:
            if await connection.scalar(waiting, {"last": last_mark}) is None:
                return
        if not await make_profiles(store, setting, topic_prefix):
            await asyncio.sleep(_WAIT_SECONDS)
