"""Umami's events. Pure.

Source: Umami's public API and what its trackers put on the wire: one event a request, without an id, a time or a
visitor, never sent again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from collector.decode import BadBody
from collector.meanings import GOALS, Meaning
from collector.request import Request
from collector.route import Reply, Route
from collector.sent import Parsed, Refused, Sent
from collector.settings import CollectorSettings
from collector.stated import path_to, word, words
from collector.statuses import Code
from eventlog.errors import Rejected
from eventlog.event import Event, Page
from eventlog.identifiers import text_of

PROTOCOLS: Final = ("umami",)
STATUSES: Final[Mapping[Code, int]] = {}

# What later trackers tell of a page beside its view: that is none, and has a name of its own.
_MEASURES: Final = ("lcp", "inp", "cls", "fcp", "ttfb", "engagement")
_MEASURED: Final = ("performance", "engagement")
_TYPES: Final = ("event", "identify", *_MEASURED)
_CLIENT: Final = (("screen", "screen"), ("language", "locale"))
_USER: Final = ("userId", "user_id")
_MAX_ORIGIN: Final = 512
# Older trackers send the whole answer as a header with the next event, newer ones read `cache` in it.
_DONE: Final = Reply(b'{"cache":"trackway"}')


def routes(settings: CollectorSettings) -> list[Route]:
    return [Route("/api/send", summary="One event of Umami")]


def unwrap(request: Request) -> Parsed:
    """The one event. Raises BadBody."""
    fingerprint, body = request.fingerprint(), request.take_json()
    if not isinstance(body, dict):
        raise BadBody("invalid_json", "the body must be a JSON object")
    parsed = Parsed("umami", [body], fingerprint=fingerprint, is_cookieless=True)
    payload = body.get("payload")
    if isinstance(payload, dict) and (website := word(payload.get("website"))):
        parsed.write_keys = (website,)
    origin = request.header(b"origin")
    if origin and len(origin) <= _MAX_ORIGIN:
        parsed.shared = {"origin": origin}
    return parsed


def read(value: Any, path: str, parsed: Parsed) -> Sent:
    """The event. Raises Rejected."""
    if not isinstance(value, dict):
        raise Rejected("not_an_object", path, "an event must be a JSON object")
    payload, where, stated = value.get("payload"), path_to(path, "payload"), value.get("type") or "event"
    if not isinstance(payload, dict):
        raise Rejected("missing_field", where, "`payload`, an object, is needed")
    if stated not in _TYPES:
        raise Rejected("unknown_type", path_to(path, "type"), f"`type` is one of {', '.join(_TYPES)}")
    data = payload.get("data") or {}
    if not isinstance(data, dict):
        raise Rejected("wrong_type", path_to(where, "data"), "data is an object")
    named, is_person = word(payload.get("name")), stated == "identify"
    if is_person or stated in _MEASURED:
        meaning = Meaning(stated)
    else:
        meaning = (GOALS.get(named.lower()) or Meaning(named)) if named else Meaning("pageview")
    event: Event = {"name": meaning.name, "kind": "track"}  # type: ignore[typeddict-item]
    if is_person:
        event["kind"] = "identify"
        if data:
            event["traits"] = data
    elif stated in _MEASURED:
        data = {name: payload[name] for name in _MEASURES if payload.get(name) is not None} | data
    if data and not is_person:
        event["properties"] = data
    if user := _user(payload, data if is_person else {}):
        event["user_id"] = user
    if meaning.name == "pageview":
        event["kind"] = "page"
    if client := words(_CLIENT, payload):
        event["client"] = client  # type: ignore[typeddict-item]
    if page := _page(payload, parsed.shared.get("origin")):
        event["page"] = page
    return Sent(path, event, meaning, path_to(where, "data"), email=data.get("email") if is_person else None)


def _user(payload: Mapping[str, Any], traits: Mapping[str, Any]) -> str | None:
    """The id that later trackers send with all events once they know it, else what `identify` has by convention."""
    said = (payload.get("id"), *(traits.get(name) for name in _USER))
    return next((text for value in said if (text := text_of(value))), None)


def _page(payload: Mapping[str, Any], origin: str | None) -> Page:
    page: Page = {}
    host, url = word(payload.get("hostname")), word(payload.get("url"))
    if url and not url.startswith(("http://", "https://")) and host:
        # The host's name comes without its port; the page's origin has it.
        site = origin if origin and _host_of(origin) == host else f"https://{host}"
        url = site + (url if url.startswith("/") else f"/{url}")
    if url:
        page["url"] = url
    if referrer := word(payload.get("referrer")):
        page["referrer"] = referrer
    # The script percent-encodes it; servers send it as it is.
    if title := word(unquote(payload["title"]) if isinstance(payload.get("title"), str) else None):
        page["title"] = title
    return page


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).hostname
    except ValueError:
        return None


def refused(error: Rejected, message: Any, parsed: Parsed) -> Refused:
    """What can be told of an event that cannot be read."""
    payload = message.get("payload") if isinstance(message, dict) else None
    named = word(payload.get("name")) if isinstance(payload, dict) else None
    return Refused(error, None, (GOALS.get(named.lower()) or Meaning(named)).name if named else "")


def answer(receipts: list[dict[str, Any]], reply: Any) -> Reply:
    return _DONE
