"""What API, console, command line and exports read of the store. Times are milliseconds UTC."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from eventlog.identifiers import normalise
from eventlog.log import Partition
from eventlog.profile import IdentifierKind, Profile, Session
from eventlog.timestamps import MINUTE_MS, format_ms
from eventlog.topics import EVENTS, REJECTED
from exporter.apply import positions_of
from exporter.evidence import Evidence, Visitors, all_members
from exporter.fold import EVENTS_TOPIC
from exporter.identity import Owners, Root, profile_id, resolve
from exporter.marks import hash64
from exporter.member import Member, consent_of
from exporter.profile import owned
from exporter.session import SessionFacts, cut
from exporter.settings import ExporterSettings
from exporter.store import Store

_PROFILE = "SELECT id, kind, value, revision, changed_at, body FROM profile"


class ChangedProfile(NamedTuple):
    """A profile that changed; `profile` is None where its root owns nothing any more."""

    id: str
    changed_at: int
    root: Root
    profile: dict[str, Any] | None


class Count(NamedTuple):
    """How many records of one minute, source and status stand in a topic (`fold.EVENTS_TOPIC`, `REJECTED_TOPIC`)."""

    minute: int
    source: str
    status: str
    topic: int
    n: int


class Counted(NamedTuple):
    """The store's side of the accounts. `remembered`: how many events of a (minute, source) have a trace; it keeps one
    of each that is no poison. `reached`: the next offset to fold of each partition."""

    counts: list[Count]
    remembered: Counter[tuple[int, str]]
    reached: dict[Partition, int]


class Lookup:
    """Questions to the store, each answered as of one moment."""

    def __init__(self, store: Store, settings: ExporterSettings) -> None:
        self._store = store
        self._settings = settings
        self._secret = settings.secret.get_secret_value().encode()
        self._rules = settings.rules

    async def positions(self) -> dict[Partition, int]:
        """The next offset that will be folded of each partition ever read."""
        async with self._store.read() as connection:
            return await positions_of(connection)

    async def profile(self, id: str) -> dict[str, Any] | None:
        """The profile of this id; of an id that is no root any more, the profile that owns its events now."""
        async with self._store.read() as connection:
            row = await _row(connection, id)
            if row is None or row["body"] is not None:
                return _profile(row)
            root = await self._root_now(connection, (row["kind"], row["value"]))
            return None if root is None else _profile(await _row(connection, profile_id(root, self._secret)))

    async def find_profile(self, kind: IdentifierKind, value: str) -> dict[str, Any] | None:
        """The profile of the person with this identifier: of an anonymous id, whoever its latest event belongs to."""
        found = normalise(kind, value)
        if found is None:
            return None
        async with self._store.read() as connection:
            root = await self._root_now(connection, (kind, found))
            return None if root is None else _profile(await _row(connection, profile_id(root, self._secret)))

    async def recent_profiles(self, limit: int) -> list[dict[str, Any]]:
        """Profiles, the latest changed first."""
        statement = f"{_PROFILE} WHERE body IS NOT NULL ORDER BY changed_at DESC, id DESC LIMIT :limit"
        async with self._store.read() as connection:
            rows = (await connection.execute(text(statement), {"limit": limit})).mappings()
            return [made for row in rows if (made := _profile(row)) is not None]

    async def profiles_changed(self, since: int, after: tuple[int, str] | None, limit: int) -> list[ChangedProfile]:
        """Profiles changed at or after `since`, by (changed_at, id), those behind `after` only."""
        at, behind = after or (since, "")
        statement = (
            f"{_PROFILE} WHERE changed_at >= :since AND (changed_at > :at OR changed_at = :at AND id > :behind)"
            " ORDER BY changed_at, id LIMIT :limit"
        )
        of = {"since": since, "at": at, "behind": behind, "limit": limit}
        async with self._store.read() as connection:
            rows = (await connection.execute(text(statement), of)).mappings()
            return [
                ChangedProfile(row["id"], row["changed_at"], (row["kind"], row["value"]), _profile(row)) for row in rows
            ]

    async def sessions(self, profile_id: str, limit: int) -> list[dict[str, Any]]:
        """A profile's sessions, the latest first."""
        statement = (
            "SELECT revision, body FROM session WHERE profile_id = :profile AND body IS NOT NULL"
            " ORDER BY start DESC, id DESC LIMIT :limit"
        )
        async with self._store.read() as connection:
            rows = await connection.execute(text(statement), {"profile": profile_id, "limit": limit})
            return [_shown(Session, body, revision) for revision, body in rows]

    async def events(self, profile_id: str, limit: int) -> list[dict[str, Any]]:
        """What the store keeps of a profile's events, the latest first."""
        return [_event(member) for member in reversed((await self._owned(profile_id))[-limit:])]

    async def consents(self, profile_id: str, limit: int) -> list[dict[str, Any]]:
        """The person's choices, the latest first: what each said, when, and of which text."""
        said = [member for member in await self._owned(profile_id) if member.name == "consent"]
        return [_choice(member) for member in reversed(said[-limit:])]

    async def where(self, event_id: str) -> list[dict[str, Any]]:
        """What became of the records of this id: one entry a record, oldest first."""
        statement = (
            'SELECT source, event_id, status, reason, topic, partition, "offset", received_at, vid FROM trace'
            " WHERE id_hash = :id AND {} ORDER BY number"
        )
        async with self._store.read() as connection:
            rows: list[RowMapping] = []
            # Each half has an index of its own.
            for half in ("seen", "NOT seen"):
                rows += (await connection.execute(text(statement.format(half)), {"id": hash64(event_id)})).mappings()
            asked = [row for row in rows if row["event_id"] == event_id]
            asked.sort(key=lambda row: (row["received_at"], row["topic"], row["partition"], row["offset"]))
            return [await self._trace(connection, row) for row in asked]

    async def counts(self, start: int, end: int, source: str | None = None) -> list[tuple[int, str, str, int]]:
        """(minute, source, status, how many records) for minutes of received_at in [start, end)."""
        async with self._store.read() as connection:
            rows = await _counts(connection, start, end, source)
        # A poison record is told of on the rejected topic: that is the same record once more.
        kept = [row for row in rows if row.topic == EVENTS_TOPIC or row.status != "poison"]
        return [(row.minute, row.source, row.status, row.n) for row in kept]

    async def counted(self, start: int, end: int, source: str | None = None) -> Counted:
        """What was counted and what is remembered, as of one moment, and up to which offsets that goes."""
        async with self._store.read() as connection:
            counts = await _counts(connection, start, end, source)
            remembered = await _remembered(connection, start, end, source)
            return Counted(counts, remembered, await positions_of(connection))

    async def _root_now(self, connection: AsyncConnection, root: Root) -> Root | None:
        """Whose the events of a root, or of a bare anonymous id, are now."""
        kind, value = root
        if kind == "user":
            return root
        evidence = Evidence(connection, self._rules)
        if kind != "anon":
            user = (await evidence.owners_named({root})).users.get(root)
            return root if user is None else ("user", user)
        anon, _, epoch = value.rpartition("#") if "#" in value else (value, "", "")
        visitors = await evidence.members([hash64(f"anon:{anon}")])
        members = visitors.get(f"anon:{anon}", [])
        resolved = resolve(members, await evidence.owners_for(members), self._rules)
        if epoch.isdigit():
            resolved = _of_epoch(resolved, int(epoch))
        return resolved[-1][1] if resolved else None

    async def _owned(self, profile_id: str) -> Sequence[Member]:
        """A profile's events in their order."""
        async with self._store.read() as connection:
            row = await _row(connection, profile_id)
            if row is None:
                return []
            root = row["kind"], row["value"]
            visitors, owners = await self._around(connection, root)
            return owned(root, visitors, owners, self._rules)

    async def _around(self, connection: AsyncConnection, root: Root) -> tuple[Visitors, Owners]:
        evidence = Evidence(connection, self._rules)
        visitors = await evidence.members(await evidence.visitors_of([root]))
        return visitors, await evidence.owners_for(all_members(visitors))

    async def _trace(self, connection: AsyncConnection, row: RowMapping) -> dict[str, Any]:
        topic = EVENTS if row["topic"] == EVENTS_TOPIC else REJECTED
        found = {
            "source": row["source"],
            "id": row["event_id"],
            "status": row["status"],
            "reason": row["reason"],
            "topic": topic.full_name(self._settings.topic_prefix),
            "partition": row["partition"],
            "offset": row["offset"],
            "received_at": format_ms(row["received_at"]),
        }
        if row["vid"] is not None:
            found |= await self._whose(connection, row)
        return {name: value for name, value in found.items() if value is not None}

    async def _whose(self, connection: AsyncConnection, row: RowMapping) -> dict[str, Any]:
        evidence = Evidence(connection, self._rules)
        for members in (await evidence.members([row["vid"]])).values():
            resolved = resolve(members, await evidence.owners_for(members), self._rules)
            for member, root in resolved:
                if (member.source, member.id) == (row["source"], row["event_id"]):
                    session = _session_of(member, cut(resolved, self._rules))
                    return {"session_id": session, "profile_id": profile_id(root, self._secret)}
        return {}


