"""The operations of the admin listener for programs, and the OpenAPI document made of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from eventlog.outcome import OUTCOME
from eventlog.profile import PROFILE, SESSION, IdentifierKind
from exporter.problem import STATUS, Code

# Largest `limit` of each list.
MOST_PROFILES: Final = 200
MOST_SESSIONS: Final = 1000
MOST_EVENTS: Final = 1000
MOST_RUNS: Final = 200
MOST_REJECTED: Final = 500

_REF: Final = "#/components/schemas/"


@dataclass(frozen=True)
class Parameter:
    """A query parameter."""

    name: str
    description: str
    schema: dict[str, Any]


@dataclass(frozen=True)
class Operation:
    """One method of one path. `name` is the operation's id; `answer` the JSON Schema of its 200."""

    method: Literal["GET", "POST"]
    path: str
    name: str
    summary: str
    answer: dict[str, Any]
    query: tuple[Parameter, ...] = ()
    body: dict[str, Any] | None = None
    errors: tuple[Code, ...] = ()
    needs_token: bool = True
    media_type: str = "application/json"


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _REF + name}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(name: str) -> dict[str, Any]:
    return {"type": "array", "items": _ref(name)}


def _limit(default: int, most: int) -> Parameter:
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return Parameter("limit", "How many at most.", schema)


_NUMBER: Final = {"type": "integer"}
_TEXT: Final = {"type": "string"}
_TIME: Final = {"type": "string", "format": "date-time"}
_PROFILE_ID: Final = "/api/v1/profiles/{id}"

_REJECTED: Final = (
    Parameter("from", "Received from then on; a day before `to` unless given.", _TIME),
    Parameter("to", "Received before; now unless given.", _TIME),
    Parameter("status", "rejected, poison, filtered or duplicate; the first two unless given.", _TEXT),
    Parameter("source", "Only of this source.", _TEXT),
    Parameter("reason", "Only with this reason.", _TEXT),
    Parameter("cause", "Only of this cause.", _TEXT),
)

OPERATIONS: Final = (
    Operation(
        "GET", "/api/v1/profiles", "recent_profiles", "The profiles that changed last",
        _object(profiles=_list("Profile"), limit=_NUMBER), (_limit(50, MOST_PROFILES),), errors=("bad_request",),
    ),
    Operation(
        "POST", "/api/v1/profiles/lookup", "lookup_profile", "The profile that an identifier belongs to",
        _ref("Profile"),
        body=_object(
            kind={"type": "string", "enum": list(get_args(IdentifierKind))},
            value={"type": "string", "minLength": 1, "maxLength": 256},
        ),
        errors=("bad_request", "not_found", "too_large"),
    ),
    Operation("GET", _PROFILE_ID, "profile", "One profile", _ref("Profile"), errors=("not_found",)),
    Operation(
        "GET", _PROFILE_ID + "/events", "profile_events", "A profile's events, newest first",
        _object(events=_list("TimelineEvent"), limit=_NUMBER), (_limit(100, MOST_EVENTS),),
        errors=("bad_request", "not_found"),
    ),
    Operation(
        "GET", _PROFILE_ID + "/sessions", "profile_sessions", "A profile's sessions, newest first",
        _object(sessions=_list("Session"), limit=_NUMBER), (_limit(100, MOST_SESSIONS),),
        errors=("bad_request", "not_found"),
    ),
    Operation(
        "GET", _PROFILE_ID + "/consents", "profile_consents", "A person's choices, newest first",
        _object(consents=_list("Choice"), limit=_NUMBER), (_limit(100, MOST_EVENTS),),
        errors=("bad_request", "not_found"),
    ),
    Operation(
        "GET", "/api/v1/events/{id}", "event", "What happened to the event of an id",
        _object(id=_TEXT, traces=_list("Trace")), errors=("not_found",),
    ),
    Operation(
        "GET", "/api/v1/workflows", "workflows", "The configured exports",
        _object(workflows=_list("Workflow")),
    ),
    Operation(
        "GET", "/api/v1/runs", "runs", "The latest export runs, newest first",
        _object(runs=_list("Run"), limit=_NUMBER),
        (_limit(50, MOST_RUNS), Parameter("workflow", "Only runs of this workflow.", _TEXT)), errors=("bad_request",),
    ),
    Operation("GET", "/api/v1/runs/{id}", "run", "One run with its batches", _ref("Run"), errors=("not_found",)),
    Operation(
        "GET", "/api/v1/ledger", "ledger", "What the store counted, by minute, source and status; at most 24 hours",
        _object(**{"from": _TIME, "to": _TIME, "lines": _list("LedgerLine")}),
        (
            Parameter("from", "The first minute; an hour before `to` unless given.", _TIME),
            Parameter("to", "The end; now unless given.", _TIME),
            Parameter("source", "Only this source.", _TEXT),
        ),
        errors=("bad_request",),
    ),
    Operation(
        "GET", "/api/v1/ledger/browsers", "browser_events",
        "What page loads of the tracker made and what of it arrived, by source and browser; at most 7 days",
        _object(**{"from": _TIME, "to": _TIME, "lines": _list("BrowserEvents")}),
        (
            Parameter("from", "Of page loads that began then or later; a day before `to` unless given.", _TIME),
            Parameter("to", "Of page loads that began before; now unless given.", _TIME),
            Parameter("source", "Only this source.", _TEXT),
        ),
        errors=("bad_request",),
    ),
    Operation(
        "GET", "/api/v1/rejected", "rejected", "What did not become an event, grouped by cause",
        _object(**{"from": _TIME, "to": _TIME, "causes": _list("RejectedCause"), "complete": {"type": "boolean"}}),
        _REJECTED, errors=("bad_request",),
    ),
    Operation(
        "GET", "/api/v1/rejected/records", "rejected_records", "Records of the rejected topic with all that is kept",
        _object(records=_list("RejectedRecord"), limit=_NUMBER, next=_TEXT),
        (*_REJECTED, _limit(100, MOST_REJECTED), Parameter("after", "The `next` of the page before.", _TEXT)),
        errors=("bad_request",),
    ),
    Operation("GET", "/health", "health", "Whether the process is alive", _object(status=_TEXT), needs_token=False),
    Operation(
        "GET", "/ready", "ready", "Whether the store answers; 503 with the same body when it does not",
        _object(ready={"type": "boolean"}, reason=_TEXT), needs_token=False,
    ),
    Operation("GET", "/openapi.json", "openapi", "This document", {"type": "object"}),
    Operation(
        "GET", "/metrics", "metrics", "Metrics of this process, as Prometheus reads them", _TEXT,
        needs_token=False, media_type="text/plain",
    ),
)  # fmt: skip


