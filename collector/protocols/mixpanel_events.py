"""Mixpanel's events: who did it, where, on what. Their identities are read here for updates too."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final, cast

from collector.event_time import from_epoch
from collector.meanings import MIXPANEL, Meaning
from collector.page import campaign_in
from collector.sent import Sent
from collector.stated import path_to, screen_in, word, words
from eventlog.errors import Rejected
from eventlog.event import Client, Event, Library, Page
from eventlog.identifiers import text_of

_DEVICE: Final = "$device:"
# What `mp_lib` is of senders that are no person's device; browsers and apps have others.
_SERVER_LIBRARIES: Final = frozenset(("python", "node", "php", "ruby", "jdk", "java", "go"))
# What stands elsewhere in the canonical event.
_LIFTED: Final = frozenset((
    "token", "distinct_id", "time", "$insert_id", "$device_id", "$user_id", "mp_lib", "$lib_version", "ip", "$ip",
    "$current_url", "$referrer", "$screen_width", "$screen_height", "utm_source", "utm_medium", "utm_campaign",
    "utm_term", "utm_content",
))  # fmt: skip
_OF_IDENTITIES: Final = _LIFTED | {
    "alias", "$anon_distinct_id", "$anon_id", "$identified_id", "$distinct_ids",
}  # fmt: skip
_PAGE: Final = (("$current_url", "url"), ("current_page_title", "title"), ("$referrer", "referrer"))
_CLIENT: Final = (("$os", "os"), ("$browser", "browser"), ("ip", "ip"), ("$ip", "ip"))
_MAX_INSERT_ID: Final = 200


def read_event(value: dict[str, Any], path: str, is_from_server: bool) -> Sent:
    """An event; `is_from_server`: what its request says of its sender. Raises Rejected."""
    named, properties = word(value.get("event")), value.get("properties")
    if not named:
        raise Rejected("missing_field", path_to(path, "event"), "`event`, the event's name, is needed")
    if properties is None:
        properties = {}
    if not isinstance(properties, dict):
        raise Rejected("wrong_type", path_to(path, "properties"), "`properties` must be an object")
    meaning = meaning_of(named)
    where = path_to(path, "properties")
    event: Event = {"name": meaning.name}  # type: ignore[typeddict-item]
    event["kind"] = "page" if meaning.name == "pageview" else "track"
    if event_id := event_id_of(value):
        if len(insert_id_of(value) or "") > _MAX_INSERT_ID:
            raise Rejected("too_long", f"{where}.$insert_id", f"it has {_MAX_INSERT_ID} characters at most")
        event["id"] = event_id
    put_ids(event, properties.get("distinct_id"), properties.get("$device_id"), properties.get("$user_id"))
    lifted = _LIFTED
    if named in _IDENTITIES:
        lifted = _OF_IDENTITIES
        _IDENTITIES[named](event, properties, where)
    kept = {name: one for name, one in properties.items() if name not in lifted}
    if kept:
        event["properties"] = kept
    _put_surroundings(event, properties)
    library = properties.get("mp_lib")
    is_server = library != "web" if is_from_server else isinstance(library, str) and library in _SERVER_LIBRARIES
    return Sent(path, event, meaning, where, from_epoch(properties.get("time")), server_side=is_server)


def meaning_of(named: str) -> Meaning:
    return MIXPANEL.get(named.lower()) or Meaning(named)


def event_id_of(message: dict[str, Any]) -> str | None:
    """What Mixpanel tells events apart by: `$insert_id`, name, `distinct_id` and `time` together."""
    insert_id = insert_id_of(message)
    if insert_id is None:
        return None
    properties = message["properties"]
    told = (message.get("event"), properties.get("distinct_id"), properties.get("time"))
    digest = hashlib.blake2b(
        "\n".join(str(one) for one in told if isinstance(one, str | int | float)).encode("utf-8", "replace"),
        digest_size=8,
    )
    return f"{insert_id}-{digest.hexdigest()}"


def insert_id_of(message: Any) -> str | None:
    properties = message.get("properties") if isinstance(message, dict) else None
    return text_of(properties.get("$insert_id")) if isinstance(properties, dict) else None


def put_ids(event: Event, distinct: object, device: object, user: object) -> None:
    """`$device:…` is a device's; another `distinct_id` than the device's is the user's."""
    distinct_id, device_id, user_id = text_of(distinct), text_of(device), text_of(user)
    if device_id:
        device_id = device_id.removeprefix(_DEVICE)
    if distinct_id and distinct_id.startswith(_DEVICE):
        device_id = device_id or distinct_id.removeprefix(_DEVICE)
    elif distinct_id and distinct_id != device_id:
        user_id = user_id or distinct_id
    if device_id:
        event["anonymous_id"] = device_id
    if user_id:
        event["user_id"] = user_id


def _read_identify(event: Event, properties: Mapping[str, Any], path: str) -> None:
    event["name"] = event["kind"] = "identify"
    if identified := text_of(properties.get("$identified_id")):
        event["user_id"] = identified
    if "user_id" not in event:
        raise Rejected("missing_field", f"{path}.distinct_id", "the user's id is needed")
    before = text_of(properties.get("$anon_distinct_id")) or text_of(properties.get("$anon_id"))
    # Who was another user before says nothing of that one: the device is what became somebody's.
    if before and (before.startswith(_DEVICE) or "anonymous_id" not in event) and before != event["user_id"]:
        event["anonymous_id"] = before.removeprefix(_DEVICE) or before


def _read_alias(event: Event, properties: Mapping[str, Any], path: str) -> None:
    _put_alias(event, properties.get("distinct_id"), properties.get("alias"), f"{path}.alias")


def _read_merge(event: Event, properties: Mapping[str, Any], path: str) -> None:
    ids = properties.get("$distinct_ids")
    if not isinstance(ids, list) or len(ids) != 2:
        raise Rejected("wrong_type", f"{path}.$distinct_ids", "a list of two ids is needed")
    first, second = ids
    if isinstance(second, str) and second.startswith(_DEVICE):
        first, second = second, first
    _put_alias(event, first, second, f"{path}.$distinct_ids")


def _put_alias(event: Event, previous: object, user: object, path: str) -> None:
    previous_id, user_id = (text_of(previous) or "").removeprefix(_DEVICE), text_of(user)
    if not previous_id or not user_id:
        raise Rejected("missing_field", path, "both ids are needed: the one before, and the user's")
    event["name"] = event["kind"] = "alias"
    event["previous_id"], event["user_id"] = previous_id, user_id


_IDENTITIES: Final = {"$identify": _read_identify, "$create_alias": _read_alias, "$merge": _read_merge}


def _put_surroundings(event: Event, properties: Mapping[str, Any]) -> None:
    if name := word(properties.get("mp_lib")):
        library: Library = {"name": name}
        if version := word(properties.get("$lib_version")):
            library["version"] = version
        event["library"] = library
    if page := words(_PAGE, properties):
        event["page"] = cast(Page, page)
    if campaign := campaign_in(properties):
        event["campaign"] = campaign
    client = words(_CLIENT, properties)
    if screen := screen_in(properties):
        client["screen"] = screen
    if client:
        event["client"] = cast(Client, client)
