"""`/api/v1`: what back ends ask, as JSON, with a Bearer token. The cookie of the console opens nothing here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, cast, get_args

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from eventlog.profile import IdentifierKind
from eventlog.timestamps import DAY_MS, HOUR_MS, format_ms, now_ms, parse_ms
from exporter.console.auth import SignIn
from exporter.ledger import list_runs, show_run
from exporter.openapi import OPERATIONS
from exporter.problem import Problem
from exporter.settings import ExporterSettings
from exporter.store import Store

MAX_BODY_BYTES: Final = 16 * 1024
MAX_ID_CHARACTERS: Final = 256
MAX_LEDGER_MS: Final = DAY_MS

# Largest `limit` of each list.
MAX_PROFILES: Final = 200
MAX_SESSIONS: Final = 1000
MAX_EVENTS: Final = 1000
MAX_RUNS: Final = 200

Answer = Mapping[str, Any]


class Api:
    """The operations; each takes the request and answers what is to be sent as JSON."""

    def __init__(self, settings: ExporterSettings, store: Store) -> None:
        self._settings = settings
        self._store = store

    async def recent_profiles(self, request: Request) -> Answer:
        limit = _limit(request, 50, MAX_PROFILES)
        return {"profiles": await self._store.recent_profiles(limit), "limit": limit}

    async def lookup_profile(self, request: Request) -> Answer:
        body = await _json_object(request)
        kind, value = body.get("kind"), body.get("value")
        kinds = get_args(IdentifierKind)
        if kind not in kinds:
            raise Problem(
                "bad_request", "This is no kind of identifier.", where="kind", todo=f"Use {', '.join(kinds)}."
            )
        if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_CHARACTERS:
            todo = f"Send a text of 1 to {MAX_ID_CHARACTERS} characters."
            raise Problem("bad_request", "This is no identifier.", where="value", todo=todo)
        found = await self._store.find_profile(cast(IdentifierKind, kind), value)
        if found is None:
            raise Problem("not_found", "No profile has this identifier.", where="value")
        return cast(Answer, found)

    async def profile(self, request: Request) -> Answer:
        return cast(Answer, await self._profile(request))

    async def profile_events(self, request: Request) -> Answer:
        limit = _limit(request, 100, MAX_EVENTS)
        profile = await self._profile(request)
        return {"events": await self._store.events(profile["id"], limit), "limit": limit}

    async def profile_sessions(self, request: Request) -> Answer:
        limit = _limit(request, 100, MAX_SESSIONS)
        profile = await self._profile(request)
        return {"sessions": await self._store.sessions(profile["id"], limit), "limit": limit}

    async def event(self, request: Request) -> Answer:
        event_id = _path_id(request)
        traces = await self._store.where(event_id)
        if not traces:
            raise Problem(
                "not_found",
                "The store knows no event of this id.",
                where="path.id",
                todo=f"It may not have been reached yet, or be older than {self._settings.trace_days} days.",
            )
        return {"id": event_id, "traces": traces}

    async def runs(self, request: Request) -> Answer:
        limit = _limit(request, 50, MAX_RUNS)
        workflow = request.query_params.get("workflow")
        return {"runs": await list_runs(self._store, limit, workflow), "limit": limit}

    async def run(self, request: Request) -> Answer:
        found = await show_run(self._store, _path_id(request))
        if found is None:
            raise Problem("not_found", "There is no run of this id.", where="path.id")
        return cast(Answer, found)

    async def workflows(self, request: Request) -> Answer:
        workflows = self._settings.workflows.items()
        return {"workflows": [{"name": name} | workflow.model_dump(mode="json") for name, workflow in workflows]}

    async def ledger(self, request: Request) -> Answer:
        query = request.query_params
        end = _time(query.get("to"), "to", now_ms())
        start = _time(query.get("from"), "from", end - HOUR_MS)
        if not 0 < end - start <= MAX_LEDGER_MS:
            todo = "Ask for at most 24 hours at once, `from` before `to`."
            raise Problem("bad_request", "This range cannot be answered.", where="query.from", todo=todo)
        counts = await self._store.counts(start, end, query.get("source"))
        lines = [
            {"minute": format_ms(minute), "source": source, "status": status, "count": count}
            for minute, source, status, count in counts
        ]
        return {"from": format_ms(start), "to": format_ms(end), "lines": lines}

    async def _profile(self, request: Request) -> Mapping[str, Any]:
        found = await self._store.profile(_path_id(request))
        if found is None:
            todo = "Look the person up by an identifier: POST /api/v1/profiles/lookup."
            raise Problem("not_found", "There is no profile of this id.", where="path.id", todo=todo)
        return cast(Mapping[str, Any], found)


def api_routes(api: Api, sign_in: SignIn) -> Sequence[BaseRoute]:
    """One route an operation; all ask for the token first."""
    return [
        Route(operation.path, _guarded(getattr(api, operation.name), sign_in), methods=[operation.method])
        for operation in OPERATIONS
        if operation.needs_token
    ]


def _guarded(
    operation: Callable[[Request], Awaitable[Answer]], sign_in: SignIn
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        require_token(request, sign_in)
        return json_answer(await operation(request))

    return endpoint


def require_token(request: Request, sign_in: SignIn) -> None:
    """Raises Problem unless the request carries the administrator's token as Bearer."""
    address = request.client.host if request.client else ""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        if sign_in.is_token(token.strip()):
            return
        if wait := sign_in.wait("api", address):
            raise Problem("too_many_requests", "Too many wrong tokens.", todo=f"Wait {wait} s.", retry_after=wait)
        sign_in.failed("api", address)
    raise Problem(
        "unauthorized",
        "The API needs the administrator's token.",
        where="header.Authorization",
        todo="Send `Authorization: Bearer <token>`; the token is admin.token or stands in <data>/admin-token.",
    )


def json_answer(value: object, status: int = 200) -> Response:
    """A JSON response; what is no JSON by itself is written as text."""
    return Response(orjson.dumps(value, default=str), status, media_type="application/json")


async def read_body(request: Request) -> bytes:
    """The request's body, of at most MAX_BODY_BYTES. Raises Problem."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise Problem("too_large", f"The body is larger than {MAX_BODY_BYTES} bytes.", where="body")
    return body


async def _json_object(request: Request) -> Mapping[str, Any]:
    try:
        value = orjson.loads(await read_body(request))
    except orjson.JSONDecodeError:
        raise Problem(
            "bad_request", "The body is no JSON.", where="body", todo='Send `{"kind": …, "value": …}`.'
        ) from None
    if not isinstance(value, dict):
        raise Problem("bad_request", "The body is no JSON object.", where="body", todo="Send an object.")
    return value


def _path_id(request: Request) -> str:
    value = str(request.path_params["id"])
    if len(value) > MAX_ID_CHARACTERS:
        raise Problem("not_found", f"Ids have at most {MAX_ID_CHARACTERS} characters.", where="path.id")
    return value


def _limit(request: Request, default: int, most: int) -> int:
    text = request.query_params.get("limit", str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10) or not 1 <= int(text) <= most:
        raise Problem("bad_request", "This is no limit.", where="query.limit", todo=f"Use a number from 1 to {most}.")
    return int(text)


def _time(text: str | None, name: str, default: int) -> int:
    if not text:
        return default
    try:
        return parse_ms(text)
    except ValueError:
        todo = "Write it as 2026-11-24T10:15:00Z."
        raise Problem("bad_request", "This is no time.", where=f"query.{name}", todo=todo) from None