def document(version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Trackway", "version": version, "summary": "Profiles, events, exports and accounts"},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(),
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    answer = {"description": operation.summary, "content": {operation.media_type: {"schema": operation.answer}}}
    always: tuple[Code, ...] = ("unauthorized", "unavailable") if operation.needs_token else ()
    made: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "security": [{"token": []}] if operation.needs_token else [],
        "responses": {"200": answer} | {str(STATUS[code]): _error(code) for code in (*operation.errors, *always)},
    }
    parameters: list[dict[str, Any]] = [
        {"name": one.name, "in": "query", "description": one.description, "schema": one.schema}
        for one in operation.query
    ]
    if "{id}" in operation.path:
        parameters.append(
            {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "maxLength": 256}}
        )
    if parameters:
        made["parameters"] = parameters
    if operation.body:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": operation.body}}}
    return made


def _error(code: Code) -> dict[str, Any]:
    return {
        "description": f"`{code}`",
        "content": {"application/json": {"schema": _ref("Error")}},
    }


def _schemas() -> dict[str, Any]:
    schemas: dict[str, Any] = {
        "Error": _object(
            error=_object(code={"type": "string", "enum": list(get_args(Code))}, message=_TEXT, where=_TEXT, todo=_TEXT)
        ),
        "LedgerLine": _object(minute=_TIME, source=_TEXT, status=_TEXT, count=_NUMBER),
        "BrowserEvents": _object(source=_TEXT, browser=_TEXT, made=_NUMBER, arrived=_NUMBER, lost=_NUMBER),
        "RejectedCause": _object(
            **dict.fromkeys(("cause", "status", "reason", "source", "path", "message", "sample"), _TEXT),
            **dict.fromkeys(("count", "kept", "replayed"), _NUMBER),
            first_seen=_TIME,
            last_seen=_TIME,
        ),
        "RejectedRecord": _object(
            record=_TEXT,
            cause=_TEXT,
            replayed={"type": "boolean"},
            outcome=_ref("Outcome"),
        ),
        # Their fields grow with every release; what is written here is what stays.
        "TimelineEvent": {"type": "object"},
        "Choice": _object(event=_TEXT, source=_TEXT, time=_TIME, consent={"type": "object"})
        | {"description": "One `consent` event: its id, and what it said; `text_version` where it told the text."},
        "Trace": {
            "type": "object",
            "description": "One record of this id: status, reason, partition, offset; of an accepted one its session,"
            " profile and `exports`.",
        },
        "Workflow": _object(name=_TEXT),
        "Run": {"type": "object", "description": "One run of a workflow with its counts."},
    }
    for name, adapter in (("Profile", PROFILE), ("Session", SESSION), ("Outcome", OUTCOME)):
        schema = adapter.json_schema(mode="serialization", ref_template=_REF + "{model}")
        schemas |= schema.pop("$defs", {})
        schemas[name] = schema
    return schemas
