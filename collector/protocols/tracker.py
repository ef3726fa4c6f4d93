"""Our browser tracker's requests: Segment's batches, in which what all events share stands once, in the batch's
`context`, and in which calls of Raptor's script stand as they were made. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

import orjson

from collector.commerce import ORDER_ID
from collector.identity import read_ack, read_cookie
from collector.meanings import SEGMENT
from collector.protocols import raptor, segment
from collector.protocols.raptor_cookies import coid_in, cookies_in, left_alone, visitor_of
from collector.request import Request
from collector.route import Route
from collector.sent import Parsed, Sent
from collector.settings import CollectorSettings
from collector.stated import word
from collector.statuses import Code
from eventlog.event import Event
from eventlog.identifiers import text_of

PROTOCOLS: Final = ("trackway",)
STATUSES: Final[Mapping[Code, int]] = {}
refused, answer = segment.refused, segment.answer

RAPTOR: Final = "raptor"
# What our tracker is called as the software that sends.
LIBRARY: Final = "trackway.js"
# Why an event is taken for a bot's by what its browser says of itself.
WEBDRIVER: Final = "webdriver"
NO_SCREEN: Final = "no screen"
# The key, in what a batch shares, of its wish to have no ids.
COOKIELESS: Final = "cookieless"
# Of a call what the tracker says itself counts.
_OURS: Final = ("anonymous_id", "client_session_id", "page", "campaign", "library")


def routes(settings: CollectorSettings) -> Iterable[Route]:
    return [Route(path) for path in settings.tracker.events]


def unwrap(request: Request) -> Parsed:
    """The messages of a batch or the single one. Raises BadBody (400, 413)."""
    body = request.take_json()
    parsed = segment.messages_of(body, request, isinstance(body, dict) and "batch" not in body)
    parsed.protocol = "trackway"
    parsed.ack = read_ack(body.get("ack"))
    if body.get(COOKIELESS) is True:
        parsed.is_anonymous = parsed.shared[COOKIELESS] = True
    if "library" not in parsed.shared and (version := word(body.get("version"))):
        parsed.shared["library"] = {"name": LIBRARY, "version": version}
    if language := _preferred(request.header(b"accept-language")):
        parsed.shared.setdefault("locale", language)
    if isinstance(stated := body.get("context"), dict):
        parsed.gpc, parsed.dnt = stated.get("gpc") is True, stated.get("dnt") is True
        if stated.get("webdriver") is True:
            parsed.bot = WEBDRIVER
        elif _is_nothing(stated.get("screen")):
            parsed.bot = NO_SCREEN
    calls = [at for at, message in enumerate(parsed.messages) if _is_call(message)]
    for at in calls:
        parsed.messages[at] = _named(parsed.messages[at], request.settings)
    if request.settings.raptor.cookies and not parsed.is_anonymous:
        _keep_cookies(parsed, [parsed.messages[at] for at in calls], request)
    return parsed


def _preferred(languages: str | None) -> str:
    """The first of the languages that a browser accepts, as `de-CH,de;q=0.9`: the one it speaks."""
    return (languages or "").partition(",")[0].partition(";")[0].strip(" *")


def _is_nothing(screen: Any) -> bool:
    """Whether a screen has no width or no height: `{width, height}`, or `1280x720`."""
    if isinstance(screen, dict):
        return 0 in (screen.get("width"), screen.get("height"))
    return isinstance(screen, str) and (screen.startswith("0x") or screen.endswith("x0"))


def _is_call(message: Any) -> bool:
    return isinstance(message, dict) and message.get("type") == RAPTOR


def _is_reset(message: Any) -> bool:
    named = message.get("event") if isinstance(message, dict) else None
    meaning = SEGMENT.get(named.lower()) if isinstance(named, str) else None
    return meaning is not None and meaning.name == "reset"


def _named(message: dict[str, Any], settings: CollectorSettings) -> dict[str, Any]:
    """A call with names in place of its positions: so it is kept where it is refused, and read again."""
    item = message.get("properties")
    around = {name: value for name, value in message.items() if name not in ("properties", "event")}
    return {**around, **raptor.named(item, settings.raptor.table)} if isinstance(item, dict) else around


def _keep_cookies(parsed: Parsed, calls: list[dict[str, Any]], request: Request) -> None:
    """Let Raptor's cookies tell who the visitor is where ours does not, and keep them where Raptor was called."""
    header, settings = request.header(b"cookie"), request.settings
    held = cookies_in(header)
    sources = [one for one in settings.sources.values() if one.browser_key and one.browser_key in parsed.write_keys]
    customers = [alias for source in sources for alias in source.aliases]
    if read_cookie(header, settings.cookie)[0] is None:
        parsed.known_as = text_of(coid_in(held, customers))
    # What a reset ends is not to be joined to who comes after it.
    if not calls or any(map(_is_reset, parsed.messages)):
        parsed.cookies = left_alone(held, customers)
        return
    proposed = parsed.known_as or word(calls[-1].get("anonymousId"))
    visitor = visitor_of(request, customers, [raptor.stated_in(call) for call in calls], proposed)
    if visitor:
        parsed.shared |= visitor.shared
        parsed.cookies = visitor.cookies


def read(value: Any, path: str, parsed: Parsed) -> Sent:
    """A message. Raises Rejected."""
    if _is_call(value):
        sent = _call(value, path, parsed)
    else:
        sent = segment.read_message(value, path, parsed, None)
        if sent.event["name"] == "buy" and (purchase := _purchase_id(sent.event)):
            sent.event["id"] = purchase
    if parsed.shared.get(COOKIELESS):
        sent.event.pop("anonymous_id", None)
    return sent


def _purchase_id(event: Event) -> str | None:
    """The id of an order's purchase, so that a page of thanks that is loaded again tells nothing new. The browser's own
    random id is in it, so that no stranger can tell it beforehand."""
    properties, browser = event.get("properties", {}), event.get("anonymous_id")
    order = next((text for name in ORDER_ID if (text := text_of(properties.get(name)))), None)
    if not order or not browser:
        return None
    return f"buy-{hashlib.blake2b(orjson.dumps([order, browser]), digest_size=16).hexdigest()}"


def _call(value: dict[str, Any], path: str, parsed: Parsed) -> Sent:
    """A call of Raptor's script: what Raptor's pixel would have carried, with the time, page, consent and session that
    any message of the tracker has. Raises Rejected."""
    # A user whom the page has named is the one of the call, too: not the one in Raptor's cookies.
    user = value.get("user_id") or value.get("userId")
    said = raptor.read({**value, "user_id": user}, path, parsed)
    theirs = said.event
    sent = segment.read_message({**value, "type": "track", "event": theirs["name"]}, path, parsed, None)
    ours = {name: sent.event[name] for name in _OURS if name in sent.event}
    sent.event |= cast(Event, {**theirs, **ours})
    sent.meaning, sent.email = said.meaning, said.email
    return sent
