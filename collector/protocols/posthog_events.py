"""One event of PostHog's: who it is about, what it means, when it happened. Pure.

Both versions of the protocol are read alike: what v1 moved out of `properties`, into `options` or beside them, is
looked for in either place.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, cast

from collector.event_time import from_epoch, read_time
from collector.meanings import POSTHOG, Meaning
from collector.page import campaign_in
from collector.sent import Sent
from collector.stated import path_to, screen_in, word, words
from eventlog.errors import Rejected
from eventlog.event import Client, Event, Kind, Library, Page
from eventlog.identifiers import text_of
from eventlog.timestamps import format_ms

_KINDS: Final[dict[str, Kind]] = {
    "$pageview": "page",
    "$screen": "screen",
    "$identify": "identify",
    "$set": "identify",
    "$set_once": "identify",
    "$unset": "identify",
    "$create_alias": "alias",
    "$merge_dangerously": "alias",
    "$groupidentify": "group",
}
_SERVER_LIBRARIES: Final = frozenset(
    (
        "posthog-python", "posthog-node", "posthog-edge", "posthog-php", "posthog-ruby", "posthog-rails", "posthog-go",
        "posthog-java", "posthog-server", "posthog-dotnet", "posthog-rs", "posthog-elixir",
    )
)  # fmt: skip
_PYTHON: Final = "posthog-python"
# The ids of events of a page that may not recognise anybody.
_NOBODY: Final = "$posthog_cookieless"
_GUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# Names with a `$` are the SDK's own: facts of the device and the page, and its state. With these names they tell of the
# event itself, by what it is called.
_GROUPS: Final = ("$groups",)
_CLICKED: Final = (*_GROUPS, "$el", "$event_type")
_SURVEYED: Final = (*_GROUPS, "$survey")
_OF_ITSELF: Final[dict[str, tuple[str, ...]]] = {
    "$autocapture": _CLICKED,
    "$rageclick": _CLICKED,
    "$dead_click": (*_CLICKED, "$dead_click"),
    "$exception": (*_GROUPS, "$exception_"),
    "$feature_flag_called": (*_GROUPS, "$feature_flag"),
    "$pageleave": (*_GROUPS, "$prev_pageview"),
    "$web_vitals": (*_GROUPS, "$web_vitals_"),
    "$csp_violation": (*_GROUPS, "$csp_"),
    "survey shown": _SURVEYED,
    "survey sent": _SURVEYED,
    "survey dismissed": _SURVEYED,
}
_OF_AI: Final = (*_GROUPS, "$ai_")
_NOT_PROPERTIES: Final = frozenset(("distinct_id", "token"))
_PAGE: Final = (("$current_url", "url"), ("$pathname", "path"), ("$pageview_id", "view_id"))
_CLIENT: Final = (
    ("$browser_language", "locale"), ("$timezone", "timezone"), ("$ip", "ip"), ("$raw_user_agent", "user_agent"),
)  # fmt: skip
# A time with microseconds.
_FINE: Final = re.compile(r"\.\d{6}")
_MAX_OFFSET_MS: Final = 10**12


class _Said(NamedTuple):
    """An event's parts. `library` is the request's where the event has none; `has_no_profile`: its sender wants none
    made of it."""

    named: str
    message: Mapping[str, Any]
    properties: Mapping[str, Any]
    library: Library
    is_server: bool
    has_no_profile: bool


def meaning_of(named: str) -> Meaning:
    return POSTHOG.get(named.lower()) or Meaning(named)


def event_id_of(message: Any) -> str | None:
    """`uuid`, or what older SDKs send instead. Old ones for Python send none, but times with microseconds, which stay
    the same when an event is sent again: with its name and whose it is they tell events apart."""
    if not isinstance(message, dict):
        return None
    properties = message.get("properties")
    stated = word(message.get("uuid"))
    if stated is None and isinstance(properties, dict):
        stated = word(properties.get("$insert_id"))
    if stated:
        return stated
    at, named, distinct = message.get("timestamp"), message.get("event"), message.get("distinct_id")
    if isinstance(at, str) and isinstance(named, str) and isinstance(distinct, str) and _FINE.search(at):
        parts = "\0".join((named, distinct, at))
        return hashlib.blake2b(parts.encode("utf-8", "replace"), digest_size=16).hexdigest()
    return None


def is_cookieless(message: Any) -> bool:
    """Whether the page may not recognise its visitors."""
    if not isinstance(message, dict):
        return False
    properties, options = message.get("properties"), message.get("options")
    return (isinstance(properties, dict) and properties.get("$cookieless_mode") is True) or (
        isinstance(options, dict) and options.get("cookieless_mode") is True
    )


def read_event(message: dict[str, Any], path: str, shared: Mapping[str, Any], sent_at: str | None) -> Sent:
    """`shared`: `library` of all events of the request, `is_history` if they are an import. Raises Rejected."""
    said = _said(message, path, shared)
    named, properties = said.named, said.properties
    meaning = meaning_of(named)
    event: Event = {"name": meaning.name, "kind": _KINDS.get(named.lower(), "track")}  # type: ignore[typeddict-item]
    event_id = event_id_of(message)
    if event_id:
        event["id"] = event_id
    if said.library:
        event["library"] = said.library
    of_itself = _OF_AI if named.startswith("$ai_") else _OF_ITSELF.get(named, _GROUPS)
    own = {
        name: value
        for name, value in properties.items()
        if (name[:1] != "$" or name.startswith(of_itself)) and name not in _NOT_PROPERTIES
    }
    _read_person(event, said, own, path)
    _read_traits(event, said, path)
    _read_surroundings(event, said)
    if event["kind"] == "group" and (kind := word(properties.get("$group_type"))):
        own.setdefault("group_type", kind)
    if event["kind"] == "screen" and (title := word(properties.get("$screen_name"))):
        own.setdefault("name", title)
    if own:
        event["properties"] = own
    email = event.get("traits", {}).get("email") if event["kind"] != "group" else None
    return Sent(
        path, event, meaning, path_to(path, "properties"), client_time=_time(said, sent_at),
        exact_time="is_history" in shared or _is_exact(said), email=email, server_side=said.is_server,
        is_placeless=properties.get("$geoip_disable") is True,
    )  # fmt: skip


def _said(message: dict[str, Any], path: str, shared: Mapping[str, Any]) -> _Said:
    stated = message.get("event")
    named = word(stated)
    if named is None:
        if stated is None or isinstance(stated, str):
            raise Rejected("missing_field", path_to(path, "event"), "`event`, the event's name, is needed")
        raise Rejected("wrong_type", path_to(path, "event"), "a text is needed")
    properties = _object(message, "properties", path)
    options = message.get("options")
    wanted = options.get("process_person_profile") if isinstance(options, dict) else None
    if wanted is None:
        wanted = properties.get("$process_person_profile")
    library: Library = shared.get("library", {})
    if name := word(properties.get("$lib")):
        library = {"name": name}
        if version := word(properties.get("$lib_version")):
            library["version"] = version
    is_server = properties.get("$is_server") is True or library.get("name") in _SERVER_LIBRARIES
    return _Said(named, message, properties, library, is_server, wanted in (False, "false"))


def _object(holder: Mapping[str, Any], name: str, path: str) -> dict[str, Any]:
    value = holder.get(name)
    if value is None or value == "":
        return {}
    if not isinstance(value, dict):
        raise Rejected("wrong_type", path_to(path, name), "an object is needed")
    return value


def _distinct_id(said: _Said, path: str) -> str | None:
    where, stated = "distinct_id", said.message.get("distinct_id")
    if stated is None or stated == "":
        where, stated = "properties.distinct_id", said.properties.get("distinct_id")
    text = text_of(stated)
    if text is None and stated is not None and not isinstance(stated, str):
        raise Rejected("wrong_type", path_to(path, where), "a text or a whole number is needed")
    return _unless_nobody(text)


def _unless_nobody(text: str | None) -> str | None:
    return None if text and text.startswith(_NOBODY) else text


def _id(properties: Mapping[str, Any], name: str) -> str | None:
    return _unless_nobody(text_of(properties.get(name)))


def _read_person(event: Event, said: _Said, own: dict[str, Any], path: str) -> None:
    """`distinct_id` is a person's id on servers; in a browser it is the device's until somebody is identified."""
    distinct, properties = _distinct_id(said, path), said.properties
    device = _id(properties, "$device_id")
    user: str | None = None
    anonymous: str | None = None
    if event["kind"] == "alias":
        user, previous = _alias(distinct, _id(properties, "alias"), said.library)
        own.pop("alias", None)
        if previous:
            event["previous_id"] = previous
    elif event["kind"] == "group" and said.is_server:
        # Servers make up an id for who has none.
        user = distinct if distinct and distinct[0] != "$" and not _GUID.fullmatch(distinct) else None
    elif said.named == "$identify" and not said.has_no_profile:
        user, anonymous = distinct, _id(properties, "$anon_distinct_id") or device
    elif said.has_no_profile and said.is_server:
        if distinct:
            own["distinct_id"] = distinct
    elif said.is_server:
        user, anonymous = distinct, device
    elif _is_identified(properties, distinct, device, said.library):
        user, anonymous = (None if said.has_no_profile else distinct), device
    else:
        anonymous = distinct or device
    if user:
        event["user_id"] = user
    if anonymous and anonymous != user:
        event["anonymous_id"] = anonymous


def _is_identified(properties: Mapping[str, Any], distinct: str | None, device: str | None, library: Library) -> bool:
    stated = properties.get("$is_identified")
    if isinstance(stated, bool):
        return stated
    if properties.get("$user_id"):
        return True
    # Its browser SDK says so in one of these ways; what others send has been chosen by the caller.
    return library.get("name") != "web" and distinct is not None and distinct != device


def _alias(distinct: str | None, alias: str | None, library: Library) -> tuple[str | None, str | None]:
    """The user and the id that also was theirs. Each SDK has its own order: an id that nobody would choose is the
    anonymous one, and where both or none is such, the SDK for Python has the user in `alias`, all others the other."""
    if distinct and alias and bool(_GUID.fullmatch(distinct)) != bool(_GUID.fullmatch(alias)):
        return (alias, distinct) if _GUID.fullmatch(distinct) else (distinct, alias)
    return (alias, distinct) if alias and library.get("name") == _PYTHON else (distinct, alias)


def _read_traits(event: Event, said: _Said, path: str) -> None:
    message, properties, within = said.message, said.properties, path_to(path, "properties")
    if event["kind"] == "group":
        if group := text_of(properties.get("$group_key")):
            event["group_id"] = group
        if traits := _object(properties, "$group_set", within):
            event["traits"] = traits
        return
    groups = properties.get("$groups")
    if isinstance(groups, dict) and (group := next(filter(None, map(text_of, groups.values())), None)):
        event["group_id"] = group
    traits = {**_object(properties, "$set", within), **_object(message, "$set", path)}
    once = {**_object(properties, "$set_once", within), **_object(message, "$set_once", path)}
    gone = message.get("$unset") or properties.get("$unset")
    if isinstance(gone, list):
        # A trait of null is taken away.
        traits |= {name: None for name in gone if isinstance(name, str)}
    if traits := {name: value for name, value in traits.items() if name[:1] not in ("$", "")}:
        event["traits"] = traits
    if once := {name: value for name, value in once.items() if name[:1] not in ("$", "") and value is not None}:
        event["traits_once"] = once


def _read_surroundings(event: Event, said: _Said) -> None:
    """The page, the campaign, the device and the session."""
    properties = said.properties
    page = words(_PAGE, properties)
    title = word(properties.get("$title")) or (word(properties.get("title")) if event["kind"] == "page" else None)
    if title:
        page["title"] = title
    referrer = word(properties.get("$referrer"))
    if referrer and referrer != "$direct":
        page["referrer"] = referrer
    if page:
        event["page"] = cast(Page, page)
    if campaign := campaign_in(properties):
        event["campaign"] = campaign
    client = words(_CLIENT, properties)
    if screen := screen_in(properties):
        client["screen"] = screen
    if client:
        event["client"] = cast(Client, client)
    session = text_of(said.message.get("session_id")) or text_of(properties.get("$session_id"))
    if session:
        event["client_session_id"] = session


def _is_exact(said: _Said) -> bool:
    options = said.message.get("options")
    stated = options.get("disable_skew_correction") if isinstance(options, dict) else None
    return (said.properties.get("$ignore_sent_at") if stated is None else stated) in (True, "true")


def _time(said: _Said, sent_at: str | None) -> str | None:
    """When it happened, by its sender's clock. Older browser SDKs tell in its stead how long before sending it was."""
    if stated := from_epoch(said.message.get("timestamp")) or from_epoch(said.properties.get("$time")):
        return stated
    offset, sent = said.message.get("offset"), read_time(sent_at)
    if sent is None or isinstance(offset, bool) or not isinstance(offset, int | float):
        return None
    return format_ms(max(0, sent - int(offset))) if 0 <= offset < _MAX_OFFSET_MS else None
