"""The admin listener: API, console, metrics. The only wiring of the three."""

from __future__ import annotations

import asyncio
import importlib.metadata
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, cast

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, ExceptionHandler, Message, Receive, Scope, Send

from eventlog.errors import Unavailable
from exporter.api import Api, api_routes, json_answer
from exporter.console.auth import SignIn
from exporter.console.door import Door
from exporter.console.render import Renderer
from exporter.console.routes import console_routes
from exporter.console.start import SenderInfo
from exporter.console.tail import LogReader
from exporter.console.views import Console
from exporter.openapi import document
from exporter.problem import STORE_AWAY, Problem, of_status
from exporter.settings import ExporterSettings
from exporter.store import Store

__all__ = ["SECURITY_HEADERS", "SenderInfo", "create_admin_app"]

READY_SECONDS: Final = 2.0

SECURITY_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}

_log = structlog.get_logger()


def create_admin_app(
    settings: ExporterSettings,
    store: Store,
    *,
    sign_in: SignIn,
    senders: Sequence[SenderInfo] = (),
    trusted_proxies: Sequence[str] = (),
) -> Starlette:
    """API, console, metrics as one ASGI app.

    `senders` is what the Start page explains. `trusted_proxies`: networks whose X-Forwarded-Proto counts. The reader
    of the log is opened when a page needs it; it is let go after a minute, or by `await app.state.reader.close()`.
    """
    reader = LogReader(settings)
    renderer = Renderer(settings, sign_in)
    door = Door(sign_in, renderer, trusted_proxies)
    console = Console(settings, store, reader, tuple(senders))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await reader.close()

    app = Starlette(
        routes=[
            Route("/", lambda request: RedirectResponse("/console", 303)),
            *_platform_routes(store),
            *api_routes(Api(settings, store), sign_in),
            *console_routes(console, door, renderer),
        ],
        middleware=[Middleware(SecurityHeaders)],
        exception_handlers=dict.fromkeys(
            (Problem, HTTPException, Unavailable, *STORE_AWAY, Exception), _problem_handler(door, renderer)
        ),
        lifespan=lifespan,
    )
    app.state.reader = reader
    return app


def _platform_routes(store: Store) -> list[BaseRoute]:
    published = document(importlib.metadata.version("trackway"))

    async def health(request: Request) -> Response:
        return json_answer({"status": "up"})

    async def ready(request: Request) -> Response:
        try:
            async with asyncio.timeout(READY_SECONDS):
                await store.positions()
        except STORE_AWAY:
            return json_answer({"ready": False, "reason": "the store does not answer"}, 503)
        return json_answer({"ready": True, "reason": "ready"})

    async def openapi(request: Request) -> Response:
        return json_answer(published)

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return [
        Route("/health", health),
        Route("/ready", ready),
        Route("/openapi.json", openapi),
        Route("/metrics", metrics),
    ]


def _problem_handler(door: Door, renderer: Renderer) -> ExceptionHandler:
    """Every failure as one shape: JSON for programs, a page for people."""

    def handle(request: Request, error: Exception) -> Response:
        problem = _problem_of(error)
        path = request.url.path
        if path.startswith("/console") and not path.endswith(".json"):
            response = renderer.problem(request, door.visit(request), problem)
        else:
            response = json_answer(problem.body(), problem.status)
            response.headers.update(problem.headers)
        if problem.code == "internal":
            # The answer to a failure of ours is made outside the middleware that adds them.
            response.headers.update(SECURITY_HEADERS)
        return response

    return cast(ExceptionHandler, handle)


def _problem_of(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        return of_status(error.status_code)
    if isinstance(error, Unavailable):
        todo = "Look at /ready and at the log's address in the settings; the page works again once the log answers."
        return Problem("unavailable", "The event log does not answer.", where="log", todo=todo, retry_after=5)
    if isinstance(error, STORE_AWAY):
        todo = "Look at /ready and at the store's address in the settings; pages of the log alone go on working."
        return Problem("unavailable", "The store does not answer.", where="store", todo=todo, retry_after=5)
    number = secrets.token_hex(8)
    _log.error("request_failed", request=number, error=type(error).__name__)
    todo = f"Look for request={number} in this process's log."
    return Problem("internal", "Trackway failed to answer this.", where=f"request {number}", todo=todo)


class SecurityHeaders:
    """Adds the security headers to every answer; what an answer says itself stays."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)
