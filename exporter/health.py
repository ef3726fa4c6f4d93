"""What the services behind the log answer to their platform: up, ready (or why not), metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from eventlog.numbers import CONTENT_TYPE, Numbers
from eventlog.readiness import Check, answer
from eventlog.telemetry import Service
from exporter.state import AggregatorState, ExporterState


class State(NamedTuple):
    """Who is asked, and for what."""

    service: Service
    checks: Callable[[], Awaitable[Sequence[Check]]]
    numbers: Callable[[], Awaitable[Numbers]]


def of_exporter(state: ExporterState) -> State:
    """The state of exports, API and console."""
    return State("exporter", state.checks, state.numbers)


def of_aggregator(state: AggregatorState) -> State:
    """The state of an aggregator, looked up when it is asked for."""

    async def checks() -> Sequence[Check]:
        await state.look()
        return state.checks()

    async def numbers() -> Numbers:
        return state.numbers()

    return State("aggregator", checks, numbers)


def health_routes(state: State) -> list[Route]:
    """`/health`, `/ready` and `/metrics`."""

    async def health(_: Request) -> Response:
        return Response(orjson.dumps({"status": "up"}), media_type="application/json")

    async def ready(_: Request) -> Response:
        status, body = answer(await state.checks())
        return Response(body, status, media_type="application/json")

    async def metrics(_: Request) -> Response:
        text = (await state.numbers()).text([state.service])
        return Response(text, headers={"content-type": CONTENT_TYPE})

    return [Route("/health", health), Route("/ready", ready), Route("/metrics", metrics)]


def health_app(state: State) -> Starlette:
    """A listener with nothing else."""
    return Starlette(routes=health_routes(state))
