"""The transaction of a batch: everything that follows from its records, and the next offsets, all or nothing.

Profiles are not made here: what the batch changes is marked (marks.py), and assembly.py makes them from the store.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from sqlalchemy import insert, select, text
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from eventlog.log import Partition
from eventlog.timestamps import MINUTE_MS
from exporter.fold import Folded
from exporter.marks import Mark, hash64, shard_of, visitor_marks
from exporter.member import Member, OwnershipFact, encode_members, named_roots, ownership_facts
from exporter.outgoing import put_outbox, rejected_record
from exporter.page_loads import add_loads
from exporter.store import Store, among, may_be_retried, values
from exporter.tables import ALIAS, CLAIM, COUNTS, DIRTY, LINK, POSITION, TIMELINE, TRACE

_TRIES = 5

_MOVE_CLAIM = (
    "UPDATE claim SET at = :at, source = :source, seq = :seq, event_id = :event_id"
    " WHERE identifier = :identifier AND owner = :owner"
)


class _Claim(NamedTuple):
    """A row of the table."""

    identifier: str
    owner: str
    at: int
    source: str
    seq: int
    event_id: str


class Fenced(Exception):  # noqa: N818 - what happened to the batch
    """Another process has moved the partitions on; nothing was stored."""

    def __init__(self, stored: Mapping[Partition, int]) -> None:
        super().__init__(", ".join(f"{one.topic}/{one.number}" for one in stored))
        self.stored = stored


@dataclass(frozen=True, slots=True)
class Batch:
    """Folded records in offset order a partition. `begins` is where each partition stands in the store as far as we
    know (None: it was never read), `ends` where it will."""

    folded: Sequence[Folded]
    begins: Mapping[Partition, int | None]
    ends: Mapping[Partition, int]


async def positions_of(connection: AsyncConnection) -> dict[Partition, int]:
    """The next offset to fold of each partition that was ever read."""
    rows = await connection.execute(select(POSITION.c.topic, POSITION.c.partition, POSITION.c.next))
    return {Partition(topic, number): following for topic, number, following in rows}


async def apply(store: Store, batch: Batch, topic_prefix: str | None) -> Counter[str]:
    """Store the batch; answers how many records of each status it had. Without a prefix nothing is to be sent.

    Raises Fenced where another process has stored records of these partitions meanwhile.
    """
    for attempt in range(_TRIES):
        try:
            async with store.write() as connection:
                return await _apply(connection, batch, topic_prefix)
        except DBAPIError as error:
            if attempt + 1 == _TRIES or not may_be_retried(error):
                raise
    raise AssertionError("unreachable")


async def _apply(connection: AsyncConnection, batch: Batch, topic_prefix: str | None) -> Counter[str]:
    await _fence(connection, batch)
    await _mark_twins(connection, batch.folded)
    members = [one.member for one in batch.folded if one.member is not None and one.status == "accepted"]
    await _remember(connection, batch.folded)
    marks = visitor_marks(members)
    if members:
        await _add_members(connection, members)
        marks |= await _add_facts(connection, [fact for member in members for fact in ownership_facts(member)])
    await put_marks(connection, marks)
    if topic_prefix is not None:
        await put_outbox(connection, [rejected_record(one, topic_prefix) for one in batch.folded if one.is_poison])
    # Late, because who adds to the same page load at once waits for the end of this.
    await add_loads(connection, batch.folded)
    await _move(connection, batch)
    return Counter(one.status for one in batch.folded)


async def put_marks(connection: AsyncConnection, marks: Iterable[Mark]) -> None:
    """Have the profiles that the marks concern made anew."""
    by_shard: defaultdict[int, list[Mark]] = defaultdict(list)
    for mark in marks:
        by_shard[shard_of(mark)].append(mark)
    rows = [
        {"shard": shard, "body": orjson.dumps(list(map(list, some))).decode()}
        for shard, some in sorted(by_shard.items())
    ]
    if rows:
        await connection.execute(insert(DIRTY), rows)


async def _fence(connection: AsyncConnection, batch: Batch) -> None:
    stored = await _locked(connection, batch.begins)
    late = {one: stored[one] for one, begin in batch.begins.items() if one in stored and stored[one] != begin}
    if late:
        raise Fenced(late)


async def _locked(connection: AsyncConnection, partitions: Iterable[Partition]) -> dict[Partition, int]:
    # Only the rows of this batch: other partitions have other owners.
    lock = " FOR UPDATE" if connection.dialect.name == "postgresql" else ""
    found = {}
    for one in sorted(partitions):
        statement = text(f"SELECT next FROM position WHERE topic = :topic AND partition = :number{lock}")
        at = await connection.scalar(statement, {"topic": one.topic, "number": one.number})
        if at is not None:
            found[one] = int(at)
    return found


async def _mark_twins(connection: AsyncConnection, folded: Sequence[Folded]) -> None:
    """Events whose identity was accepted before, or earlier in this batch, are twins: counted, and nothing else."""
    asked = [one for one in folded if one.seen]
    if not asked:
        return
    statement = text(f"SELECT id_hash, key_hash FROM trace WHERE seen AND {among(connection, 'id_hash', 'hashes')}")
    rows = await connection.execute(statement, {"hashes": values(connection, {one.id_hash for one in asked})})
    seen = {(id_hash, key_hash) for id_hash, key_hash in rows}
    for one in asked:
        identity = one.id_hash, one.key_hash
        if identity in seen:
            one.status = "twin"
        seen.add(identity)


async def _remember(connection: AsyncConnection, folded: Sequence[Folded]) -> None:
    """Where each record is and what became of it, and how many there were."""
    rows = [_trace(one) for one in folded if one.event_id]
    if rows:
        # Two processes that store the same identities at once then meet in one order, and one waits for the other.
        rows.sort(key=lambda row: (row["id_hash"], row["key_hash"], row["offset"]))
        await connection.execute(insert(TRACE), rows)
    counts: Counter[tuple[int, str, str, int, int]] = Counter()
    for one in folded:
        record = one.record
        minute = record.timestamp // MINUTE_MS * MINUTE_MS
        counts[minute, _storable(one.source), one.status, one.topic, record.partition.number] += 1
    if counts:
        new = _insert(connection, COUNTS)
        key = [COUNTS.c.minute, COUNTS.c.source, COUNTS.c.status, COUNTS.c.topic, COUNTS.c.partition]
        statement = new.on_conflict_do_update(index_elements=key, set_={"n": COUNTS.c.n + new.excluded.n})
        names = ("minute", "source", "status", "topic", "partition")
        await connection.execute(
            statement, [dict(zip(names, of, strict=True)) | {"n": n} for of, n in sorted(counts.items())]
        )


def _trace(one: Folded) -> dict[str, Any]:
    key = one.member.visitor_key if one.member is not None and one.status == "accepted" else None
    return {
        "id_hash": one.id_hash,
        "key_hash": one.key_hash,
        "seen": one.seen,
        "source": _storable(one.source),
        "event_id": _storable(one.event_id),
        "status": one.status,
        "reason": None if one.reason is None else _storable(one.reason),
        "topic": one.topic,
        "partition": one.record.partition.number,
        "offset": one.record.offset,
        "received_at": one.record.timestamp,
        "vid": None if key is None else hash64(key),
    }


def _storable(value: str) -> str:
    # PostgreSQL has no text with this character.
    return value.replace("\0", "\ufffd")


async def _add_members(connection: AsyncConnection, members: Sequence[Member]) -> None:
    visitors: defaultdict[str, list[Member]] = defaultdict(list)
    for member in members:
        visitors[member.visitor_key or ""].append(member)
    chunks = [{"vid": hash64(key), "body": encode_members(some)} for key, some in visitors.items()]
    await connection.execute(insert(TIMELINE), chunks)
    links = {
        (f"{kind}:{value}", hash64(key))
        for key, some in visitors.items()
        for member in some
        for kind, value in named_roots(member)
    }
    if links:
        statement = _insert(connection, LINK).on_conflict_do_nothing()
        await connection.execute(statement, [{"identifier": one, "vid": vid} for one, vid in sorted(links)])


async def _add_facts(connection: AsyncConnection, facts: Sequence[OwnershipFact]) -> set[Mark]:
    aliases = {fact for fact in facts if fact.kind == "anon"}
    latest: dict[tuple[str, str], OwnershipFact] = {}
    for fact in facts:
        if fact.kind != "anon":
            pair = f"{fact.kind}:{fact.value}", fact.user
            latest[pair] = max(latest.get(pair, fact), fact, key=lambda one: one.order)
    marks = {Mark("alias", fact.value) for fact in aliases}
    if aliases:
        rows = [{"anon": fact.value, "owner": fact.user, **_order(fact)} for fact in sorted(aliases)]
        await connection.execute(_insert(connection, ALIAS).on_conflict_do_nothing(), rows)
    if latest:
        marks |= await _add_claims(connection, latest)
    return marks


async def _add_claims(connection: AsyncConnection, latest: Mapping[tuple[str, str], OwnershipFact]) -> set[Mark]:
    lock = " FOR UPDATE" if connection.dialect.name == "postgresql" else ""
    of_those = among(connection, "identifier", "those")
    statement = text(
        f"SELECT identifier, owner, at, source, seq, event_id FROM claim WHERE {of_those}"
        f" ORDER BY identifier, owner{lock}"
    )
    rows = await connection.execute(statement, {"those": values(connection, {identifier for identifier, _ in latest})})
    stored = {(identifier, owner): tuple(order) for identifier, owner, *order in rows}
    claims = [_Claim(*pair, *_order(fact).values()) for pair, fact in sorted(latest.items())]
    # Should another process insert the same pair at this moment, the whole batch is run again.
    new = [one for one in claims if one[:2] not in stored]
    moved = [one for one in claims if one[:2] in stored and stored[one[:2]] < one[2:]]
    if new:
        await connection.execute(insert(CLAIM), [one._asdict() for one in new])
    if moved:
        await connection.execute(text(_MOVE_CLAIM), [one._asdict() for one in moved])
    return {Mark("pair", one.identifier) for one in new} | {Mark("claim", one.identifier) for one in moved}


def _order(fact: OwnershipFact) -> dict[str, Any]:
    at, source, seq, event_id = fact.order
    return {"at": at, "source": _storable(source), "seq": seq, "event_id": _storable(event_id)}


async def _move(connection: AsyncConnection, batch: Batch) -> None:
    first = {one.record.partition: one.record.offset for one in reversed(batch.folded)}
    rows: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for one, end in sorted(batch.ends.items()):
        new = batch.begins[one] is None
        row = {"topic": one.topic, "partition": one.number, "next": end}
        rows[new].append({**row, "first": first[one]} if new else row)
    if rows[True]:
        await connection.execute(insert(POSITION), rows[True])
    if rows[False]:
        statement = text("UPDATE position SET next = :next WHERE topic = :topic AND partition = :partition")
        await connection.execute(statement, rows[False])


def _insert(connection: AsyncConnection, table: Any) -> Any:
    return (sqlite_insert if connection.dialect.name == "sqlite" else postgresql_insert)(table)
