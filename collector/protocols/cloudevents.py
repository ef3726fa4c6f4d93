"""CloudEvents over HTTP: structured, batched and binary, at a path of their own and at every other that takes events.

Source: the public CloudEvents specifications 1.0 and 0.3 (HTTP binding, JSON format, HTTP webhooks), and what the SDKs
put on the wire. What comes in binary mode is read into the object it would be in structured mode.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import orjson

from collector.decode import BadBody, decode
from collector.meanings import SEGMENT, Meaning
from collector.packed import from_base64
from collector.request import Request
from collector.route import Reply, Route
from collector.sent import Parsed, Refused, Sent
from collector.settings import CollectorSettings
from collector.stated import path_to
from collector.statuses import Code, problem
from eventlog.errors import Rejected
from eventlog.event import MAX_ID_CHARACTERS, Event, Kind, Page
from eventlog.identifiers import text_of

PROTOCOLS: Final = ("cloudevents",)
STATUSES: Final[Mapping[Code, int]] = {}

_PREFIX: Final = b"ce-"
_MEDIA_TYPE: Final = b"application/cloudevents"
# JSON is the format where none is named; which of the modes it is, the body shows.
_FORMATS: Final = frozenset(
    ("application/cloudevents", "application/cloudevents+json", "application/cloudevents-batch",
     "application/cloudevents-batch+json")
)  # fmt: skip
_VERSIONS: Final = ("1.0", "0.3")
_REQUIRED: Final = ("specversion", "id", "source", "type")
_JSON_STARTS: Final = (b"{", b"[")
_QUOTED: Final = re.compile(r"\\(.)")
_IDS: Final = (
    ("user_id", "userid"), ("anonymous_id", "anonymousid"), ("client_session_id", "sessionid"),
    ("group_id", "groupid"), ("previous_id", "previousid"),
)  # fmt: skip
# What is no property: it has a place of its own.
_PLACED: Final = frozenset(
    ("specversion", "id", "type", "time", "data", "data_base64", "datacontenttype", "datacontentencoding",
     *(name for _, name in _IDS))
)  # fmt: skip
_KINDS: Final[dict[str, Kind]] = {
    "page": "page", "pageview": "page", "screen": "screen", "identify": "identify", "group": "group", "alias": "alias",
}  # fmt: skip
_PAGEVIEW: Final = Meaning("pageview")
_SUCCESS: Final = b'{"success":true,"receipts":'


def are_meant(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a request's headers say that it carries CloudEvents, whatever its path."""
    content_type = headers.get(b"content-type", b"")
    return content_type[: len(_MEDIA_TYPE)].lower() == _MEDIA_TYPE or b"ce-id" in headers


def routes(settings: CollectorSettings) -> Iterable[Route]:
    return [Route("/cloudevents")]


def unwrap(request: Request) -> Parsed:
    """The events of a batch or the single one. Raises BadBody (400, 413; 415 for a format that is not read)."""
    media_type = _media_type(request.header(b"content-type"))
    if media_type.encode().startswith(_MEDIA_TYPE):
        if media_type not in _FORMATS:
            raise BadBody("unknown_format", f"CloudEvents are read as JSON, not as {media_type[:100]}")
        body = request.take_json()
    elif any(name.startswith(_PREFIX) for name in request.headers):
        body = _of_headers(request, media_type)
    elif request.body.lstrip()[:1] in _JSON_STARTS:
        body = request.take_json()
    else:
        raise BadBody("unknown_format", "neither ce-* headers nor a CloudEvents content type nor JSON")
    if isinstance(body, list):
        limit = request.settings.limits.batch_events
        if len(body) > limit:
            raise BadBody("too_many_events", f"a batch holds {limit} events at most; send smaller ones")
        parsed = Parsed("cloudevents", body, "")
    else:
        parsed = Parsed("cloudevents", [body], reply="one")
    _open_all(parsed.messages, request.settings.limits.body_values)
    if token := request.query.get("access_token", "").strip():
        parsed.write_keys = (token,)
    return parsed