async def _counts(connection: AsyncConnection, start: int, end: int, source: str | None) -> list[Count]:
    of_source = " AND source = :source" if source else ""
    statement = (
        "SELECT minute, source, status, topic, SUM(n) FROM counts WHERE minute >= :start AND minute < :end"
        f"{of_source} GROUP BY minute, source, status, topic ORDER BY minute, source, status, topic"
    )
    of = {"start": start, "end": end} | ({"source": source} if source else {})
    rows = await connection.execute(text(statement), of)
    return [Count(minute, its_source, status, topic, int(n)) for minute, its_source, status, topic, n in rows]


async def _remembered(
    connection: AsyncConnection, start: int, end: int, source: str | None
) -> Counter[tuple[int, str]]:
    of_source = " AND source = :source" if source else ""
    statement = (
        f"SELECT received_at / {MINUTE_MS} AS minute, source, COUNT(*) FROM trace WHERE topic = {EVENTS_TOPIC}"
        f" AND status <> 'poison' AND received_at >= :start AND received_at < :end{of_source} GROUP BY 1, 2"
    )
    of = {"start": start, "end": end} | ({"source": source} if source else {})
    rows = await connection.execute(text(statement), of)
    return Counter({(minute * MINUTE_MS, its_source): n for minute, its_source, n in rows})


