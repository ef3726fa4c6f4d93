"""Plausible's events. Pure.

Source: Plausible's public events API and what its trackers put on the wire: one event a request, without an id, a time
or a visitor, never sent again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from collector.decode import BadBody, decode
from collector.meanings import GOALS, Meaning
from collector.request import Request
from collector.route import Reply, Route
from collector.sent import Parsed, Refused, Sent
from collector.settings import CollectorSettings
from collector.stated import path_to, word
from collector.statuses import Code
from eventlog.errors import Rejected
from eventlog.event import Event, Page

PROTOCOLS: Final = ("plausible",)
STATUSES: Final[Mapping[Code, int]] = {}

# Properties are few; what is longer is none.
_MAX_VALUES: Final = 10_000
# What its tracker tells when a page is left, under names that can be read.
_ENGAGEMENT: Final = (("sd", "scroll_depth"), ("e", "engagement_ms"))
# Its own server answers 202, which its trackers do not ask for.
_DONE: Final = Reply(b"ok", content_type=b"text/plain; charset=utf-8")


def routes(settings: CollectorSettings) -> list[Route]:
    return [Route("/api/event", summary="One event of Plausible")]


def unwrap(request: Request) -> Parsed:
    """The one event. Raises BadBody."""
    fingerprint, body = request.fingerprint(), request.take_json()
    if not isinstance(body, dict):
        raise BadBody("invalid_json", "the body must be a JSON object")
    domains = word(body.get("d") or body.get("domain")) or ""
    keys = tuple(domain for one in domains.split(",") if (domain := one.strip()))
    return Parsed("plausible", [body], write_keys=keys, fingerprint=fingerprint, is_cookieless=True)


def read(value: Any, path: str, parsed: Parsed) -> Sent:
    """The event. Raises Rejected."""
    if not isinstance(value, dict):
        raise Rejected("not_an_object", path, "an event must be a JSON object")
    named = word(value.get("n") or value.get("name"))
    if not named:
        raise Rejected("missing_field", path_to(path, "n"), "`n`, the event's name, is needed, such as pageview")
    properties = _properties(value, path)
    meaning = GOALS.get(named.lower()) or Meaning(named)
    event: Event = {"name": meaning.name, "kind": "page" if meaning.name == "pageview" else "track"}  # type: ignore[typeddict-item]
    page: Page = {}
    if url := word(value.get("u") or value.get("url")):
        page["url"] = url
    if referrer := word(value.get("r") or value.get("referrer")):
        page["referrer"] = referrer
    if page:
        event["page"] = page
    if named == "engagement":
        properties = {ours: value[theirs] for theirs, ours in _ENGAGEMENT if theirs in value} | properties
    if isinstance(revenue := value.get("$") or value.get("revenue"), dict):
        properties = {"total": revenue.get("amount"), "currency": revenue.get("currency")} | properties
    if properties:
        event["properties"] = properties
    return Sent(path, event, meaning, path_to(path, "p"))


def _properties(value: Mapping[str, Any], path: str) -> dict[str, Any]:
    """What older trackers send as JSON in a text, newer ones as an object."""
    stated = value.get("p") or value.get("props") or value.get("m") or {}
    if isinstance(stated, str):
        try:
            stated = decode(stated.encode("utf-8", "surrogatepass"), _MAX_VALUES)
        except BadBody:
            stated = None
    if not isinstance(stated, dict):
        raise Rejected("wrong_type", path_to(path, "p"), "properties are an object, or JSON of one")
    return stated


def refused(error: Rejected, message: Any, parsed: Parsed) -> Refused:
    """What can be told of an event that cannot be read."""
    named = word(message.get("n")) if isinstance(message, dict) else None
    return Refused(error, None, (GOALS.get(named.lower()) or Meaning(named)).name if named else "")


def answer(receipts: list[dict[str, Any]], reply: Any) -> Reply:
    return _DONE
