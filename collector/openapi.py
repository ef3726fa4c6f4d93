"""The OpenAPI document of the collector's listener, made of the tables it works by. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, get_args

from collector.decompress import ENCODINGS
from collector.protocols import OF_PROTOCOL, segment
from collector.route import Route
from collector.routes import Found, Routes
from collector.settings import CollectorSettings, Limits
from collector.statuses import CODES, Code
from eventlog.errors import FilteredReason, RejectedReason
from eventlog.event import MAX_ID_CHARACTERS, MAX_NAME_CHARACTERS
from eventlog.outcome import Status
from eventlog.topics import TOPICS

OPENAPI_PATH: Final = "/schema/openapi.json"

_REF: Final = "#/components/schemas/"
_TEXT: Final = {"type": "string"}
_NUMBER: Final = {"type": "integer"}
_JSON: Final = "application/json"
# Of those in the table that a connection can meet whatever it asks for.
_ANYWHERE: Final[tuple[Code, ...]] = ("bad_request", "slow_headers", "headers_too_large", "too_many_connections")
NONE: Final[Mapping[Code, int]] = MappingProxyType({})
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_WORDS: Final = re.compile(r"\W+")
_ELSEWHERE: Final = frozenset((*_ANYWHERE, "not_found", "method"))


class Read(NamedTuple):
    """What a GET answers with 200: operation, summary, media type, its JSON Schema, other statuses, and what its query
    may have."""

    name: str
    summary: str
    media_type: str = _JSON
    schema: dict[str, Any] = {"type": "object"}  # noqa: RUF012 - never written to
    also: dict[str, str] = {}  # noqa: RUF012
    query: dict[str, str] = {}  # noqa: RUF012


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


_TRACKER: Final = Read(
    "tracker", "The browser tracker, with the add-ons that `with` names", "text/javascript; charset=utf-8", _TEXT,
    {"304": "It is the one you have", "404": "No such add-on; the message names those there are"},
    {"with": "Names of add-ons, separated by commas"},
)  # fmt: skip
_READS: Final[dict[str, Read]] = {
    "/health": Read("health", "Whether the process is alive", schema=_object(status=_TEXT)),
    "/ready": Read(
        "ready", "Whether events can be made durable now, or why not",
        schema=_object(ready={"type": "boolean"}, reason=_TEXT), also={"503": "It cannot; `reason` says why"},
    ),
    "/.well-known/gpc.json": Read("gpc", "That Global Privacy Control is respected"),
    OPENAPI_PATH: Read("openapi", "This document"),
} | {
    f"/schema/{topic.schema}.json": Read(
        f"schema_{topic.schema}", f"JSON Schema of {topic.name}", "application/schema+json"
    )
    for topic in TOPICS
}  # fmt: skip


def reads(settings: CollectorSettings) -> dict[str, Read]:
    """What is answered to GET beside the protocols' paths."""
    scripts = {path: _TRACKER._replace(name="get" + _WORDS.sub("_", path)) for path in settings.tracker.scripts}
    return _READS | scripts


def document(settings: CollectorSettings, version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    limits = settings.limits
    paths: dict[str, dict[str, Any]] = {path: {"get": _read(read)} for path, read in reads(settings).items()}
    for found in Routes(settings).all:
        made = paths.setdefault(found.route.path, {})
        made |= {method.lower(): _operation(found, method, limits) for method in found.route.methods}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Trackway collector",
            "version": version,
            "summary": "Events in. Every path of POST is also served with a slash at its end.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic", "description": "The write key as user name."},
                "bearer": {"type": "http", "scheme": "bearer", "description": "The write key."},
                "header": {"type": "apiKey", "in": "header", "name": "X-Write-Key"},
                "query": {"type": "apiKey", "in": "query", "name": "writeKey"},
            },
            "schemas": _schemas(limits),
        },
    }


def _read(read: Read) -> dict[str, Any]:
    media_type = read.media_type.partition(";")[0]
    answers: dict[str, Any] = {"200": {"description": read.summary, "content": {media_type: {"schema": read.schema}}}}
    answers |= {status: {"description": text} for status, text in read.also.items()}
    if "503" in read.also:
        answers["503"]["content"] = {media_type: {"schema": read.schema}}
    made: dict[str, Any] = {
        "operationId": read.name,
        "summary": read.summary,
        "responses": answers | _problems(_ANYWHERE, answers),
    }
    if read.query:
        made["parameters"] = [
            {"name": name, "in": "query", "description": text, "schema": _TEXT} for name, text in read.query.items()
        ]
    return made


def _operation(found: Found, method: str, limits: Limits) -> dict[str, Any]:
    """One method of one path of a protocol."""
    route = found.route
    made = _start_up(route) if route.reply else _ingest(found, method, limits)
    names = _PARAMETER.findall(route.path)
    if names:
        made["parameters"] = [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in names]
    return {"operationId": method.lower() + _WORDS.sub("_", route.path), **made}