def _media_type(content_type: object) -> str:
    return content_type.partition(";")[0].strip().lower() if isinstance(content_type, str) else ""


def _of_headers(request: Request, media_type: str) -> dict[str, Any]:
    """The event of a request in binary mode: its attributes are headers, its data the body."""
    message: dict[str, Any] = {}
    for header, value in request.headers.items():
        if header.startswith(_PREFIX):
            message[header[len(_PREFIX) :].decode("latin-1")] = _header_value(value)
    # Data is never an attribute.
    for name in ("data", "data_base64", "datacontentencoding"):
        message.pop(name, None)
    if content_type := request.header(b"content-type"):
        message["datacontenttype"] = content_type
    body = request.take_body()
    if body:
        name, data = _data(body, media_type, request.settings.limits.body_values)
        message[name] = data
    return message


def _header_value(value: bytes) -> str:
    """A header's value: quoted or not, percent-encoded UTF-8; some senders write UTF-8 or Latin-1 as it is."""
    stripped = value.strip()
    if len(stripped) > 1 and stripped[:1] == stripped[-1:] == b'"':
        stripped = _QUOTED.sub(r"\1", stripped[1:-1].decode("latin-1")).encode("latin-1")
    decoded = unquote_to_bytes(stripped)
    try:
        return decoded.decode()
    except UnicodeDecodeError:
        return decoded.decode("latin-1")


def _open_all(messages: list[Any], most: int) -> None:
    """Put data that came in base64 in place of it, where it is JSON or text. What is not base64 stays for `read` to
    refuse. Raises BadBody where all of them hold more than `most` values."""
    for message in messages:
        if not isinstance(message, dict):
            continue
        is_old = _is_base64(message)
        packed = message.get("data" if is_old else "data_base64")
        if not isinstance(packed, str) or not packed:
            continue
        try:
            content = from_base64(packed)
        except BadBody:
            continue
        most -= content.count(b",") + content.count(b"[") + content.count(b"{")
        if most < 0:
            raise BadBody("too_many_values", "the events hold too many values; send smaller batches")
        media_type = _media_type(message.get("datacontenttype"))
        try:
            name, data = _data(content, media_type, most)
        except BadBody:
            continue
        for one in ("data", "data_base64", "datacontentencoding"):
            message.pop(one, None)
        message[name] = data


def _is_base64(message: Mapping[str, Any]) -> bool:
    """Whether `data` is, as version 0.3 has it."""
    return str(message.get("datacontentencoding")).lower() == "base64"


def _data(content: bytes | bytearray, media_type: str, most: int) -> tuple[str, Any]:
    """Data as the JSON format has it: name and value. Raises BadBody where it is said to be JSON and is not."""
    is_json = media_type.endswith(("/json", "+json"))
    if is_json or content.lstrip()[:1] in _JSON_STARTS:
        try:
            return "data", decode(content, most)
        except BadBody:
            if is_json:
                raise
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = "\0"
    return ("data_base64", base64.b64encode(content).decode()) if "\0" in text else ("data", text)


def read(message: Any, path: str, parsed: Parsed) -> Sent:
    """An event in structured mode. Raises Rejected."""
    if not isinstance(message, dict):
        raise Rejected("not_an_object", path, "a CloudEvent must be a JSON object")
    version, its_id, source, named = (_required(message, name, path) for name in _REQUIRED)
    if version not in _VERSIONS:
        raise Rejected("bad_value", path_to(path, "specversion"), "1.0 is needed, or 0.3")
    kind, meaning = _meaning(named)
    event: Event = {"id": event_id(source, its_id), "name": meaning.name, "kind": kind}  # type: ignore[typeddict-item]
    for field, name in _IDS:
        if value := text_of(message.get(name)):
            event[field] = value  # type: ignore[literal-required]
    # By convention an event is about a person; where another attribute names that one, its subject is something else.
    names_user = "user_id" in event
    if not names_user and (user := text_of(message.get("subject"))):
        event["user_id"] = user
    properties = {name: value for name, value in message.items() if name not in _PLACED}
    if not names_user:
        properties.pop("subject", None)
    data = _data_of(message, path)
    email = None
    if kind in ("identify", "group") and "data_base64" not in data:
        stated = data.get("traits")
        traits = stated if isinstance(stated, dict) else data
        email = traits.get("email")
        if traits:
            event["traits"] = traits
    else:
        properties |= data
    if properties:
        event["properties"] = properties
    if kind in ("page", "screen") and (page := _page(properties)):
        event["page"] = page
    at = message.get("time")
    return Sent(
        path, event, meaning, path_to(path, "data"), client_time=at.strip() if isinstance(at, str) else None,
        exact_time=True, email=email,
    )  # fmt: skip


