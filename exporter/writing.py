"""Writes profiles and sessions that differ from what is stored, with their next revision, and has them sent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from eventlog.log import Outgoing
from eventlog.timestamps import parse_ms
from exporter.identity import Root, profile_id
from exporter.marks import hash64
from exporter.outgoing import profile_record, put_outbox, session_record
from exporter.profile import Assembled, Setting
from exporter.session import flips
from exporter.store import rows_among

_PUT_PROFILE = (
    "INSERT INTO profile (id, kind, value, revision, digest, changed_at, body)"
    " VALUES (:id, :kind, :value, :revision, :digest, :changed_at, :body) ON CONFLICT (id) DO UPDATE SET"
    " revision = excluded.revision, digest = excluded.digest, changed_at = excluded.changed_at, body = excluded.body"
)
_PUT_SESSION = (
    "INSERT INTO session (id, profile_id, revision, digest, start, due, body)"
    " VALUES (:id, :profile_id, :revision, :digest, :start, :due, :body) ON CONFLICT (id, profile_id) DO UPDATE SET"
    " revision = excluded.revision, digest = excluded.digest, start = excluded.start, due = excluded.due,"
    " body = excluded.body"
)
_NOTHING = 0


@dataclass(frozen=True, slots=True)
class _Stored:
    """A session as the store has it; `here`: this profile has it."""

    revision: int
    digest: int
    here: bool


@dataclass(slots=True)
class _Changes:
    """Rows to write and records to send."""

    profiles: list[dict[str, Any]] = field(default_factory=list)
    sessions: list[dict[str, Any]] = field(default_factory=list)
    records: list[Outgoing] = field(default_factory=list)
    moved: set[Root] = field(default_factory=set)


class Writer:
    """One transaction's writing. Without a prefix of the topics nothing is to be sent."""

    def __init__(self, connection: AsyncConnection, setting: Setting, topic_prefix: str | None) -> None:
        self._connection = connection
        self._setting = setting
        self._prefix = topic_prefix

    async def write(
        self, assembled: Mapping[Root, Assembled | None], all_sessions: Callable[[], Mapping[str, Root]]
    ) -> set[Root]:
        """Write what differs. `all_sessions` tells whose each session is, of all that may have been these roots'.

        Answers the roots that have got sessions from these: they are to be made anew after this transaction.
        """
        ids = {root: profile_id(root, self._setting.secret) for root in assembled}
        changes = _Changes()
        await self._profiles(assembled, ids, changes)
        await self._sessions({ids[root]: one.sessions if one else [] for root, one in assembled.items()},
                             all_sessions, changes)  # fmt: skip
        if changes.profiles:
            await self._connection.execute(text(_PUT_PROFILE), changes.profiles)
        if changes.sessions:
            await self._connection.execute(text(_PUT_SESSION), changes.sessions)
        await put_outbox(self._connection, changes.records)
        return changes.moved - assembled.keys()

    async def _profiles(
        self, assembled: Mapping[Root, Assembled | None], ids: Mapping[Root, str], changes: _Changes
    ) -> None:
        rows = await rows_among(self._connection, "SELECT id, revision, digest FROM profile", "id", ids.values())
        stored = {one: (revision, digest) for one, revision, digest in rows}
        now = self._setting.now
        for root, made in assembled.items():
            own_id = ids[root]
            revision, before = stored.get(own_id, (0, _NOTHING))
            body = body_text(made.profile) if made else None
            digest = _NOTHING if body is None else hash64(body)
            if digest == before:
                continue
            changes.profiles.append(
                {"id": own_id, "kind": root[0], "value": root[1], "revision": revision + 1, "digest": digest,
                 "changed_at": now, "body": body}
            )  # fmt: skip
            if self._prefix is not None:
                shown = {**made.profile, "revision": revision + 1} if made else None
                changes.records.append(profile_record(shown, own_id, now, self._prefix))

    async def _sessions(
        self,
        wanted: Mapping[str, list[dict[str, Any]]],
        all_sessions: Callable[[], Mapping[str, Root]],
        changes: _Changes,
    ) -> None:
        stored = await self._stored_sessions(wanted)
        had: defaultdict[str, list[str]] = defaultdict(list)
        for one, rows in stored.items():
            for own_id, row in rows.items():
                if row.here:
                    had[own_id].append(one)
        gone: list[tuple[str, str]] = []
        for own_id, sessions in wanted.items():
            kept = {session["id"] for session in sessions}
            gone += [(one, own_id) for one in had.get(own_id, ()) if one not in kept]
            for session in sessions:
                self._session(session, stored.get(session["id"], {}), changes)
        if gone:
            await self._gone(gone, stored, all_sessions(), changes)

    async def _stored_sessions(self, wanted: Mapping[str, list[dict[str, Any]]]) -> dict[str, dict[str, _Stored]]:
        """Session's id -> profile's id -> what is stored: of these profiles, and of these sessions in any profile."""
        select = "SELECT id, profile_id, revision, digest, body IS NOT NULL FROM session"
        rows = list(await rows_among(self._connection, select, "profile_id", wanted))
        rows += await rows_among(
            self._connection, select, "id", {one["id"] for some in wanted.values() for one in some}
        )
        found: dict[str, dict[str, _Stored]] = {}
        for one, own_id, revision, digest, here in rows:
            found.setdefault(one, {})[own_id] = _Stored(revision, digest, bool(here))
        return found

    def _session(self, session: dict[str, Any], stored: Mapping[str, _Stored], changes: _Changes) -> None:
        own_id = session["profile_id"]
        body = body_text(session)
        digest = hash64(body)
        top = max((row.revision for row in stored.values()), default=0)
        own = stored.get(own_id)
        # Another profile may have had it since: then readers must hear of it once more.
        if own is not None and own.here and own.digest == digest and own.revision == top:
            return
        end = parse_ms(session["end"])
        due = next((at + 1 for at in flips(end, self._setting.rules) if at >= self._setting.now), None)
        changes.sessions.append(
            {"id": session["id"], "profile_id": own_id, "revision": top + 1, "digest": digest,
             "start": parse_ms(session["start"]), "due": due, "body": body}
        )  # fmt: skip
        self._send({**session, "revision": top + 1}, changes)

    async def _gone(
        self,
        gone: list[tuple[str, str]],
        stored: Mapping[str, Mapping[str, _Stored]],
        owned: Mapping[str, Root],
        changes: _Changes,
    ) -> None:
        """Sessions these profiles have no more: another has them now, or their first event is another one."""
        rows = await rows_among(
            self._connection, "SELECT id, profile_id, start, body FROM session", "id", {one for one, _ in gone}
        )
        last = {(one, own_id): (start, body) for one, own_id, start, body in rows}
        for one, own_id in gone:
            start, body = last[one, own_id]
            revision = stored[one][own_id].revision
            root = owned.get(one)
            if root is None:
                revision = max(row.revision for row in stored[one].values()) + 1
                ended = {**orjson.loads(body), "state": "deleted", "revision": revision}
                self._send(ended, changes)
            else:
                changes.moved.add(root)
            changes.sessions.append(
                {"id": one, "profile_id": own_id, "revision": revision, "digest": _NOTHING, "start": start,
                 "due": None, "body": None}
            )  # fmt: skip

    def _send(self, session: dict[str, Any], changes: _Changes) -> None:
        if self._prefix is not None:
            changes.records.append(session_record(session, self._setting.now, self._prefix))


def body_text(value: Mapping[str, Any]) -> str:
    """A profile or session as its row holds it."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
