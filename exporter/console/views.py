"""What each page shows, as values: the pages and their `.json` twins are made of them. Personal data is masked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args
from urllib.parse import quote

from eventlog.profile import IdentifierKind
from eventlog.timestamps import format_ms, now_ms
from exporter.console import start
from exporter.console.mask import mask_body, mask_reason, mask_value
from exporter.console.rows import STATUSES, Filter, newest
from exporter.console.tail import LogReader, Tails
from exporter.ledger import list_runs, show_run
from exporter.lookup import Lookup
from exporter.parameters import is_id, time_of, wanted_of
from exporter.problem import Problem
from exporter.rejected import STATUSES as REJECTED_STATUSES
from exporter.rejected import read_causes
from exporter.schedule import next_ticks
from exporter.settings import ExporterSettings
from exporter.snippet import csp_line
from exporter.store import STORE_AWAY, Store
from exporter.whereabouts import Whereabouts

SHOWN_ROWS: Final = 100
SHOWN_PROFILES: Final = 50
SHOWN_SESSIONS: Final = 50
SHOWN_EVENTS: Final = 100
SHOWN_RUNS: Final = 50
SHOWN_BATCHES: Final = 100
SHOWN_CAUSES: Final = 100

_FUNNEL: Final = ("read", "unchanged", "suppressed", "invalid", "sent", "accepted", "refused", "unknown")

_HOW_FOUND: Final = {
    "profile": "the profile of this id",
    "user": "the profile with this user id",
    "ruid": "the profile with this ruid",
    "email": "the profile with this e-mail",
    "anon": "the profile with this cookie id",
}

_WHO: Final = {"user": "user", "ruid": "ruid", "email": "e-mail", "anon": "anonymous visitor"}

Data = dict[str, Any]
Query = Mapping[str, str]


@dataclass(frozen=True)
class Console:
    """What the pages are made from."""

    settings: ExporterSettings
    store: Store
    lookup: Lookup
    reader: LogReader
    senders: Sequence[start.SenderInfo]


async def live(console: Console, query: Query) -> Data:
    """The newest records of the log: source, status and name filter them."""
    wanted = Filter(query.get("source", ""), query.get("status", ""), query.get("name", ""))
    if wanted.status and wanted.status not in STATUSES:
        todo = "Use " + ", ".join(STATUSES)
        raise Problem("bad_request", "There is no such status.", where="query.status", todo=todo)
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
        "as_of": format_ms(tails.as_of),
        "filter": {"source": wanted.source, "status": wanted.status, "name": wanted.name},
        "statuses": STATUSES,
        "sources": [sender.source for sender in console.senders],
    }


def _complete_since(tails: Tails, wanted: Filter) -> str | None:
    sides = {"": (tails.events, tails.rejected), "accepted": (tails.events,)}.get(wanted.status, (tails.rejected,))
    gaps = [side.complete_since for side in sides if side.complete_since is not None]
    return format_ms(max(gaps)) if gaps else None


async def start_page(console: Console, query: Query) -> Data:
    """What to paste for one source, and what has arrived since `since`."""
    kind: start.Kind = next((kind for kind in start.KINDS if kind == query.get("kind")), "browser")
    now = now_ms()
    data: Data = {"kind": kind, "kinds": start.KINDS, "sources": [sender.source for sender in console.senders]}
    sender = _sender(console.senders, query.get("source", ""))
    if sender is None:
        return data | {"sender": None}
    since = time_of(query, "since", now)
    tails = await console.reader.read()
    events, refused = start.arrived(tails, sender, since)
    checks = start.checks(events, refused, kind) + await _store_checks(console.lookup, events, kind)
    silent = not events and not refused and now - since >= start.SILENCE_MS
    gap = _complete_since(tails, Filter())
    return data | {
        "sender": {"source": sender.source, "origins": list(sender.origins), "collector_url": sender.collector_url},
        "snippet": start.snippet(sender) if sender.browser_key else "",
        "consent": start.consent_call(),
        "csp": csp_line(sender.collector_url),
        "curl": start.curl_line(sender, kind),
        "python": start.segment_python(sender),
        "node": start.segment_node(sender),
        "since": format_ms(since),
        "complete_since": gap if gap is not None and gap > format_ms(since) else None,
        "as_of": format_ms(tails.as_of),
        "checks": checks,
        "done": all(check["done"] for check in checks),
        "refusals": start.refusals(refused, sender),
        "causes": start.CAUSES[kind] if silent else (),
    }


def _sender(senders: Sequence[start.SenderInfo], source: str) -> start.SenderInfo | None:
    if not source:
        return senders[0] if senders else None
    for sender in senders:
        if sender.source == source:
            return sender
    raise Problem("not_found", "No source has this name.", where="query.source", todo="Pick one on the Start page.")


async def _store_checks(lookup: Lookup, events: Sequence[Data], kind: start.Kind) -> list[start.Check]:
    """Whether the store has made a profile, and of what a browser sent a session, of one of the newest events."""
    session = profile = None
    detail = "made within about a second of the event, by `trackway aggregate`" if events else "needs an accepted event"
    try:
        for event in events[:5]:
            for trace in await lookup.where(str(event.get("id"))):
                if trace["source"] == event.get("source"):
                    session = session or trace.get("session_id")
                    profile = profile or trace.get("profile_id")
    except STORE_AWAY:
        detail = "the store does not answer, so this cannot be told"
    found: list[start.Check] = []
    if kind == "browser":
        without = start.why_no_session(events) or detail
        found.append({"name": "A session was made", "done": bool(session), "detail": "" if session else without})
    shown = f"/console/profiles/{profile}" if profile else detail
    found.append({"name": "A profile was made", "done": bool(profile), "detail": shown})
    return found


async def where(console: Console, event_id: str) -> Data:
    """What happened to one event id, as far as the store has come."""
    traces = await Whereabouts(console.settings, console.store).traces(event_id) if is_id(event_id) else []
    return {
        "id": event_id,
        "traces": [mask_body(trace) for trace in traces],
        "trace_days": console.settings.trace_days,
        "as_of": format_ms(now_ms()),
    }


async def rejected(console: Console, query: Query) -> Data:
    """What did not become an event since a day ago, or `from`, by cause; `status`, `source` and `reason` narrow it."""
    wanted = wanted_of(query)
    causes, complete = await read_causes(console.settings, console.store, wanted)
    shown = [mask_body(cause.row()) for cause in causes[:SHOWN_CAUSES]]
    return {
        "causes": shown,
        "shown": len(shown),
        "total": len(causes),
        "records": sum(cause.count for cause in causes),
        "complete": complete,
        "since": format_ms(wanted.start),
        "as_of": format_ms(now_ms()),
        "filter": {"source": wanted.source, "status": query.get("status", ""), "reason": wanted.reason},
        "statuses": REJECTED_STATUSES,
        "sources": [sender.source for sender in console.senders],
    }


async def find(console: Console, text: str) -> list[tuple[str, str]]:
    """Everything with exactly this id or identifier, as (what it is, address of its page)."""
    if not is_id(text):
        return []
    found: list[tuple[str, str]] = []
    profiles = {"profile": await console.lookup.profile(text)}
    for kind in get_args(IdentifierKind):
        profiles[kind] = await console.lookup.find_profile(kind, text)
    for how, profile in profiles.items():
        address = f"/console/profiles/{profile['id']}" if profile else ""
        if address and address not in dict(found).values():
            found.append((_HOW_FOUND[how], address))
    if await show_run(console.store, text):
        found.append(("an export run", f"/console/runs/{text}"))
    if await console.lookup.where(text):
        found.append(("an event", f"/console/events/{quote(text, safe='')}"))
    return found


async def profiles(console: Console, query: Query) -> Data:
    """The profiles that changed last."""
    found = await console.lookup.recent_profiles(SHOWN_PROFILES)
    return {
        "profiles": [_masked_profile(profile) for profile in found],
        "shown": len(found),
        "limit": SHOWN_PROFILES,
        "as_of": format_ms(now_ms()),
    }


async def profile(console: Console, profile_id: str) -> Data:
    """One profile with its newest sessions and events; `profile.id` is another where its events belong to it now."""
    found = await console.lookup.profile(profile_id) if is_id(profile_id) else None
    if found is None:
        todo = "Look the person up by an identifier, in the box above."
        raise Problem("not_found", "There is no profile of this id.", where=profile_id[:64], todo=todo)
    sessions = await console.lookup.sessions(found["id"], SHOWN_SESSIONS)
    events = await console.lookup.events(found["id"], SHOWN_EVENTS)
    return {
        "profile": _masked_profile(found),
        "sessions": [mask_body(session) | {"key": mask_value(session["key"])} for session in sessions],
        "events": [mask_body(event) for event in events],
        "limits": {"sessions": SHOWN_SESSIONS, "events": SHOWN_EVENTS},
        "as_of": format_ms(now_ms()),
    }


def _masked_profile(profile: Mapping[str, Any]) -> Data:
    """The profile with every identifier and trait masked; its own id, counts, money, times and flags in clear."""
    masked: Data = mask_body(profile)
    kind, value = profile["root"]["kind"], profile["root"]["value"]
    masked["root"] = {"kind": kind, "value": mask_value(value)}
    # An anonymous root is `<id>#<number of sign-outs before>`.
    shown, _, epoch = value.rpartition("#") if kind == "anon" else (value, "", "0")
    masked["who"] = f"{_WHO[kind]} {mask_value(shown)}" + (f" after sign-out {epoch}" if epoch != "0" else "")
    return masked


async def exports(console: Console, query: Query) -> Data:
    """The configured exports and the newest runs, of one workflow or of all."""
    workflow = query.get("workflow", "")
    runs = [_run(run) for run in await list_runs(console.store, SHOWN_RUNS, workflow or None)]
    workflows = next_ticks(console.settings, now_ms())
    for row in workflows:
        row["last"] = next(map(_run, await list_runs(console.store, 1, row["workflow"])), None)
    return {
        "workflows": workflows,
        "workflow": workflow,
        "runs": runs,
        "shown": len(runs),
        "limit": SHOWN_RUNS,
        "as_of": format_ms(now_ms()),
    }


async def run(console: Console, run_id: str) -> Data:
    """One run: its counts, its newest batches and what did not go through."""
    found = await show_run(console.store, run_id) if is_id(run_id) else None
    if found is None:
        raise Problem("not_found", "There is no run of this id.", where=run_id[:64], todo="See the list of exports.")
    shown = _run(found)
    # A row's key is what names it at the CDP: often the person's own id.
    shown["refused_rows"] = [_masked_reason(one) | {"key": mask_value(one["key"])} for one in shown["refused_rows"]]
    shown["refusals"] = [_masked_reason(one) for one in shown["refusals"]]
    shown["batches"] = shown["batches"][: -SHOWN_BATCHES - 1 : -1]
    return {"run": shown, "funnel": _FUNNEL, "batches": len(found["batches"]), "as_of": format_ms(now_ms())}


def _masked_reason(refusal: Data) -> Data:
    return refusal | {"reason": mask_reason(refusal.get("reason", ""))}


def _run(run: Mapping[str, Any]) -> Data:
    """A run, masked; `shown` is its state, or `stalled` where its process has gone."""
    masked: Data = mask_body(run)
    return masked | {"shown": "stalled" if "stalled_since" in run else run["state"]}