def _start_up(route: Route) -> dict[str, Any]:
    """What an SDK asks before it sends."""
    answers: dict[str, Any] = {"200": {"description": route.summary}}
    return {"summary": route.summary, "responses": answers | _problems(("invalid_json", *_ANYWHERE), answers)}


def _ingest(found: Found, method: str, limits: Limits) -> dict[str, Any]:
    family, path = found.family, found.route.path
    is_tracker = family is OF_PROTOCOL["trackway"]
    is_ours = is_tracker or family is OF_PROTOCOL["segment"]
    is_batch = is_tracker or path in segment.BATCHES
    # A write key in the body needs no other: that is the empty entry.
    security: list[dict[str, list[str]]] = [{"basic": []}, {"bearer": []}, {"header": []}, {"query": []}, {}]
    success: dict[str, Any] = {"description": "The request was read."}
    content: dict[str, Any] = {"*/*": {}}
    if is_ours:
        success = {
            "description": "The body was read; `receipts` tells of each message, in the order sent.",
            "content": {_JSON: {"schema": {"$ref": _REF + "Success"}}},
        }
        taken = "TrackerBatch" if is_tracker else "Batch" if is_batch else "Message"
        content = {_JSON: {"schema": {"$ref": _REF + taken}}}
    codes = [code for code in CODES if code not in _ELSEWHERE]
    text = (f"Up to {limits.batch_events} messages" if is_batch else "One message") if is_ours else ""
    made: dict[str, Any] = {
        "summary": found.route.summary or text or f"Events of {family.PROTOCOLS[0]}",
        "description": f"Content-Type is not looked at. Content-Encoding: one of {', '.join(ENCODINGS)}. "
        f"At most {limits.body_bytes} bytes, decompressed too.",
        "security": security,
        "responses": {"200": success} | _problems([*codes, *_ANYWHERE], {}, family.STATUSES),
    }
    if method == "POST":
        made["requestBody"] = {"required": True, "content": content}
    return made


def _problems(codes: Iterable[Code], taken: dict[str, Any], statuses: Mapping[Code, int] = NONE) -> dict[str, Any]:
    """One answer a status, naming its codes; `statuses` are those that are others than the table's."""
    by_status: dict[str, list[Code]] = {}
    for code in codes:
        by_status.setdefault(str(statuses.get(code, CODES[code].status)), []).append(code)
    answers: dict[str, Any] = {}
    for status, named in sorted(by_status.items()):
        if status not in taken:
            text = "; ".join(f"`{code}`: {CODES[code].text}" for code in named)
            answers[status] = {"description": text, "content": {_JSON: {"schema": {"$ref": _REF + "Problem"}}}}
            if status == "503":
                answers[status]["headers"] = {"Retry-After": {"schema": _NUMBER, "description": "Seconds."}}
    return answers


def _schemas(limits: Limits) -> dict[str, Any]:
    message, shared = segment.schemas(_REF)
    message["properties"]["messageId"] = {
        "anyOf": [{"type": "string", "maxLength": MAX_ID_CHARACTERS}, {"type": "null"}],
        "description": "The event's identity within its source: the same id counts once.",
    }
    message["properties"]["event"]["description"] = f"The event's name, {MAX_NAME_CHARACTERS} characters at most."
    reasons = [*get_args(RejectedReason), *get_args(FilteredReason), "duplicate"]
    receipt = {
        "type": "object",
        "properties": {
            "status": {"type": "string", "enum": list(get_args(Status))},
            "id": _TEXT, "partition": _NUMBER, "offset": _NUMBER,
            "reason": {"type": "string", "enum": reasons},
            "path": {"type": "string", "description": "Where in the body, as `batch[3].properties.price`."},
            "message": _TEXT,
        },
        "required": ["status"],
    }  # fmt: skip
    batch = {
        "type": "object",
        "properties": {
            "writeKey": _TEXT,
            "sentAt": {"type": "string", "format": "date-time"},
            "context": {"type": "object", "description": "What all messages share."},
            "batch": {"type": "array", "items": {"$ref": _REF + "Message"}, "maxItems": limits.batch_events},
        },
        "required": ["batch"],
    }
    tracker = {
        "allOf": [{"$ref": _REF + "Batch"}],
        "properties": {
            "ack": {
                "type": "string",
                "description": "What a cookie of the answer is to name, for the next page. Anything but 1 to 40 of "
                "a-z, 0-9, `.` and `-` is ignored.",
            },
            "version": {"type": "string", "description": "The tracker's."},
            "cookieless": {"type": "boolean", "description": "true: no cookie is read or set, no anonymousId counts."},
        },
    }
    codes = {"type": "string", "enum": list(CODES)}
    return shared | {
        "Message": message,
        "Batch": batch,
        "TrackerBatch": tracker,
        "Receipt": receipt,
        "Success": _object(
            success={"const": True}, receipts={"type": "array", "items": {"$ref": _REF + "Receipt"}}
        ),
        "Problem": _object(success={"const": False}, code=codes, message=_TEXT, error=_TEXT, status=_NUMBER),
    }  # fmt: skip
