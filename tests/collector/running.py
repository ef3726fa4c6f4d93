"""A collector on a real port with the embedded log, for the length of a block."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import orjson
import uvicorn
from pydantic import SecretStr

from collector.app import create_app
from collector.settings import CollectorSettings, Source
from eventlog.opening import open_consumer, open_producer

BROWSER_KEY, SERVER_KEY, ORIGIN = "wk_shop", "sk_shop", "https://shop.example"


def settings_in(folder: Path, **changes: Any) -> CollectorSettings:
    source = Source(browser_key=BROWSER_KEY, origins=[ORIGIN], server_key=SecretStr(SERVER_KEY))
    given: dict[str, Any] = {"data": folder, "secret": SecretStr("test"), "sources": {"shop": source}}
    return CollectorSettings(**(given | changes))


@dataclass
class Running:
    """What tests ask of a collector."""

    http: httpx2.AsyncClient
    settings: CollectorSettings

    async def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> httpx2.Response:
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        return await self.http.post(path, content=content, headers=dict(headers or {}))

    async def batch(self, *messages: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
        """Post messages with the server key; their receipts."""
        answer = await self.post("/v1/batch", {"writeKey": SERVER_KEY, "batch": list(messages)} | more)
        assert answer.status_code == 200, answer.text
        receipts: list[dict[str, Any]] = answer.json()["receipts"]
        return receipts

    async def stored(self, topic: str = "events.v1") -> list[dict[str, Any]]:
        """Every record of a topic."""
        consumer = open_consumer(self.settings, [self.settings.topic_prefix + topic])
        await consumer.start()
        records = []
        while got := await consumer.poll(1000, 0.02):
            records += [orjson.loads(record.value or b"null") for record in got]
        await consumer.stop()
        return records


@contextlib.asynccontextmanager
async def running(settings: CollectorSettings) -> AsyncIterator[Running]:
    """Serve until the block ends."""
    producer = open_producer(settings)
    await producer.start()
    config = uvicorn.Config(
        create_app(settings, producer),
        port=0,
        log_level="warning",
        lifespan="off",
        ws="none",
        access_log=False,
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server._serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells by an attribute only
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        yield Running(http, settings)
    server.should_exit = True
    await serving
    await producer.stop()