async def _row(connection: AsyncConnection, id: str) -> RowMapping | None:
    return (await connection.execute(text(f"{_PROFILE} WHERE id = :id"), {"id": id})).mappings().first()


def _profile(row: RowMapping | None) -> dict[str, Any] | None:
    return None if row is None or row["body"] is None else _shown(Profile, row["body"], row["revision"])


def _shown(shape: type[Profile] | type[Session], body: str, revision: int) -> dict[str, Any]:
    """A stored body with its revision, its members in the order that the shape documents."""
    stored = {**orjson.loads(body), "revision": revision}
    return {name: stored[name] for name in shape.__annotations__ if name in stored}


def _of_epoch(resolved: Sequence[tuple[Member, Root]], wanted: int) -> list[tuple[Member, Root]]:
    """The events between the `wanted`-th sign-out of an anonymous id and the next."""
    epoch, found = 0, []
    for member, root in resolved:
        if epoch == wanted:
            found.append((member, root))
        epoch += member.reset and member.makes_facts
    return found


def _session_of(member: Member, sessions: Sequence[SessionFacts]) -> str | None:
    for session in sessions:
        if any(one.order == member.order for one in session.members):
            return session.id
    return None


def _choice(member: Member) -> dict[str, Any]:
    said = {"event": member.id, "source": member.source, "time": format_ms(member.time)}
    if member.consent_text is not None:
        said["text_version"] = member.consent_text
    return {**said, "consent": dict(consent_of(member))}


def _event(member: Member) -> dict[str, Any]:
    found = {
        "id": member.id,
        "source": member.source,
        "name": member.name,
        "occurred_at": format_ms(member.time),
        "anonymous_id": member.anon,
        "user_id": member.user,
        "email": member.email,
        "url": member.url,
        "device": member.device,
        "products": member.products,
        "order_id": member.order_id,
        "campaign": member.campaign,
        "consent": dict(consent_of(member)) or None,
        "bot": member.bot or None,
    }
    return {name: value for name, value in found.items() if value is not None}
