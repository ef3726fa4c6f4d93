"""Compares the store with one made anew from the log: what is the same, less what only delivery knows.

Left out are revisions, rows of what is no more, the numbers of rows and the times of sending. A state that time alone
changes is the same if the clock has set it, or is still to set it. Both are read on one connection, the new one's
tables as `name`.table; nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from eventlog.timestamps import DAY_MS, parse_ms
from exporter.affected import affected_roots
from exporter.assembly import around
from exporter.clock import COUNTS_MS
from exporter.evidence import Evidence
from exporter.failures import blames_data
from exporter.fold import BUGS
from exporter.identity import Root, profile_id
from exporter.marks import Mark, hash64
from exporter.profile import Setting, assemble_all
from exporter.rules import Rules
from exporter.session import flips
from exporter.store import rows_among
from exporter.writing import body_text

# Clocks of several machines may differ by this much.
_SKEW_MS: Final = 60_000
_AT_ONCE: Final = 200
_VISITORS: Final = 2_000
_EXAMPLES: Final = 5

# What is made by folding alone: its columns, which rows are not forgotten by now, and how one is told without naming
# anybody.
_TABLES: Final[Mapping[str, tuple[str, str, Callable[..., str]]]] = {
    "trace": (
        'topic, partition, "offset", id_hash, key_hash, seen, source, event_id, status, reason, received_at, vid',
        "received_at >= :traces",
        lambda topic, partition, offset, *_: f"{'events' if topic == 0 else 'rejected'}/{partition} offset {offset}",
    ),
    "counts": (
        "minute, source, status, topic, partition, n",
        "minute >= :counts",
        lambda minute, source, status, *_: f"minute {minute} source {source or '-'} {status}",
    ),
    "page_load": (
        "load, block, source, browser, first, bits",
        "first >= :traces",
        lambda load, block, source, *_: f"page load {load} of {source}, part {block}",
    ),
    "link": ("vid, identifier", "TRUE", lambda vid, *_: f"visitor {vid}"),
    "claim": ("source, identifier, owner, at, seq, event_id", "TRUE", lambda source, *_: f"an event of {source}"),
    "alias": ("source, anon, owner, at, seq, event_id", "TRUE", lambda source, *_: f"an event of {source}"),
}
_PROFILE: Final = "SELECT id, kind, value, digest, body FROM {}profile"
_SESSION: Final = "SELECT profile_id, id, digest, start, due, body FROM {}session"


@dataclass(frozen=True, slots=True)
class Difference:
    """One table or profile that is not the same. `what` says in which respects, naming nobody."""

    table: str
    what: str
    # Of profiles: its id, whose it is, and the ids of its sessions that differ.
    id: str = ""
    root: Root | None = None
    sessions: tuple[str, ...] = ()


class _Session(NamedTuple):
    digest: int
    start: int
    due: int | None
    body: str


@dataclass(slots=True)
class _View:
    """A profile with its sessions, as one of the two stores has it."""

    root: Root | None = None
    digest: int = 0
    body: str | None = None
    sessions: dict[str, _Session] = field(default_factory=dict)


class Comparison:
    """One comparison, at `setting.now`."""

    def __init__(self, connection: AsyncConnection, name: str, setting: Setting, trace_days: int) -> None:
        self._connection = connection
        self._name = name
        self._setting = setting
        now = setting.now + _SKEW_MS
        self._since = {"traces": now - trace_days * DAY_MS, "counts": now - COUNTS_MS}

    async def all_differences(self) -> list[Difference]:
        """Everything that differs. Profiles for which marks wait are made first, in memory."""
        found = [one for table in _TABLES for one in await self._table(table)]
        return [*found, *await self._timeline(), *await self.profiles(await self._pending())]

    async def profiles(self, pending: Mapping[str, Root]) -> list[Difference]:
        """The profiles that differ, themselves or in their sessions. `pending` are to be made anew by the store."""
        suspects = [one for (one,) in await self._connection.execute(text(self._suspects()))]
        found = []
        for at in range(0, len(suspects), _AT_ONCE):
            some = suspects[at : at + _AT_ONCE]
            live, anew = await self._views("", some), await self._views(f"{self._name}.", some)
            live |= await self._made({id: root for id in some if (root := pending.get(id)) is not None})
            for id in some:
                what, sessions = _differing(live[id], anew[id], self._setting.now, self._setting.rules)
                if what:
                    root = anew[id].root or live[id].root
                    found.append(Difference("profile", "; ".join(what), id, root, tuple(sessions)))
        return found

    async def _table(self, table: str) -> list[Difference]:
        columns, kept, told = _TABLES[table]
        rows = {place: f"SELECT {columns} FROM {place}{table} WHERE {kept}" for place in ("", f"{self._name}.")}
        live, anew = rows.values()
        found = []
        for words, more, less in (("the log does not give", live, anew), ("the log gives, missing here", anew, live)):
            extra = f"{more} EXCEPT {less}"
            count = int(await self._scalar(f"SELECT COUNT(*) FROM ({extra}) AS rows") or 0)
            if count:
                examples = await self._connection.execute(text(f"{extra} LIMIT {_EXAMPLES}"), self._bound(extra))
                where = ", ".join(told(*row) for row in examples)
                found.append(Difference(table, f"{count} rows {words}: {where}{', …' if count > _EXAMPLES else ''}"))
        return found

    async def _timeline(self) -> list[Difference]:
        differing: list[int] = []
        last: int | None = None
        while True:
            behind = "TRUE" if last is None else f"vid > {last}"
            page = f"SELECT DISTINCT vid FROM {{}}timeline WHERE {behind} ORDER BY vid LIMIT {_VISITORS}"
            vids = {
                vid
                for place in ("", f"{self._name}.")
                for (vid,) in await self._connection.execute(text(page.format(place)))
            }
            some = sorted(vids)[:_VISITORS]
            if not some:
                break
            last = some[-1]
            of = f"SELECT vid, body FROM {{}}timeline WHERE {behind} AND vid <= {last}"
            live, anew = [
                _chunks(await self._connection.execute(text(of.format(place)))) for place in ("", f"{self._name}.")
            ]
            differing += [vid for vid in some if not _same_members(live.get(vid, []), anew.get(vid, []))]
        if not differing:
            return []
        told = ", ".join(f"visitor {vid}" for vid in differing[:_EXAMPLES])
        return [Difference("timeline", f"events of {len(differing)} visitors: {told}")]

    async def _pending(self) -> dict[str, Root]:
        """The profiles, by id, that the store is to make anew because of marks that wait."""
        rows = await self._connection.execute(text("SELECT body FROM dirty"))
        marks = sorted({Mark(kind, value) for (body,) in rows for kind, value in orjson.loads(body)})
        roots: set[Root] = set()
        for at in range(0, len(marks), _AT_ONCE):
            evidence = Evidence(self._connection, self._setting.rules)
            try:
                roots |= await affected_roots(evidence, marks[at : at + _AT_ONCE], self._setting.rules)
            except (*BUGS, SQLAlchemyError) as error:
                # What cannot be made is found to differ.
                if not blames_data(error):
                    raise
        return {profile_id(root, self._setting.secret): root for root in roots}

    async def _made(self, pending: Mapping[str, Root]) -> dict[str, _View]:
        """The profiles as the store is about to make them."""
        roots = set(pending.values())
        if not roots:
            return {}
        try:
            visitors, owners = await around(Evidence(self._connection, self._setting.rules), roots)
            assembled = assemble_all(roots, visitors, owners, self._setting)
        except (*BUGS, SQLAlchemyError) as error:
            if not blames_data(error):
                raise
            return {}
        views = {}
        for id, root in pending.items():
            made = assembled[root]
            view = views[id] = _View()
            if made is not None:
                body = body_text(made.profile)
                view.root, view.body, view.digest = root, body, hash64(body)
                for session in made.sessions:
                    view.sessions[session["id"]] = _new_session(session, self._setting)
        return views

    async def _views(self, place: str, ids: Iterable[str]) -> dict[str, _View]:
        views = {id: _View() for id in ids}
        for id, kind, value, digest, body in await rows_among(
            self._connection, _PROFILE.format(place), "body IS NOT NULL AND id", views
        ):
            views[id].root, views[id].digest, views[id].body = (kind, value), digest, body
        for id, session, *row in await rows_among(
            self._connection, _SESSION.format(place), "body IS NOT NULL AND profile_id", views
        ):
            views[id].sessions[session] = _Session(*row)
        return views

    def _suspects(self) -> str:
        found = []
        for table, id, columns in (
            ("profile", "id", "id, kind, value, digest, body"),
            ("session", "profile_id", "profile_id, id, digest, start, due, body"),
        ):
            live, anew = [
                f"SELECT {columns} FROM {place}{table} WHERE body IS NOT NULL" for place in ("", f"{self._name}.")
            ]
            found += [f"SELECT {id} FROM ({a} EXCEPT {b}) AS differing" for a, b in ((live, anew), (anew, live))]
        return f"SELECT * FROM ({' UNION '.join(found)}) AS suspects ORDER BY 1"

    async def _scalar(self, statement: str) -> Any:
        return await self._connection.scalar(text(statement), self._bound(statement))

    def _bound(self, statement: str) -> dict[str, int]:
        return {name: at for name, at in self._since.items() if f":{name}" in statement}


def _differing(live: _View, anew: _View, now: int, rules: Rules) -> tuple[list[str], list[str]]:
    """In which respects the profile differs, and which of its sessions do."""
    what = []
    if live.body is None or anew.body is None:
        if live.body != anew.body:
            what.append("it is missing" if live.body is None else "the log does not give it")
    elif live.root != anew.root or live.body != anew.body:
        what.append(f"it differs in {_fields(live.body, anew.body) or 'root'}")
    elif live.digest != anew.digest:
        what.append("its digest is not of its body")
    sessions = []
    for id in sorted(live.sessions.keys() | anew.sessions.keys()):
        here, there = live.sessions.get(id), anew.sessions.get(id)
        told = _differing_session(here, there, now, rules)
        if told:
            what.append(f"session {id} {told}")
            sessions.append(id)
    return what, sessions


def _differing_session(here: _Session | None, there: _Session | None, now: int, rules: Rules) -> str:
    if here is None or there is None:
        return "is missing" if here is None else "is one the log does not give"
    if here == there:
        return ""
    if here.digest != hash64(here.body):
        return "has another digest than its body's"
    bodies = _timeless(here, now, rules), _timeless(there, now, rules)
    if here.start == there.start and bodies[0] == bodies[1]:
        return ""
    return f"differs in {_fields(*map(body_text, bodies)) or 'start'}"


def _timeless(session: _Session, now: int, rules: Rules) -> dict[str, Any]:
    """The session's body without the state where that is as the clock sets it, or is still to set it."""
    body = _parsed(session.body)
    if "end" not in body or "state" not in body:
        return body
    last_open, last_closed = flips(parse_ms(body["end"]), rules)
    latest = now + _SKEW_MS
    by_the_clock: list[tuple[str, int | None]] = [("open", last_open + 1)]
    by_the_clock += [("closed", last_closed + 1)] if latest > last_open else []
    by_the_clock += [("final", None)] if latest > last_closed else []
    if (body["state"], session.due) in by_the_clock:
        return {name: value for name, value in body.items() if name != "state"}
    return {**body, "due": session.due or 0}


