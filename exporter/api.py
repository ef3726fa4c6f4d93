"""`/api/v1`: what back ends ask, as JSON, with a Bearer token. The cookie of the console opens nothing here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, cast, get_args

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from eventlog.profile import IdentifierKind
from eventlog.timestamps import DAY_MS, HOUR_MS, format_ms, now_ms
from exporter.console.auth import SignIn
from exporter.ledger import list_runs, show_run
from exporter.lookup import Lookup
from exporter.openapi import MOST_EVENTS, MOST_PROFILES, MOST_REJECTED, MOST_RUNS, MOST_SESSIONS, OPERATIONS
from exporter.page_loads import browser_events
from exporter.parameters import after_of, id_of, is_id, limit_of, read_body, time_of, wanted_of, written_after
from exporter.problem import Problem
from exporter.rejected import read_causes, read_page
from exporter.replays import replayed_of
from exporter.settings import ExporterSettings
from exporter.store import Store
from exporter.whereabouts import Whereabouts

_LEDGER_MS: Final = DAY_MS
_BROWSERS_MS: Final = 7 * DAY_MS

Answer = Mapping[str, Any]


class Api:
    """The operations; each takes the request and answers what is to be sent as JSON."""

    def __init__(self, settings: ExporterSettings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._lookup = Lookup(store, settings)
        self._whereabouts = Whereabouts(settings, store)

    async def recent_profiles(self, request: Request) -> Answer:
        limit = limit_of(request.query_params, 50, MOST_PROFILES)
        return {"profiles": await self._lookup.recent_profiles(limit), "limit": limit}

    async def lookup_profile(self, request: Request) -> Answer:
        body = await _json_object(request)
        kind, value = body.get("kind"), body.get("value")
        kinds = get_args(IdentifierKind)
        if kind not in kinds:
            todo = f"Use {', '.join(kinds)}."
            raise Problem("bad_request", "This is no kind of identifier.", where="kind", todo=todo)
        if not isinstance(value, str) or not is_id(value):
            todo = "Send a text of 1 to 256 characters."
            raise Problem("bad_request", "This is no identifier.", where="value", todo=todo)
        found = await self._lookup.find_profile(cast(IdentifierKind, kind), value)
        if found is None:
            raise Problem("not_found", "No profile has this identifier.", where="value")
        return found

    async def profile(self, request: Request) -> Answer:
        found = await self._lookup.profile(id_of(request))
        if found is None:
            todo = "Look the person up by an identifier: POST /api/v1/profiles/lookup."
            raise Problem("not_found", "There is no profile of this id.", where="path.id", todo=todo)
        return found

    async def profile_events(self, request: Request) -> Answer:
        limit = limit_of(request.query_params, 100, MOST_EVENTS)
        profile = await self.profile(request)
        return {"events": await self._lookup.events(profile["id"], limit), "limit": limit}

    async def profile_sessions(self, request: Request) -> Answer:
        limit = limit_of(request.query_params, 100, MOST_SESSIONS)
        profile = await self.profile(request)
        return {"sessions": await self._lookup.sessions(profile["id"], limit), "limit": limit}

    async def profile_consents(self, request: Request) -> Answer:
        limit = limit_of(request.query_params, 100, MOST_EVENTS)
        profile = await self.profile(request)
        return {"consents": await self._lookup.consents(profile["id"], limit), "limit": limit}

    async def event(self, request: Request) -> Answer:
        event_id = id_of(request)
        traces = await self._whereabouts.traces(event_id)
        if not traces:
            raise Problem(
                "not_found",
                "The store knows no event of this id.",
                where="path.id",
                todo=f"It may not have been reached yet, or be older than {self._settings.trace_days} days.",
            )
        return {"id": event_id, "traces": traces}

    async def runs(self, request: Request) -> Answer:
        limit = limit_of(request.query_params, 50, MOST_RUNS)
        return {"runs": await list_runs(self._store, limit, request.query_params.get("workflow")), "limit": limit}

    async def run(self, request: Request) -> Answer:
        found = await show_run(self._store, id_of(request))
        if found is None:
            raise Problem("not_found", "There is no run of this id.", where="path.id")
        return found

    async def workflows(self, request: Request) -> Answer:
        found = self._settings.workflows.items()
        return {"workflows": [{"name": name} | one.model_dump(mode="json", by_alias=True) for name, one in found]}

    async def ledger(self, request: Request) -> Answer:
        query = request.query_params
        end = time_of(query, "to", now_ms())
        start = time_of(query, "from", end - HOUR_MS)
        if not 0 < end - start <= _LEDGER_MS:
            todo = "Ask for at most 24 hours at once, `from` before `to`."
            raise Problem("bad_request", "This range cannot be answered.", where="query.from", todo=todo)
        counts = await self._lookup.counts(start, end, query.get("source"))
        lines = [
            {"minute": format_ms(minute), "source": source, "status": status, "count": count}
            for minute, source, status, count in counts
        ]
        return {"from": format_ms(start), "to": format_ms(end), "lines": lines}

    async def browser_events(self, request: Request) -> Answer:
        query = request.query_params
        end = time_of(query, "to", now_ms())
        start = time_of(query, "from", end - DAY_MS)
        if not 0 < end - start <= _BROWSERS_MS:
            todo = "Ask for at most 7 days at once, `from` before `to`."
            raise Problem("bad_request", "This range cannot be answered.", where="query.from", todo=todo)
        found = await browser_events(self._store, start, end, query.get("source"))
        return {"from": format_ms(start), "to": format_ms(end), "lines": [one.told() for one in found]}

    async def rejected(self, request: Request) -> Answer:
        wanted = wanted_of(request.query_params)
        causes, complete = await read_causes(self._settings, self._store, wanted)
        rows = [cause.row() for cause in causes]
        told = {"from": format_ms(wanted.start), "to": format_ms(wanted.end)}
        return told | {"causes": rows, "complete": complete}

    async def rejected_records(self, request: Request) -> Answer:
        limit = limit_of(request.query_params, 100, MOST_REJECTED)
        wanted, after = wanted_of(request.query_params), after_of(request.query_params)
        page = await read_page(self._settings, wanted, after, limit)
        replayed = await replayed_of(self._store, [one.place for one in page.found])
        records = [
            {
                "record": one.position,
                "cause": one.cause,
                "replayed": one.place in replayed,
                "outcome": one.outcome,
            }
            for one in page.found
        ]
        return {"records": records, "limit": limit, "next": written_after(page.next)}


def api_routes(api: Api, sign_in: SignIn) -> Sequence[BaseRoute]:
    """One route an operation; all ask for the token first."""
    return [
        Route(operation.path, _guarded(getattr(api, operation.name), sign_in), methods=[operation.method])
        for operation in OPERATIONS
        if operation.path.startswith("/api/")
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
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not sign_in.is_token(token.strip()):
        raise Problem(
            "unauthorized",
            "This needs the administrator's token.",
            where="header.Authorization",
            todo="Send `Authorization: Bearer <token>`; the token is admin.token or stands in <data>/admin-token.",
        )


def json_answer(value: object, status: int = 200) -> Response:
    """A JSON response; what is no JSON by itself is written as text."""
    return Response(orjson.dumps(value, default=str), status, media_type="application/json")


async def _json_object(request: Request) -> Mapping[str, Any]:
    try:
        value = orjson.loads(await read_body(request))
    except orjson.JSONDecodeError:
        todo = 'Send `{"kind": …, "value": …}`.'
        raise Problem("bad_request", "The body is no JSON.", where="body", todo=todo) from None
    if not isinstance(value, dict):
        raise Problem("bad_request", "The body is no JSON object.", where="body", todo="Send an object.")
    return value
