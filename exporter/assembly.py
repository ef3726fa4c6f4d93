"""Profiles and sessions made anew from the store, for whoever the marks concern, in a transaction of their own.

A shard's rows are written under its lock only. What is committed by others while this runs leaves marks of its own and
is folded next time, so the last state is a function of the set of events, whatever the order of transactions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from exporter.affected import affected_roots
from exporter.apply import put_marks
from exporter.aside import marks_aside, set_mark_aside
from exporter.evidence import Evidence, Visitors, all_members
from exporter.failures import blames_data
from exporter.fold import BUGS
from exporter.identity import Owners, Root, resolve
from exporter.marks import SHARDS, Mark, root_of, root_text, shard_of
from exporter.member import Member
from exporter.profile import Setting, assemble_all
from exporter.rules import Rules
from exporter.session import cut
from exporter.store import Store, among, may_be_retried, values
from exporter.writing import Writer

# Rows of marks taken at once: each holds one batch's marks of one shard.
_ROWS: Final = 48


async def make_profiles(store: Store, setting: Setting, topic_prefix: str | None) -> int:
    """Handle marks that wait, of shards nobody else works on; answers how many there were (0: nothing to do).

    Without a prefix nothing is to be sent.
    """
    async with store.read() as connection:
        if await connection.scalar(text("SELECT 1 FROM dirty LIMIT 1")) is None:
            return 0
    try:
        async with store.write() as connection:
            shards = await _lock_shards(connection)
            marks = await _take_marks(connection, shards)
            if marks:
                await Assembly(connection, setting, topic_prefix, shards).run(marks)
            return len(marks)
    except DBAPIError as error:
        if not may_be_retried(error):
            raise
        # Rolled back, so the marks still wait.
        return 1


async def _lock_shards(connection: AsyncConnection) -> set[int]:
    if connection.dialect.name == "sqlite":
        return set(range(SHARDS))
    # A part of them, so that another process finds some too; by chance, so that none waits for ever.
    rows = await connection.execute(
        text(
            "SELECT number FROM shard WHERE number IN (SELECT DISTINCT shard FROM dirty)"
            f" ORDER BY random() LIMIT {SHARDS // 2} FOR UPDATE SKIP LOCKED"
        )
    )
    return {number for (number,) in rows}


async def _take_marks(connection: AsyncConnection, shards: set[int]) -> set[Mark]:
    statement = (
        f"SELECT number, body FROM dirty WHERE {among(connection, 'shard', 'shards')} ORDER BY number LIMIT {_ROWS}"
    )
    rows = list(await connection.execute(text(statement), {"shards": values(connection, shards)}))
    if rows:
        statement = f"DELETE FROM dirty WHERE {among(connection, 'number', 'taken')}"
        await connection.execute(text(statement), {"taken": values(connection, [number for number, _ in rows])})
    return {Mark(kind, value) for _, body in rows for kind, value in orjson.loads(body)}


class Assembly:
    """One transaction's work on some shards. Without a prefix nothing is to be sent."""

    def __init__(
        self, connection: AsyncConnection, setting: Setting, topic_prefix: str | None, shards: set[int]
    ) -> None:
        self._connection = connection
        self._setting = setting
        self._shards = shards
        self.evidence = Evidence(connection, setting.rules)
        self._writer = Writer(connection, setting, topic_prefix)
        # Roots that are not made again.
        self.made: set[Root] = set()

    async def run(self, marks: set[Mark]) -> None:
        """Handle the marks. One that fails is set aside, with as few others as can be."""
        aside = await marks_aside(self._connection)
        skipped = {root_of(mark.value) for mark in aside if mark.kind == "root"}
        waiting = [sorted(marks - aside)]
        while waiting:
            some = waiting.pop()
            try:
                async with self._connection.begin_nested():
                    await self._handle(some, skipped)
            except (*BUGS, SQLAlchemyError) as error:
                if not blames_data(error):
                    raise
                if len(some) > 1:
                    middle = len(some) // 2
                    waiting += [some[middle:], some[:middle]]
                else:
                    waiting += await self._narrow(some[0], skipped, error)

    async def _narrow(self, mark: Mark, skipped: set[Root], error: Exception) -> list[list[Mark]]:
        """The roots that a mark which failed concerns, to be tried one by one; none where that is not known."""
        if mark.kind != "root":
            try:
                async with self._connection.begin_nested():
                    roots = await affected_roots(self.evidence, [mark], self._setting.rules)
            except (*BUGS, SQLAlchemyError) as failed:
                if not blames_data(failed):
                    raise
                error = failed
            else:
                return [[Mark("root", root_text(root))] for root in sorted(roots - skipped)]
        await set_mark_aside(self._connection, mark, error)
        skipped |= {root_of(mark.value)} if mark.kind == "root" else set()
        return []

    async def _handle(self, marks: list[Mark], skipped: set[Root]) -> None:
        roots = await affected_roots(self.evidence, marks, self._setting.rules) - skipped - self.made
        others = {root for root in roots if shard_of(Mark("root", root_text(root))) not in self._shards}
        await put_marks(self._connection, {Mark("root", root_text(root)) for root in others})
        await self._assemble(roots - others)
        self.made |= roots - others

    async def _assemble(self, roots: set[Root]) -> None:
        if not roots:
            return
        visitors, owners = await around(self.evidence, roots)
        moved = await self._writer.write(
            assemble_all(roots, visitors, owners, self._setting),
            lambda: _sessions(visitors, owners, self._setting.rules),
        )
        await put_marks(self._connection, {Mark("root", root_text(root)) for root in moved})


async def around(evidence: Evidence, roots: set[Root]) -> tuple[Visitors, Owners]:
    """All that matters to these roots' profiles."""
    visitors = await evidence.members(await evidence.visitors_of(roots))
    return visitors, await evidence.owners_for(all_members(visitors))


def _sessions(visitors: Mapping[str, list[Member]], owners: Owners, rules: Rules) -> dict[str, Root]:
    """Whose each session is, of all that these visitors have."""
    return {
        session.id: session.root
        for members in visitors.values()
        for session in cut(resolve(members, owners, rules), rules)
    }
