"""The admin listener: API, console, metrics. The only wiring of the three."""

from __future__ import annotations

import importlib.metadata
import secrets
from collections.abc import Callable, Sequence
from typing import Final, cast

import structlog
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, ExceptionHandler, Message, Receive, Scope, Send

from eventlog.errors import Unavailable
from eventlog.proxies import Proxies
from eventlog.security_headers import FOR_PAGES
from eventlog.telemetry import without_its_text
from exporter.api import Api, api_routes, json_answer, require_token
from exporter.console.auth import SignIn
from exporter.console.door import Door
from exporter.console.render import Renderer
from exporter.console.routes import console_routes
from exporter.console.start import SenderInfo
from exporter.console.tail import LogReader
from exporter.console.views import Console
from exporter.health import health_routes, of_exporter
from exporter.lookup import Lookup
from exporter.openapi import document
from exporter.problem import Problem, of_status
from exporter.settings import ExporterSettings
from exporter.state import ExporterState
from exporter.store import STORE_AWAY, Store

__all__ = ["SECURITY_HEADERS", "AdminApp", "SenderInfo", "create_admin_app"]

SECURITY_HEADERS: Final = {
    **FOR_PAGES,
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}

_log = structlog.get_logger(__name__)

Answering = Callable[[Request, Exception], Response]


class AdminApp:
    """The admin listener as one ASGI app.

    It needs no lifespan: the log is opened when a page asks for it. Whoever serves the app calls `close` at the end.
    """

    def __init__(self, app: Starlette, reader: LogReader, state: ExporterState) -> None:
        self._app = app
        self._reader = reader
        self.state = state

    @property
    def routes(self) -> list[BaseRoute]:
        return self._app.routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    async def close(self) -> None:
        """Let go of the log."""
        await self._reader.close()


def create_admin_app(
    settings: ExporterSettings,
    store: Store,
    *,
    sign_in: SignIn,
    senders: Sequence[SenderInfo] = (),
    proxies: Proxies | None = None,
) -> AdminApp:
    """API, console, metrics. `senders` is what the Start page explains; `proxies` those whose word counts."""
    state = ExporterState(settings, store)
    reader = LogReader(settings)
    lookup = Lookup(store, settings)
    renderer = Renderer(settings, sign_in)
    door = Door(sign_in, renderer, proxies or Proxies(()))
    console = Console(settings, store, lookup, reader, tuple(senders))
    answering = _answering(door, renderer)
    app = Starlette(
        routes=[
            Route("/", lambda request: RedirectResponse("/console", 303)),
            *health_routes(of_exporter(state)),
            _openapi(sign_in),
            *api_routes(Api(settings, store), sign_in),
            *console_routes(console, door, renderer),
        ],
        middleware=[Middleware(Outermost, answering=answering)],
        exception_handlers=dict.fromkeys(
            (Problem, HTTPException, Unavailable, *STORE_AWAY), cast(ExceptionHandler, answering)
        ),
    )
    return AdminApp(app, reader, state)


def _openapi(sign_in: SignIn) -> Route:
    published = document(importlib.metadata.version("trackway"))

    async def openapi(request: Request) -> Response:
        require_token(request, sign_in)
        return json_answer(published)

    return Route("/openapi.json", openapi)


def _answering(door: Door, renderer: Renderer) -> Answering:
    """Every failure as one shape: JSON for programs, a page for people."""

    def answer(request: Request, error: Exception) -> Response:
        problem = _problem_of(error)
        path = request.url.path
        if path.startswith("/console") and not path.endswith(".json"):
            return renderer.problem(request, door.visit(request), problem)
        response = json_answer(problem.body(), problem.status)
        response.headers.update(problem.headers)
        return response

    return answer


def _problem_of(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        return of_status(error.status_code)
    if isinstance(error, Unavailable):
        todo = "Look at /ready and at `log` in the settings; this works again once the log answers."
        return Problem("unavailable", "The event log does not answer.", where="log", todo=todo, retry_after=5)
    if isinstance(error, STORE_AWAY):
        todo = "Look at /ready and at `store` in the settings; pages of the log alone go on working."
        return Problem("unavailable", "The store does not answer.", where="store", todo=todo, retry_after=5)
    number = secrets.token_hex(8)
    _log.error("request_failed", request=number, **without_its_text(error))
    todo = f"Look for {number} in this process's log."
    return Problem("internal", "Trackway failed to answer this.", where=f"request {number}", todo=todo)


class Outermost:
    """Adds the security headers to every answer (what an answer says itself stays), and answers failures of ours."""

    def __init__(self, app: ASGIApp, answering: Answering) -> None:
        self.app = app
        self.answering = answering

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except Exception as error:
            if started:
                raise
            await self.answering(Request(scope, receive), error)(scope, receive, send_with_headers)
