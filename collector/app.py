"""The collector's only wiring: which path is answered by whom. Plain ASGI; the caller starts and stops the producer."""

from __future__ import annotations

import asyncio
import importlib.metadata
from dataclasses import replace
from typing import Final

import orjson
from starlette.types import Receive, Scope, Send

from collector.answered import Answered
from collector.cors import Answer, cors_headers, preflight, welcome
from collector.decode import BadBody
from collector.dedup import Dedup
from collector.endpoints import Intake
from collector.openapi import OPENAPI_PATH, document
from collector.request import Request
from collector.route import Route
from collector.routes import Found, Routes
from collector.script import Script
from collector.settings import CollectorSettings, Source
from collector.sources import Sources
from collector.state import checks_of, numbers_of, tell_each_minute
from collector.statuses import problem
from eventlog import readiness
from eventlog.log import Producer
from eventlog.numbers import Numbers
from eventlog.readiness import Check, put_checks
from eventlog.refused import count_refused
from eventlog.security_headers import FOR_DATA
from eventlog.slot import Slot
from eventlog.timestamps import now_ms
from eventlog.topics import TOPICS, json_schema

# What an answer says itself stays; `Answer` adds one of its own.
_SECURITY: Final = [
    (name.encode(), value.encode()) for name, value in FOR_DATA.items() if name != "x-content-type-options"
]
_AN_HOUR: Final = (b"cache-control", b"public, max-age=3600")


class Collector:
    """The ASGI app of the public listener."""

    def __init__(self, settings: CollectorSettings, producer: Producer, slot: Slot | None) -> None:
        folder = self._folder = slot.folder if slot else None
        self.answered = Answered(folder)
        self.dedup = Dedup(settings.dedup.seconds, settings.dedup.max_ids, now_ms(), folder)
        self._intake = Intake(settings, producer, self.answered, self.dedup)
        self._settings = settings
        self._producer = producer
        self._routes = Routes(settings)
        self._gets: dict[str, Answer] = {
            f"/schema/{topic.schema}.json": Answer(
                200, orjson.dumps(json_schema(topic)), [_AN_HOUR, (b"access-control-allow-origin", b"*")],
                b"application/schema+json",
            )
            for topic in TOPICS
        }  # fmt: skip
        self._gets["/.well-known/gpc.json"] = Answer(200, b'{"gpc":true,"lastUpdate":"2026-11-24"}', [_AN_HOUR])
        published = document(settings, importlib.metadata.version("trackway"))
        self._gets[OPENAPI_PATH] = Answer(
            200, orjson.dumps(published), [_AN_HOUR, (b"access-control-allow-origin", b"*")]
        )
        self._gets["/health"] = Answer(200, b'{"status":"up"}')
        self._script, self._script_paths = Script(), settings.tracker.scripts
        self.stopping = False

    def serves(self, path: str) -> bool:
        """Whether it answers at a path, for whoever puts other apps beside it."""
        return path in (*self._gets, *self._script_paths, "/ready") or self._routes.find(path) is not None

    def replace_sources(self, sources: dict[str, Source]) -> None:
        """Take other sources and keys from now on."""
        self._intake.sources = Sources(sources)
        self._settings.sources = sources

    async def work(self, stop: asyncio.Event) -> None:
        """What it does beside answering, until `stop` is set: keep account, and tell the log what was done."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.answered.tick(stop))
            group.create_task(tell_each_minute(self._intake, stop))
            await stop.wait()
            self.stopping = True

    def close(self) -> None:
        """Put away what outlives the process."""
        self.dedup.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path, method = scope["path"], scope["method"]
        served = self._routes.find(path)
        found = served.get(method) if served else None
        if found and found.route.reply is None:
            await self._intake.handle(found.family, _bare(path), scope, receive, send)
            return
        headers = dict(scope["headers"])
        if path in self._script_paths and method in ("GET", "HEAD"):
            answer = self._script.answer(scope["query_string"], headers)
        elif found:
            answer = self._start_up(found.route, scope, headers)
        else:
            answer = self._other(path, method, headers, served)
        said = {name for name, _ in answer.headers}
        also = [one for one in _SECURITY if one[0] not in said]
        await replace(answer, headers=answer.headers + also).send(send, head_only=method == "HEAD")

    def _start_up(self, route: Route, scope: Scope, headers: dict[bytes, bytes]) -> Answer:
        """What an SDK asks before it sends."""
        assert route.reply
        origin = headers.get(b"origin", b"").decode("latin-1") or None
        shared = cors_headers(origin, self._intake.sources.origins)
        try:
            reply = route.reply(
                Request(scope["method"], _bare(scope["path"]), headers, scope["query_string"], b"", self._settings)
            )
        except BadBody as error:
            return Answer(error.status, problem(error.code, str(error)), shared)
        return Answer(reply.status, reply.body, [*shared, *reply.headers], reply.content_type)

    def _other(self, path: str, method: str, headers: dict[bytes, bytes], served: dict[str, Found] | None) -> Answer:
        if served and method == "OPTIONS":
            if b"webhook-request-origin" in headers and any(found.route.reply is None for found in served.values()):
                return welcome(headers, self._settings.limits.key_events_per_second)
            return preflight(headers, self._intake.sources.origins)
        if served:
            allowed = ", ".join([*served, "OPTIONS"])
            return Answer(405, problem("method", f"use {allowed}"), [(b"allow", allowed.encode())])
        if method in ("GET", "HEAD"):
            if path == "/ready":
                return self._ready()
            if path in self._gets:
                return self._gets[path]
        return Answer(404, problem("not_found"))

    def _ready(self) -> Answer:
        return Answer(*readiness.answer(self.checks()))

    def checks(self) -> list[Check]:
        """What must be well for events to be taken."""
        return checks_of(self._settings, self._producer, self.stopping)

    def numbers(self) -> Numbers:
        """Its metrics, as of now."""
        numbers = numbers_of(self._intake)
        put_checks(numbers, "collector", self.checks())
        numbers.put("trackway_undeliverable_records", count_refused(self._folder) if self._folder else 0)
        return numbers


def _bare(path: str) -> str:
    return path.removesuffix("/")


def create_app(settings: CollectorSettings, producer: Producer, slot: Slot | None = None) -> Collector:
    """The collector as an ASGI app. What it must remember is kept in `slot`; without one it is forgotten."""
    return Collector(settings, producer, slot)