def _new_session(session: dict[str, Any], setting: Setting) -> _Session:
    body = body_text(session)
    changes = flips(parse_ms(session["end"]), setting.rules)
    due = next((at + 1 for at in changes if at >= setting.now), None)
    return _Session(hash64(body), parse_ms(session["start"]), due, body)


def _fields(one: str, other: str) -> str:
    """The names of the fields in which two bodies differ."""
    first, second = _parsed(one), _parsed(other)
    return ", ".join(sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name)))


def _parsed(body: str) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {"JSON": body}
    return value if isinstance(value, dict) else {"JSON": body}


def _chunks(rows: Iterable[Any]) -> dict[int, list[bytes]]:
    chunks: dict[int, list[bytes]] = {}
    for vid, body in rows:
        chunks.setdefault(vid, []).append(bytes(body))
    return chunks


def _same_members(one: list[bytes], other: list[bytes]) -> bool:
    """Whether chunks hold the same events, however they are cut."""
    if sorted(one) == sorted(other):
        return True
    try:
        return _members(one) == _members(other)
    except BUGS:
        # A chunk that is none.
        return False


def _members(chunks: list[bytes]) -> list[bytes]:
    return sorted(orjson.dumps([chunk[0], row]) for chunk in map(orjson.loads, chunks) for row in chunk[1:])
