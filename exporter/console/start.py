"""The Start page: what to paste, and what the log knows about the first events. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import orjson
from typing_extensions import TypedDict

from eventlog.log import Record
from eventlog.timestamps import format_ms
from exporter.console.mask import mask_within
from exporter.console.rows import Body, decode
from exporter.console.tail import Tails
from exporter.snippet import script_line

Kind = Literal["browser", "server", "segment"]
KINDS: Final[dict[Kind, str]] = {
    "browser": "a website (our script)",
    "server": "a server (plain HTTP)",
    "segment": "a server (Segment's SDK)",
}

_INDEX: Final = re.compile(r"\[\d+\]")

# Silence for this long, and the page names what is usually behind it.
SILENCE_MS: Final = 30_000

_BROWSER_CAUSES: Final = (
    (
        "A cached page",
        "The page, or a cache before it, still serves a copy without the snippet: reload past the cache and look for "
        "t.js in the page's source.",
    ),
    (
        "A Content-Security-Policy",
        "The browser's console says “Refused to load” or “Refused to connect”: add the CSP line above.",
    ),
    (
        "An ad blocker",
        "Try a private window without extensions. Serving the collector under the site's own host helps.",
    ),
    (
        "The consent banner",
        "Until consent is given the tracker sends nothing: answer the banner, or make the consent call above.",
    ),
    (
        "A wrong host",
        "The browser's network list shows where t.js is asked for: it has to be the address in the snippet.",
    ),
    (
        "Not deployed",
        "The change has not reached the site this browser sees: compare the page's source with the snippet.",
    ),
)
_SERVER_CAUSES: Final = (
    (
        "Not sent yet",
        "SDKs collect events for some seconds and lose them when a short program ends: flush before it does.",
    ),
    ("A wrong host", "The address has to be the one above, path included; look at the answer's status and body."),
    (
        "A proxy or firewall between",
        "Run the curl line on that server: it has to answer 200 with a receipt, not a page of the proxy's.",
    ),
    ("Not deployed", "The change has not reached the server that runs: compare its settings with the lines above."),
)
# (what it may be, how to tell and what to do), most likely first.
CAUSES: Final[dict[Kind, tuple[tuple[str, str], ...]]] = {
    "browser": _BROWSER_CAUSES,
    "server": _SERVER_CAUSES,
    "segment": _SERVER_CAUSES,
}

# What a sender is told to do about each reason something was refused.
REMEDIES: Final[dict[str, str]] = {
    "not_an_object": "Send each event as a JSON object.",
    "unknown_type": "Use one of the types page, track, identify, group, alias, screen.",
    "missing_field": "Add the field that the path names.",
    "wrong_type": "Send the field that the path names in the type the message asks for.",
    "bad_value": "Send a value that the message allows in the field that the path names.",
    "not_a_number": "Send a finite number; NaN and Infinity are no JSON.",
    "too_long": "Shorten the field that the path names.",
    "undeliverable": "Kafka refuses what was acknowledged: correct the topic's limits. It lies in the "
    "collector's data folder, in refused.ndjson.",
    "too_deep": "Nest objects and lists less deeply.",
    "too_many_keys": "Send fewer keys, or raise `limits.event_keys`.",
    "too_large": "Send less in one event.",
    "unknown_key": "Compare the write key with the one in the snippet: no source has the key that was sent.",
    "origin_not_allowed": "Add the site's origin to the source's settings; they are read again without a restart.",
    "server_key_in_browser": "Use the browser key in pages; the server key is a secret, so make a new one.",
    "consent": "The person has not allowed analytics: make the consent call once they have.",
    "dnt": "The browser asks not to be tracked, and the settings respect it (`respect_dnt`).",
    "bot": "The sender calls itself a bot, and the source is set to `bots: filter`.",
    "not_json": "Somebody else wrote into the topic: records hold JSON objects.",
    "not_an_event": "Somebody else wrote into the topic: records follow /schema/event.json.",
    "not_storable": "The store cannot hold a value of this record; the aggregator's log has the error.",
    "fold_failed": "Trackway could not work with this record; its log has the error.",
}


@dataclass(frozen=True, slots=True)
class SenderInfo:
    """One source as the Start page explains it. `collector_url` has no slash at its end; keys may be empty; `script` is
    the tracker's path."""

    source: str
    browser_key: str
    origins: tuple[str, ...]
    collector_url: str
    script: str = "/tw/t.js"


class Check(TypedDict):
    """One tick of the live check."""

    name: str
    done: bool
    detail: str


class Refusal(TypedDict):
    """What did not become an event, grouped by reason, path (without indexes) and origin. Times are the log's."""

    status: str
    reason: str
    path: str
    message: str
    origin: str
    count: int
    first: str
    last: str
    todo: str
    setting: str


def snippet(sender: SenderInfo) -> str:
    """The line for the page's head. Without `integrity`, so that it stays right when Trackway is updated."""
    return script_line(sender.collector_url + sender.script, sender.browser_key)


def consent_call() -> str:
    """What the page calls when the person has answered the banner."""
    return "trackway('consent', 'granted')   // or 'denied'"


def curl_line(sender: SenderInfo, kind: Kind) -> str:
    """One event from a terminal. A server's key is a secret and comes from the environment."""
    event = {"type": "track", "event": "visit", "anonymousId": "start-page", "properties": {"product_id": "SKU-1"}}
    key = sender.browser_key if kind == "browser" else "%KEY%"
    quoted = shlex.quote(orjson.dumps({"writeKey": key, "batch": [event]}).decode())
    if kind != "browser":
        quoted = quoted.replace("%KEY%", "'\"$SERVER_KEY\"'")
    return f"curl -i {shlex.quote(sender.collector_url + '/v1/batch')} -d {quoted}"


