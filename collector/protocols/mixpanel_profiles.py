"""Mixpanel's updates: what becomes of a person's or a group's profile."""

from __future__ import annotations

import hashlib
from typing import Any, Final, cast

import orjson

from collector.event_time import from_epoch
from collector.meanings import Meaning
from collector.protocols.mixpanel_events import put_ids
from collector.sent import Sent
from collector.stated import path_to, word
from eventlog.errors import Rejected
from eventlog.event import Event
from eventlog.identifiers import text_of

# Mixpanel's own names of what every profile has.
_TRAITS: Final = {
    f"${name}": name for name in ("email", "name", "first_name", "last_name", "phone", "avatar", "created")
}
# Changes to what a profile holds already, which a canonical event cannot say.
_CHANGES: Final = ("$add", "$append", "$union", "$remove")


def read_update(value: dict[str, Any], path: str, is_group: bool, is_server: bool) -> Sent:
    """An update of a person or a group. Raises Rejected."""
    if "$delete" in value:
        raise Rejected("bad_value", path_to(path, "$delete"), "no event deletes a profile: nothing was deleted")
    event: Event = {"kind": "group" if is_group else "identify"}  # type: ignore[typeddict-item]
    put_ids(event, value.get("$distinct_id"), value.get("$device_id"), value.get("$user_id"))
    properties: dict[str, Any] = {name: value[name] for name in _CHANGES if name in value}
    if is_group:
        if not (group_id := text_of(value.get("$group_id"))):
            raise Rejected("missing_field", path_to(path, "$group_id"), "`$group_id` is needed")
        event["group_id"] = group_id
    elif "user_id" not in event and "anonymous_id" not in event:
        raise Rejected("missing_field", path_to(path, "$distinct_id"), "`$distinct_id` is needed")
    if {"$set", "$set_once", "$unset"}.isdisjoint(value):
        if not properties:
            raise Rejected("missing_field", path_to(path, "$set"), "one of $set, $set_once, $unset and so on is needed")
        event["name"], event["kind"] = next(iter(properties)), "track"
    else:
        event["name"] = event["kind"]
        if traits := _unset(value.get("$unset"), path) | _traits(value.get("$set"), path_to(path, "$set")):
            event["traits"] = traits
        if once := _traits(value.get("$set_once"), path_to(path, "$set_once")):
            event["traits_once"] = once
    if is_group and (group_key := word(value.get("$group_key"))):
        properties["$group_key"] = group_key
    if properties:
        event["properties"] = properties
    if update_id := _update_id(value, is_group):
        event["id"] = update_id
    if address := word(value.get("$ip")):
        event["client"] = {"ip": address}
    email = None if is_group else event.get("traits", {}).get("email")
    return Sent(
        path, event, Meaning(event["name"]), path, from_epoch(value.get("$time")), email=email,
        server_side=is_server,
    )  # fmt: skip


def _update_id(value: dict[str, Any], is_group: bool) -> str | None:
    """An update has no id, but with its time it is told from any other by what it says."""
    if not isinstance(value.get("$time"), int | float):
        return None
    try:
        told = orjson.dumps([is_group, value], option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # What is no number in it will refuse it.
        return None
    return hashlib.blake2b(told, digest_size=16).hexdigest()


def _traits(stated: object, path: str) -> dict[str, Any]:
    if stated is None:
        return {}
    if not isinstance(stated, dict):
        raise Rejected("wrong_type", path, "an object is needed")
    return {_TRAITS.get(name, name): one for name, one in cast(dict[str, Any], stated).items()}


def _unset(stated: object, path: str) -> dict[str, None]:
    if stated is None:
        return {}
    names: list[Any] = stated if isinstance(stated, list) else [stated]
    if not all(isinstance(name, str) for name in names):
        raise Rejected("wrong_type", path_to(path, "$unset"), "a list of names is needed")
    return dict.fromkeys(_TRAITS.get(name, name) for name in names)