def _required(message: dict[str, Any], name: str, path: str) -> str:
    value = message.get(name)
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if text is None or text == "":
        raise Rejected("missing_field", path_to(path, name), f"`{name}` is needed, as text")
    if not isinstance(text, str) or not text.strip():
        raise Rejected("wrong_type", path_to(path, name), "text is needed that is not blank")
    return text.strip()


def event_id(source: str, its_id: str) -> str:
    """Only source and id together tell an event from others, so its id here joins them: `<source>|<id>`, or a digest
    of that where it is longer than ids are."""
    joined = f"{source.replace('|', '%7C')}|{its_id}"
    if len(joined) <= MAX_ID_CHARACTERS:
        return joined
    return f"ce-{hashlib.blake2b(joined.encode('utf-8', 'replace'), digest_size=16).hexdigest()}"


def _meaning(named: str) -> tuple[Kind, Meaning]:
    lower = named.lower()
    kind = _KINDS.get(lower)
    if kind is None:
        return "track", SEGMENT.get(lower) or Meaning(named)
    return kind, _PAGEVIEW if kind == "page" else Meaning(kind)


def _data_of(message: dict[str, Any], path: str) -> dict[str, Any]:
    """The data as properties: an object's own, anything else under one name."""
    data, packed = message.get("data"), message.get("data_base64")
    if _is_base64(message):
        raise Rejected("bad_value", path_to(path, "data"), "base64 is needed, of what datacontenttype says")
    if packed is not None and packed != "":
        return {"data_base64": _checked(packed, message, path), "datacontenttype": message.get("datacontenttype")}
    if isinstance(data, dict):
        return data
    return {} if data is None or data == "" else {"data": data}


def _checked(packed: Any, message: dict[str, Any], path: str) -> str:
    try:
        if isinstance(packed, str) and not _media_type(message.get("datacontenttype")).endswith(("/json", "+json")):
            from_base64(packed)
            return packed
    except BadBody:
        pass
    raise Rejected("bad_value", path_to(path, "data_base64"), "base64 is needed, of what datacontenttype says")


def _page(properties: Mapping[str, Any]) -> Page:
    page: Page = {}
    for name in ("url", "path", "title", "referrer"):
        value = properties.get(name)
        if isinstance(value, str) and (text := value.strip()):
            page[name] = text
    return page


def refused(error: Rejected, message: Any, parsed: Parsed) -> Refused:
    """A message that cannot be read; its id where it states both parts of it."""
    if not isinstance(message, dict):
        return Refused(error, None)
    named, parts = message.get("type"), (message.get("source"), message.get("id"))
    name = _meaning(named.strip())[1].name if isinstance(named, str) else ""
    texts = [part.strip() for part in parts if isinstance(part, str) and part.strip()]
    return Refused(error, event_id(*texts) if len(texts) == 2 else None, name)


def answer(receipts: list[dict[str, Any]], reply: Any) -> Reply:
    """The receipts; 400 where the one event of a request is refused, as its sender reads nothing but the status."""
    if reply == "one" and receipts[0]["status"] == "rejected":
        told = receipts[0]
        text = ": ".join(told[name] for name in ("path", "message") if told.get(name))
        return Reply(problem("invalid_json", text, 400), 400)
    return Reply(_SUCCESS + orjson.dumps(receipts) + b"}")