def segment_python(sender: SenderInfo) -> str:
    """What points segment-analytics-python here."""
    return (
        "import os\nimport segment.analytics as analytics\n\n"
        f'analytics.write_key = os.environ["SERVER_KEY"]\nanalytics.host = {_quoted(sender.collector_url)}'
    )


def segment_node(sender: SenderInfo) -> str:
    """What points @segment/analytics-node here."""
    return (
        "import { Analytics } from '@segment/analytics-node'\n\n"
        "const analytics = new Analytics({\n"
        f"  writeKey: process.env.SERVER_KEY,\n  host: {_quoted(sender.collector_url)},\n}})"
    )


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()


def arrived(tails: Tails, sender: SenderInfo, since: int) -> tuple[list[Body], list[tuple[Record, Body]]]:
    """Events of the source since then, newest first; and what was refused, of this source or of none that is known."""
    events = []
    for record in tails.events.records:
        body = decode(record) if record.timestamp >= since else None
        if body is not None and body.get("source") == sender.source:
            events.append(body)
    refused = []
    for record in tails.rejected.records:
        body = decode(record) if record.timestamp >= since else None
        if body is not None and body.get("source", sender.source) == sender.source:
            refused.append((record, body))
    return events, refused


def checks(events: Sequence[Body], refused: Sequence[tuple[Record, Body]], kind: Kind) -> list[Check]:
    """What the log alone can tell. Session and profile come from the store."""
    reached = len(events) + len(refused)
    found: list[Check] = [
        _check("A request reached Trackway", reached > 0, _many(reached, "record") if reached else ""),
        _check("An event was accepted", bool(events), _many(len(events), "event") if events else ""),
    ]
    if kind != "browser":
        return found
    found.append(_check("Consent is known", bool(events), _consent_detail(events)))
    visitors = [event for event in events if event.get("anonymous_id")]
    found.append(_check("The visitor has an id", bool(visitors), "" if visitors else "no anonymous id came yet"))
    kept = survived_a_page_load(visitors)
    detail = "a second page load came with it" if kept else "open a second page of the site"
    found.append(_check("The id is kept from page to page, by cookie or storage", kept, detail))
    return found


def survived_a_page_load(events: Iterable[Body]) -> bool:
    """Whether one visitor's events come from two page loads: `client.seq` counts within one load, so it starts anew."""
    highest: dict[str, int] = {}
    for event in sorted(events, key=lambda event: str(event.get("occurred_at"))):
        client = event.get("client")
        seq = client.get("seq") if isinstance(client, dict) else None
        if not isinstance(seq, int):
            continue
        visitor = str(event["anonymous_id"])
        if seq <= highest.get(visitor, -1):
            return True
        highest[visitor] = seq
    return False


def why_no_session(events: Sequence[Body]) -> str:
    """Why none of these accepted events can make a session, in words; empty where one can."""
    reasons = []
    for event in events:
        client = event.get("client")
        if isinstance(client, dict) and "bot" in client:
            reasons.append("the browser says it is a bot: bots are counted, and make no session")
        elif event.get("channel") not in ("web", "app"):
            reasons.append("events of servers make no session; this needs one of a browser")
        else:
            return ""
    return reasons[0] if reasons else ""


def refusals(refused: Sequence[tuple[Record, Body]], sender: SenderInfo) -> list[Refusal]:
    """What arrived and was refused or set aside, newest group first, duplicates left out."""
    groups: dict[tuple[str, ...], Refusal] = {}
    for record, body in refused:
        status, reason = str(body.get("status")), str(body.get("reason"))
        if status == "duplicate":
            continue
        path = _INDEX.sub("[]", mask_within(str(body.get("path", ""))))
        origin = mask_within(str(body.get("origin", "")))
        at = format_ms(record.timestamp)
        group = groups.get((status, reason, path, origin))
        if group:
            group["count"] += 1
            group["first"] = min(group["first"], at)
            continue
        groups[(status, reason, path, origin)] = {
            "status": status,
            "reason": reason,
            "path": path,
            "message": mask_within(str(body.get("message", ""))),
            "origin": origin,
            "count": 1,
            "first": at,
            "last": at,
            "todo": REMEDIES.get(reason, ""),
            "setting": _origins_setting(sender, origin) if reason == "origin_not_allowed" else "",
        }
    return list(groups.values())


def _origins_setting(sender: SenderInfo, origin: str) -> str:
    # JSON is YAML: whatever a stranger sent as its origin stays one quoted text.
    origins = orjson.dumps([*sender.origins, origin]).decode() if origin else "[…]"
    return f"sources:\n  {sender.source}:\n    origins: {origins}"


def _check(name: str, done: bool, detail: str) -> Check:
    return {"name": name, "done": done, "detail": detail}


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _consent_detail(events: Sequence[Body]) -> str:
    if not events:
        return "no event has come through yet"
    for event in events:
        consent = event.get("consent")
        if isinstance(consent, dict) and "analytics" in consent:
            return "analytics allowed" if consent["analytics"] else "analytics denied"
    # What needs a statement and has none is filtered before it becomes an event.
    return "not stated; the source's settings imply it"
