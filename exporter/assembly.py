"""Profiles and sessions made anew from the store, for whoever the marks concern, in a transaction of their own.

A shard's rows are written under its lock only. What is committed by others while this runs leaves marks of its own and
is folded next time, so the last state is a function of the set of events, whatever the order of transactions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

import orjson
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from exporter.apply import put_marks
from exporter.evidence import Evidence, all_members
from exporter.identity import Owners, Root, candidate_roots, resolve, with_owners
from exporter.marks import SHARDS, Mark, hash64, root_of, root_text, shard_of
from exporter.member import Identifier, Member
from exporter.profile import Setting, assemble_all
from exporter.rules import Rules
from exporter.session import cut
from exporter.store import Store, among, may_be_retried, values
from exporter.writing import Writer

# Rows of marks taken at once: each holds one batch's marks of one shard.
_ROWS: Final = 48


async def make_profiles(store: Store, setting: Setting, topic_prefix: str) -> int:
    """Handle marks that wait, of shards nobody else works on; answers how many there were (0: nothing to do)."""
    async with store.read() as connection:
        if await connection.scalar(text("SELECT 1 FROM dirty LIMIT 1")) is None:
            return 0
    try:
        async with store.write() as connection:
            shards = await _lock_shards(connection)
            marks = await _take_marks(connection, shards)
            if marks:
                await _Assembly(connection, setting, topic_prefix, shards).run(marks)
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


class _Assembly:
    """One transaction's work."""

    def __init__(self, connection: AsyncConnection, setting: Setting, topic_prefix: str, shards: set[int]) -> None:
        self._connection = connection
        self._setting = setting
        self._shards = shards
        self._evidence = Evidence(connection, setting.rules)
        self._writer = Writer(connection, setting, topic_prefix)

    async def run(self, marks: set[Mark]) -> None:
        roots = await self._dirty_roots(marks)
        others = {root for root in roots if shard_of(Mark("root", root_text(root))) not in self._shards}
        await put_marks(self._connection, {Mark("root", root_text(root)) for root in others})
        await self._assemble(roots - others)

    async def _dirty_roots(self, marks: set[Mark]) -> set[Root]:
        """Every root whose profile may differ because of what the marks tell."""
        of: dict[str, set[str]] = {kind: set() for kind in ("visitor", "pair", "claim", "alias", "root")}
        for mark in marks:
            of[mark.kind].add(mark.value)
        roots = {root_of(value) for value in of["root"]}
        vids = {hash64(key) for key in of["visitor"]} | {hash64(f"anon:{anon}") for anon in of["alias"]}
        roots |= {("user", fact.user) for fact in await self._evidence.aliases(of["alias"])}
        touched = await self._touched_identifiers(of["pair"], of["claim"])
        if touched:
            roots |= {root_of(one) for one in touched}
            roots |= {("user", fact.user) for fact in await self._evidence.claims(touched)}
            vids |= {vid for some in (await self._evidence.linked(touched)).values() for vid in some}
        candidates = candidate_roots(all_members(await self._evidence.members(vids)))
        identifiers: set[Identifier] = {
            ("anon", value.rpartition("#")[0]) if kind == "anon" else (kind, value) for kind, value in candidates
        }
        return roots | with_owners(candidates, await self._evidence.owners_named(identifiers))

    async def _touched_identifiers(self, pairs: set[str], claims: set[str]) -> set[str]:
        """The e-mails and ruids whose user may be another one now."""
        facts = await self._evidence.claims(pairs | claims)
        theirs = await self._evidence.claims_of_users({fact.user for fact in facts})
        emails = Counter(fact.user for fact in theirs if fact.kind == "email")
        most = self._setting.rules.emails_per_user
        crowded = {f"{fact.kind}:{fact.value}" for fact in theirs if emails[fact.user] > most}
        users = Counter(f"{fact.kind}:{fact.value}" for fact in facts)
        # Named with the one user it ever had, once more: nothing changes.
        return pairs | crowded | {one for one in claims if users[one] > 1}

    async def _assemble(self, roots: set[Root]) -> None:
        if not roots:
            return
        visitors = await self._evidence.members(await self._evidence.visitors_of(roots))
        owners = await self._evidence.owners_for(all_members(visitors))
        moved = await self._writer.write(
            assemble_all(roots, visitors, owners, self._setting),
            lambda: _sessions(visitors, owners, self._setting.rules),
        )
        await put_marks(self._connection, {Mark("root", root_text(root)) for root in moved})


def _sessions(visitors: Mapping[str, list[Member]], owners: Owners, rules: Rules) -> dict[str, Root]:
    """Whose each session is, of all that these visitors have."""
    return {
        session.id: session.root
        for members in visitors.values()
        for session in cut(resolve(members, owners, rules), rules)
    }
