"""What is kept of a refused event: the whole of it, so that it can be repaired and replayed, where its sender consented
and it is not too large. Pure."""

from __future__ import annotations

from typing import Any, Final

import orjson

from collector.consent import snapshot, verdict
from collector.context import Context
from collector.decode import NotANumber
from collector.redaction import redacted
from collector.sent import Parsed, Refused, Sent
from eventlog.outcome import MAX_PREFIX_CHARACTERS, MAX_SHARED_BYTES, Asked, Outcome
from eventlog.topics import MAX_MESSAGE_BYTES

# What a record of the rejected topic holds beside the event is smaller.
_BESIDE: Final = 64 * 1024
# A time is shorter; what is longer is none.
_MAX_TIME: Final = 64
# orjson writes no deeper ones.
_MAX_DEPTH: Final = 250
# Of what JSON does not have so much is noted, and in no longer words.
_MAX_NOT_NUMBERS: Final = 100
_MAX_POINTER: Final = 1024

# Where a value stands: the place it stands in, and its name there. Pointers are put together only where one is needed:
# names may be long, and values many.
_Place = tuple["_Place | None", str]


def asked_of(parsed: Parsed, cookie_id: str | None, context: Context) -> Asked | None:
    """What the request said beside its events, None where that is too much to be kept with each; `cookie_id` is the
    cookie's id as it counts for the event at hand."""
    if parsed.is_shared_kept is None:
        parsed.is_shared_kept = _is_small(parsed.shared)
    if not parsed.is_shared_kept:
        return None
    asked: Asked = {"path": parsed.path, "key": "server" if context.server_key else "browser"}
    if parsed.sent_at and len(parsed.sent_at) <= _MAX_TIME:
        asked["sent_at"] = parsed.sent_at
    if parsed.shared:
        asked["shared"] = redacted(parsed.shared, context.address_policy, context.server_secret)
    if cookie_id:
        asked["cookie_id"] = cookie_id
    if context.client:
        asked["client"] = context.client
    if context.gpc:
        asked["gpc"] = True
    if context.dnt:
        asked["dnt"] = True
    return asked


def may_be_kept(event: Sent | Refused, context: Context) -> bool:
    """Whether the event would have been kept had nothing been wrong with it. Who did not consent has nothing kept."""
    if isinstance(event, Refused):
        name, consent = event.name, event.consent
    else:
        name, consent = event.event["name"], event.event.get("consent")
    if event.choices or context.gpc or context.dnt:
        consent = snapshot(consent, event.choices, context.consent_rules, context.gpc, context.dnt)
    if verdict(name, consent, context.required_consent, context.respect_dnt and not context.server_key):
        return False
    # Of one that a server sent, nothing is known of the person's device.
    is_bot = "bot" in context.client and not (isinstance(event, Sent) and event.server_side)
    return not (context.filter_bots and is_bot)


def keep(outcome: Outcome, message: Any, asked: Asked | None, event_bytes: int) -> None:
    """Put the event into its outcome: whole, or its beginning where it is larger than `event_bytes`."""
    not_numbers: list[str] = []
    is_whole = asked is not None
    try:
        body = orjson.dumps(message)
    except TypeError:
        try:
            body = orjson.dumps(_written(message, None, not_numbers, _MAX_DEPTH))
        except (TypeError, ValueError):
            # Nested deeper than is written, say: its outermost texts and numbers tell what it was.
            flat = message.items() if isinstance(message, dict) else ()
            body = orjson.dumps({name: one for name, one in flat if isinstance(one, str | int | float)})
            is_whole = False
    if asked is None or not is_whole or len(body) > min(event_bytes, MAX_MESSAGE_BYTES - _BESIDE):
        outcome["prefix"] = body[: 4 * MAX_PREFIX_CHARACTERS].decode("utf-8", "ignore")[:MAX_PREFIX_CHARACTERS]
        return
    if not_numbers:
        asked = {**asked, "not_numbers": not_numbers}
    outcome["event"], outcome["request"] = orjson.Fragment(body), asked


def _is_small(shared: Any) -> bool:
    try:
        return not shared or len(orjson.dumps(shared)) <= MAX_SHARED_BYTES
    except TypeError:
        return False


def _written(value: Any, place: _Place | None, not_numbers: list[str], depth: int) -> Any:
    """The value without what JSON does not have; where that was goes into `not_numbers`. Raises ValueError for what
    stands too deep, or where there is too much of it."""
    if isinstance(value, NotANumber):
        not_numbers.append(_pointer(place))
        if len(not_numbers) > _MAX_NOT_NUMBERS:
            raise ValueError("too many")
        return None
    if not isinstance(value, dict | list):
        return value
    if depth < 0:
        raise ValueError("too deep")
    if isinstance(value, dict):
        return {name: _written(inner, (place, name), not_numbers, depth - 1) for name, inner in value.items()}
    return [_written(inner, (place, str(at)), not_numbers, depth - 1) for at, inner in enumerate(value)]


def _pointer(place: _Place | None) -> str:
    names: list[str] = []
    size = 0
    while place is not None:
        place, name = place
        size += len(name)
        if size > _MAX_POINTER:
            raise ValueError("too long")
        names.append(name.replace("~", "~0").replace("/", "~1"))
    return "".join(f"/{name}" for name in reversed(names))
