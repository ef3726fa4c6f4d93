"""What a process answers to the platform it runs on, on a listener of its own: `/health`, `/ready`, `/metrics`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from starlette.types import Receive, Scope, Send

from collector.cors import Answer
from eventlog.numbers import CONTENT_TYPE, Numbers
from eventlog.readiness import Check, answer
from eventlog.telemetry import Service

SEGMENTS: Final = ("health", "ready", "metrics")


class Platform:
    """The ASGI app; it asks for checks and numbers when it is asked."""

    def __init__(
        self,
        services: Sequence[Service],
        checks: Callable[[], Awaitable[Sequence[Check]]],
        numbers: Callable[[], Awaitable[Numbers]],
    ) -> None:
        self._services = services
        self._checks = checks
        self._numbers = numbers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        found = await self._answer(scope["path"] if scope["method"] in ("GET", "HEAD") else "")
        await found.send(send, head_only=scope["method"] == "HEAD")

    async def _answer(self, path: str) -> Answer:
        if path == "/health":
            return Answer(200, b'{"status":"up"}')
        if path == "/ready":
            return Answer(*answer(await self._checks()))
        if path == "/metrics":
            text = (await self._numbers()).text(self._services)
            return Answer(200, text, content_type=CONTENT_TYPE.encode())
        return Answer(404, b'{"error":"only /health, /ready and /metrics are here"}')
