"""What each page shows, as values: the pages and their `.json` twins are made of them. Personal data is masked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eventlog.timestamps import format_ms, now_ms, parse_ms
from exporter.console import start
from exporter.console.mask import mask_body, mask_value
from exporter.console.rows import STATUSES, Filter, newest
from exporter.console.tail import LogReader, Tails
from exporter.ledger import list_runs, show_run
from exporter.problem import STORE_AWAY, Problem
from exporter.settings import ExporterSettings
from exporter.store import Store

SHOWN_ROWS: Final = 100
SHOWN_PROFILES: Final = 50
SHOWN_SESSIONS: Final = 50
SHOWN_EVENTS: Final = 100
SHOWN_RUNS: Final = 50

Data = dict[str, Any]
Query = Mapping[str, str]


@dataclass(frozen=True)
class Console:
    """What the pages are made from."""

    settings: ExporterSettings
    store: Store
    reader: LogReader
    senders: Sequence[start.SenderInfo]


async def live(console: Console, query: Query) -> Data:
    """The newest records of the log: source, status and name filter them."""
    wanted = Filter(query.get("source", ""), query.get("status", ""), query.get("name", ""))
    if wanted.status and wanted.status not in STATUSES:
        raise Problem(
            "bad_request", "There is no such status.", where="query.status", todo="Use " + ", ".join(STATUSES)
        )
    tails = await console.reader.read()
    rows, matched = newest(tails, wanted, SHOWN_ROWS)
    return {
        "rows": rows,
        "shown": len(rows),
        "matched": matched,
        "read": len(tails.events.records) + len(tails.rejected.records),
        "held": tails.events.held_by_log + tails.rejected.held_by_log,
        "complete_since": _complete_since(tails, wanted),
        "caught_up": tails.caught_up,
        "as_of": format_ms(now_ms()),
        "filter": {"source": wanted.source, "status": wanted.status, "name": wanted.name},
        "sources": [sender.source for sender in console.senders],
    }


def _complete_since(tails: Tails, wanted: Filter) -> str | None:
    sides = {"": (tails.events, tails.rejected), "accepted": (tails.events,)}.get(wanted.status, (tails.rejected,))
    gaps = [side.complete_since for side in sides if side.complete_since is not None]
    return format_ms(max(gaps)) if gaps else None


async def start_page(console: Console, query: Query) -> Data:
    """What to paste for one source, and what has arrived since `since`."""
    kind: start.Kind = "server" if query.get("kind") == "server" else "browser"
    now = now_ms()
    data: Data = {"kind": kind, "sources": [sender.source for sender in console.senders], "sender": None}
    sender = _sender(console.senders, query.get("source", ""))
    if sender is None:
        return data
    since = _time(query.get("since"), "since", now)
    tails = await console.reader.read()
    events, refused = start.arrived(tails, sender, since)
    checks = start.checks(events, refused, kind)
    if events:
        checks += await _store_checks(console.store, events)
    else:
        checks += [
            {"name": "A session was made", "done": False, "detail": "needs an accepted event"},
            {"name": "A profile was made", "done": False, "detail": "needs an accepted event"},
        ]
    silent = not events and not refused and now - since >= start.SILENCE_MS
    return data | {
        "sender": {"source": sender.source, "origins": list(sender.origins), "collector_url": sender.collector_url},
        "snippet": start.snippet(sender) if sender.browser_key else "",
        "consent": start.consent_call(),
        "csp": start.csp_line(sender),
        "curl": start.curl_line(sender, kind),
        "since": format_ms(since),
        "as_of": format_ms(now),
        "checks": checks,
        "done": all(check["done"] for check in checks),
        "refusals": start.refusals(refused, sender),
        "causes": [{"name": name, "todo": todo} for name, todo in start.CAUSES] if silent else [],
    }


def _sender(senders: Sequence[start.SenderInfo], source: str) -> start.SenderInfo | None:
    if not source:
        return senders[0] if senders else None
    for sender in senders:
        if sender.source == source:
            return sender
    raise Problem("not_found", "No source has this name.", where="query.source", todo="Pick one on the Start page.")


async def _store_checks(store: Store, events: Sequence[Mapping[str, Any]]) -> list[start.Check]:
    try:
        profile_id = await _profile_of_newest(store, events)
        sessions = await store.sessions(profile_id, 1) if profile_id else []
    except STORE_AWAY:
        away = "the store does not answer, so this cannot be told"
        return [
            {"name": "A session was made", "done": False, "detail": away},
            {"name": "A profile was made", "done": False, "detail": away},
        ]
    waiting = "made within about a second of the event, by `trackway aggregate`"
    return [
        {"name": "A session was made", "done": bool(sessions), "detail": "" if sessions else waiting},
        {
            "name": "A profile was made",
            "done": profile_id is not None,
            "detail": f"/console/profiles/{profile_id}" if profile_id else waiting,
        },
    ]


async def _profile_of_newest(store: Store, events: Sequence[Mapping[str, Any]]) -> str | None:
    for event in events[:5]:
        for trace in await store.where(str(event.get("id"))):
            profile_id = trace.get("profile_id")
            if profile_id and trace.get("source") == event.get("source"):
                return str(profile_id)
    return None


async def where(console: Console, event_id: str) -> Data:
    """What happened to one event id, as far as the store has come."""
    traces = await console.store.where(event_id)
    return {
        "id": event_id,
        "traces": [mask_body(dict(trace)) for trace in traces],
        "trace_days": console.settings.trace_days,
        "as_of": format_ms(now_ms()),
    }


async def profiles(console: Console, query: Query) -> Data:
    """The profiles that changed last."""
    found = await console.store.recent_profiles(SHOWN_PROFILES)
    return {
        "profiles": [_masked_profile(profile) for profile in found],
        "shown": len(found),
        "limit": SHOWN_PROFILES,
        "as_of": format_ms(now_ms()),
    }


async def profile(console: Console, profile_id: str) -> Data:
    """One profile with its newest sessions and events."""
    found = await console.store.profile(profile_id)
    if found is None:
        raise Problem(
            "not_found",
            "There is no profile of this id.",
            where=profile_id[:64],
            todo="It may have been joined into another one: look the person up by an identifier.",
        )
    sessions = await console.store.sessions(profile_id, SHOWN_SESSIONS)
    events = await console.store.events(profile_id, SHOWN_EVENTS)
    return {
        "profile": _masked_profile(found),
        "sessions": [mask_body(dict(session)) for session in sessions],
        "events": [mask_body(dict(event)) for event in events],
        "limits": {"sessions": SHOWN_SESSIONS, "events": SHOWN_EVENTS},
        "as_of": format_ms(now_ms()),
    }


def _masked_profile(profile: Mapping[str, Any]) -> Data:
    """The profile with every identifier and trait masked; its own id, counts, money, times and flags in clear."""
    masked: Data = mask_body(dict(profile))
    masked["root"] = {"kind": profile["root"]["kind"], "value": mask_value(profile["root"]["value"])}
    return masked


async def exports(console: Console, query: Query) -> Data:
    """The configured exports and the newest runs."""
    runs = await list_runs(console.store, SHOWN_RUNS)
    latest: dict[str, Data] = {}
    for run in runs:
        latest.setdefault(str(run["workflow"]), dict(run))
    return {
        "workflows": [
            {"name": name, "every": getattr(workflow, "every", ""), "last": latest.get(name)}
            for name, workflow in console.settings.workflows.items()
        ],
        "runs": [dict(run) for run in runs],
        "shown": len(runs),
        "limit": SHOWN_RUNS,
        "as_of": format_ms(now_ms()),
    }


async def run(console: Console, run_id: str) -> Data:
    """One run: its counts, batches and errors."""
    found = await show_run(console.store, run_id)
    if found is None:
        raise Problem("not_found", "There is no run of this id.", where=run_id[:64], todo="See the list of exports.")
    return {"run": mask_body(dict(found)), "as_of": format_ms(now_ms())}


def _time(text: str | None, name: str, default: int) -> int:
    if not text:
        return default
    try:
        return parse_ms(text)
    except ValueError:
        raise Problem(
            "bad_request", "This is no time.", where=f"query.{name}", todo="Write it as 2026-11-24T10:15:00Z."
        ) from None
