"""One transaction in which the live store takes over what a new one holds, whose tables are `name`.table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from eventlog.log import Bounds, Partition
from exporter.apply import put_marks
from exporter.aside import try_again
from exporter.compare import Difference
from exporter.fold import EVENTS_TOPIC, Folded
from exporter.identity import Root, profile_id
from exporter.marks import Mark, root_text
from exporter.outgoing import profile_record, put_outbox, rejected_record
from exporter.profile import Setting

# Tables whose rows are made by folding alone, with their columns and an order. Rows are numbered anew. Traces go by the
# order of their numbers when they are old, so they are stored in the order of their time.
TAKEN: Final[Mapping[str, tuple[str, str]]] = {
    "alias": ("anon, owner, at, source, seq, event_id", ""),
    "claim": ("identifier, owner, at, source, seq, event_id", ""),
    "counts": ("minute, source, status, topic, partition, n", ""),
    "link": ("identifier, vid", ""),
    "page_load": ("load, block, source, browser, first, bits", ""),
    "timeline": ("vid, body", " ORDER BY number"),
    "trace": (
        'id_hash, key_hash, seen, source, event_id, status, reason, topic, partition, "offset", received_at, vid',
        " ORDER BY received_at, number",
    ),
}
# Derived tables with another way: of what differs profiles and sessions are made again by marks in `dirty`, those set
# aside are tried again, and both stand at the same positions.
MADE_AGAIN: Final = frozenset({"dirty", "position", "profile", "session", "set_aside"})

# A digest no body has, so that the row is written and sent again. 0 stands for no body.
_OTHER_DIGEST: Final = "CASE WHEN digest = 1 THEN 2 ELSE 1 END"
_MISSING_PROFILES: Final = (
    "INSERT INTO profile (id, kind, value, revision, digest, changed_at, body)"
    " SELECT id, kind, value, :revision, 0, 0, NULL FROM {name}.profile AS anew WHERE body IS NOT NULL"
    " AND NOT EXISTS (SELECT 1 FROM profile AS live WHERE live.id = anew.id)"
)
# A row of a profile that had the session before has an older revision.
_MISSING_SESSIONS: Final = (
    "INSERT INTO session (id, profile_id, revision, digest, start, due, body)"
    " SELECT id, profile_id, :revision, 0, start, NULL, NULL FROM {name}.session AS anew WHERE body IS NOT NULL"
    " AND NOT EXISTS (SELECT 1 FROM session AS live WHERE live.id = anew.id"
    " AND (live.body IS NOT NULL OR live.profile_id = anew.profile_id))"
)


class Taking:
    """The live store's transaction; its positions are locked."""

    def __init__(self, connection: AsyncConnection, name: str, setting: Setting, topic_prefix: str) -> None:
        self._connection = connection
        self._name = name
        self._setting = setting
        self._prefix = topic_prefix

    async def lock_profiles(self) -> None:
        """From now on nobody else makes profiles."""
        if self._connection.dialect.name == "postgresql":
            await self._run("SELECT number FROM shard ORDER BY number FOR UPDATE")

    async def more_poison(self) -> int:
        """How many more records are poison in the new store than in the live one."""
        poison = "SELECT COALESCE(SUM(n), 0) FROM {}counts WHERE status = 'poison' AND topic = 0"
        live, anew = [
            int(await self._connection.scalar(text(poison.format(place))) or 0) for place in ("", f"{self._name}.")
        ]
        return anew - live

    async def take_evidence(self) -> None:
        """What is made by folding alone."""
        for table, (columns, order) in TAKEN.items():
            await self._run(f"DELETE FROM {table}")
            await self._run(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {self._name}.{table}{order}")

    async def move_positions(self, elsewhere: Mapping[Partition, int], bounds: Mapping[Partition, Bounds]) -> None:
        """Where the log no longer reached the live store's beginning or position, say where they are now."""
        for one, bound in bounds.items():
            of = {"topic": one.topic, "number": one.number, "first": bound.first}
            where = "WHERE topic = :topic AND partition = :number"
            await self._run(f"UPDATE position SET first = :first {where} AND first < :first", of)
            if one in elsewhere:
                await self._run(f"UPDATE position SET next = :next {where}", {**of, "next": elsewhere[one]})

    async def mark_profiles(self, differences: Sequence[Difference]) -> None:
        """Have those that differ made again, and sent with a higher revision than any before."""
        # Of a row that is missing here nobody knows which revisions it was sent with: so many seconds they cannot be.
        missing = {"revision": self._setting.now // 1000}
        await self._run(_MISSING_PROFILES.format(name=self._name), missing)
        await self._run(_MISSING_SESSIONS.format(name=self._name), missing)
        ids = [{"id": one.id} for one in differences]
        sessions = [{"profile": one.id, "id": id} for one in differences for id in one.sessions]
        if ids:
            await self._connection.execute(text(f"UPDATE profile SET digest = {_OTHER_DIGEST} WHERE id = :id"), ids)
        if sessions:
            statement = f"UPDATE session SET digest = {_OTHER_DIGEST} WHERE profile_id = :profile AND id = :id"
            await self._connection.execute(text(statement), sessions)
        roots: set[Root] = set()
        for one in differences:
            if one.root is not None and profile_id(one.root, self._setting.secret) == one.id:
                roots.add(one.root)
            else:
                await self._end_stray(one.id)
        await put_marks(self._connection, {Mark("root", root_text(root)) for root in roots})
        await try_again(self._connection)

    async def send_poison(self, poison: Sequence[Folded]) -> None:
        """Tell the rejected topic of what cannot be folded now and could be when the live store folded it."""
        accepted = text(
            'SELECT 1 FROM trace WHERE id_hash = :id AND topic = 0 AND partition = :partition AND "offset" = :offset'
            " AND status <> 'poison'"
        )
        for one in poison:
            assert one.topic == EVENTS_TOPIC
            of = {"id": one.id_hash, "partition": one.record.partition.number, "offset": one.record.offset}
            if await self._connection.scalar(accepted, of) is not None:
                await put_outbox(self._connection, [rejected_record(one, self._prefix)])

    async def last_mark(self) -> int:
        """The number of the last row of marks."""
        return int(await self._connection.scalar(text("SELECT COALESCE(MAX(number), 0) FROM dirty")) or 0)

    async def _end_stray(self, id: str) -> None:
        """A row under an id that is nobody's: no root leads to it."""
        of = {"id": id, "now": self._setting.now}
        ended = await self._connection.execute(
            text(
                "UPDATE profile SET body = NULL, digest = 0, revision = revision + 1, changed_at = :now"
                " WHERE id = :id AND body IS NOT NULL"
            ),
            of,
        )
        await self._connection.execute(
            text("UPDATE session SET body = NULL, digest = 0, due = NULL WHERE profile_id = :id"), {"id": id}
        )
        if ended.rowcount:
            await put_outbox(self._connection, [profile_record(None, id, self._setting.now, self._prefix)])

    async def _run(self, statement: str, of: Mapping[str, object] | None = None) -> None:
        await self._connection.execute(text(statement), of)
