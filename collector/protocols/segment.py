"""Segment's HTTP dialect, which is our native one, and the tracker's.

Source: Segment's public HTTP tracking API and what its SDKs put on the wire. `/tw/e` takes the same bodies from our
tracker: what all events of a batch share stands once, in the batch's `context`.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import orjson
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from collector.commerce import SEGMENT, Meaning
from collector.decode import BadBody
from collector.sent import Parsed, Refused, Sent
from eventlog.errors import Rejected, RejectedReason
from eventlog.event import Kind
from eventlog.identifiers import text_of
from eventlog.outcome import MAX_PREFIX_CHARACTERS

_BATCHES: Final = ("/v1/batch", "/v1/b", "/v1/import", "/tw/e")
_LETTERS: Final[dict[str, Kind]] = {
    "t": "track", "i": "identify", "p": "page", "g": "group", "a": "alias", "s": "screen",
}  # fmt: skip
_KINDS: Final[dict[str, Kind]] = {f"/v1/{name}": kind for letter, kind in _LETTERS.items() for name in (letter, kind)}
PATHS: Final = (*_BATCHES, *_KINDS)

Identifier = str | int | None


class Message(TypedDict, total=False):
    """What is read of a message; anything else in it is left alone."""

    type: Literal["track", "identify", "page", "screen", "group", "alias"]
    event: str | None
    name: str | None
    messageId: str | None
    userId: Identifier
    anonymousId: Identifier
    previousId: Identifier
    groupId: Identifier
    timestamp: str | None
    originalTimestamp: str | None
    traits: dict[str, Any] | None
    properties: dict[str, Any] | None
    context: dict[str, Any] | None
    channel: str | None


_PAGE: Final = ("url", "path", "title", "referrer")
_CLIENT: Final = ("userAgent", "ip", "locale", "timezone", "screen", "seq")
_MESSAGE: Final = TypeAdapter(Message)
_SUCCESS: Final = b'{"success":true,"receipts":'


def parse(body: Any, path: str, limit: int) -> Parsed:
    """The events of a batch or of a single message. Raises BadBody (400, 413)."""
    if not isinstance(body, dict):
        raise BadBody(400, "invalid_json", "the body must be a JSON object")
    parsed = Parsed("trackway" if path == "/tw/e" else "segment", [])
    parsed.sent_at, parsed.received_at = _text(body.get("sentAt")), _text(body.get("receivedAt"))
    parsed.write_key = _text(body.get("writeKey"))
    kind = _KINDS.get(path)
    if kind is None and ("batch" in body or path != "/tw/e"):
        messages, prefix = body.get("batch"), "batch[{}]"
        if not isinstance(messages, list):
            raise BadBody(400, "invalid_json", "`batch` must be a list of messages")
        if len(messages) > limit:
            raise BadBody(413, "too_many_events", f"a batch holds {limit} events at most; send smaller ones")
    else:
        messages, prefix = [body], ""
    shared = body.get("context") if prefix else None
    for at, message in enumerate(messages):
        where = prefix.format(at)
        if isinstance(message, dict) and parsed.write_key is None:
            parsed.write_key = _text(message.get("writeKey"))
        try:
            parsed.events.append(_read(message, where, kind, shared if isinstance(shared, dict) else {}))
        except Rejected as error:
            parsed.events.append(Refused(error, _id_of(message), prefix_of(message)))
    return parsed


def answer(receipts: list[dict[str, Any]]) -> bytes:
    return _SUCCESS + orjson.dumps(receipts) + b"}"


def prefix_of(message: Any) -> str:
    """The beginning of a refused event, for whoever looks for the reason."""
    return orjson.dumps(message, default=str).decode("utf-8", "replace")[:MAX_PREFIX_CHARACTERS]


def _read(value: Any, path: str, kind: Kind | None, shared: dict[str, Any]) -> Sent:
    if not isinstance(value, dict):
        raise Rejected("not_an_object", path, "a message must be a JSON object")
    if kind:
        value = {**value, "type": kind}
    try:
        message = _MESSAGE.validate_python(value)
    except ValidationError as error:
        raise _rejected(error, path) from None
    if "type" not in message:
        raise Rejected("missing_field", _at(path, "type"), "`type` is needed, such as track or identify")
    context = {**shared, **(message.get("context") or {})}
    properties = message.get("properties") or {}
    named = _text(message.get("event")) if message["type"] == "track" else None
    if message["type"] == "track" and not named:
        raise Rejected("missing_field", _at(path, "event"), "`event`, the event's name, is needed")
    meaning = _meaning(message, named)
    traits = message.get("traits") or context.get("traits") or {}
    sent = Sent(path, message["type"], meaning.name, meaning, properties=properties)
    sent.properties_path = _at(path, "properties")
    sent.id = _text(message.get("messageId"))
    sent.user_id, sent.anonymous_id = text_of(message.get("userId")), text_of(message.get("anonymousId"))
    sent.previous_id, sent.group_id = text_of(message.get("previousId")), text_of(message.get("groupId"))
    sent.client_time = _text(message.get("originalTimestamp")) or _text(message.get("timestamp"))
    sent.server_side = message.get("channel") == "server"
    if isinstance(traits, dict):
        sent.email = _text(traits.get("email"))
        if message["type"] in ("identify", "group"):
            sent.traits = traits
    _read_context(sent, context, message)
    return sent


def _meaning(message: Message, named: str | None) -> Meaning:
    if named:
        return SEGMENT.get(named.lower(), Meaning(named))
    return Meaning({"page": "pageview"}.get(message["type"], message["type"]))


def _read_context(sent: Sent, context: dict[str, Any], message: Message) -> None:
    for name in ("page", "campaign", "library"):
        value = context.get(name)
        if isinstance(value, dict):
            setattr(sent, name, value)
    if sent.kind in ("page", "screen"):
        # Older SDKs tell of the page only in the properties.
        found: dict[str, Any] = {
            key: sent.properties[key] for key in ("url", "path", "title", "referrer") if key in sent.properties
        }
        sent.page = {**sent.page, **found}
        title = _text(message.get("name"))
        if title and "name" not in sent.properties:
            sent.properties = {**sent.properties, "name": title}
    consent = context.get("consent")
    if isinstance(consent, dict) and isinstance(consent.get("categoryPreferences"), dict):
        sent.consent = {**consent["categoryPreferences"], **{k: v for k, v in consent.items() if isinstance(v, str)}}
    sent.client = {
        key: context[key] for key in ("userAgent", "ip", "locale", "timezone", "screen", "seq") if key in context
    }
    session = context.get("sessionId")
    sent.client_session_id = text_of(session)


def _rejected(error: ValidationError, path: str) -> Rejected:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = path
    for part in first["loc"]:
        # pydantic names the branch of a union too (`userId.str`), which the sender did not write.
        if isinstance(part, int) or part not in ("str", "int", "dict[str,any]"):
            where = f"{where}[{part}]" if isinstance(part, int) else _at(where, str(part))
    reason: RejectedReason = "unknown_type" if first["loc"] == ("type",) else "wrong_type"
    return Rejected(reason, where, first["msg"][0].lower() + first["msg"][1:])


def _at(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _id_of(message: Any) -> str | None:
    return _text(message.get("messageId")) if isinstance(message, dict) else None


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None
