"""What every service answers to its platform: up, ready (or why not), metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from exporter.store import STORE_AWAY, Store

_READY_SECONDS: Final = 2.0

# Why a service cannot do its work now; None: it can.
Problem = Callable[[], str | None]


def no_problem() -> str | None:
    """Of a service that is ready whenever its store is."""
    return None


def health_routes(store: Store, problem: Problem = no_problem) -> list[Route]:
    """`/health`, `/ready` and `/metrics`."""

    async def health(_: Request) -> Response:
        return _json({"status": "up"})

    async def ready(_: Request) -> Response:
        reason = problem() or await _store_problem(store)
        return _json({"ready": reason is None, "reason": reason or "ready"}, 503 if reason else 200)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return [Route("/health", health), Route("/ready", ready), Route("/metrics", metrics)]


def health_app(store: Store, problem: Problem) -> Starlette:
    """A listener with nothing else."""
    return Starlette(routes=health_routes(store, problem))


async def _store_problem(store: Store) -> str | None:
    try:
        async with asyncio.timeout(_READY_SECONDS), store.read() as connection:
            await connection.execute(text("SELECT 1 FROM position LIMIT 1"))
    except STORE_AWAY:
        return "the store does not answer"
    return None


def _json(value: object, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")
