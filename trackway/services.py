"""The three services and their wiring: collect, aggregate, export. `up` runs all of them."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from socket import socket

import uvloop
from starlette.types import ASGIApp

from collector.app import create_app
from eventlog.embedded import lock_writer
from eventlog.log import Producer, open_producer
from eventlog.provision import provision
from exporter.aggregate import aggregate
from exporter.app import SenderInfo, create_admin_app
from exporter.clock import keep_time
from exporter.console.auth import SignIn, load_or_make_token
from exporter.outbox import send_outbox
from exporter.schedule import schedule
from exporter.store import Store, open_store
from trackway.serving import address_of, bind, serve, stopping
from trackway.settings import ConfigError, Settings

ADMIN_DEFAULT = "127.0.0.1:8081"
LOOPBACK = ("127.", "localhost:", "[::1]:")


def run(service: object) -> None:
    """Run a coroutine on uvloop; the first failure of any part ends the process with its message."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(service)  # type: ignore[arg-type]


def admin_address(settings: Settings) -> str:
    """Where pages and API are served: `admin.listen`, else the public listener while that is loopback."""
    if settings.admin.listen:
        return settings.admin.listen
    return settings.listen if settings.listen.startswith(LOOPBACK) else ADMIN_DEFAULT


@contextlib.asynccontextmanager
async def opened_producer(settings: Settings) -> AsyncIterator[Producer]:
    producer = open_producer(settings)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


@contextlib.asynccontextmanager
async def opened_store(settings: Settings) -> AsyncIterator[Store]:
    store = await open_store(settings)
    try:
        await store.migrate()
        yield store
    finally:
        await store.close()


@contextlib.contextmanager
def only_collector(settings: Settings) -> object:  # type: ignore[misc]
    """The embedded log has one collector; a second one on the same folder is refused."""
    if settings.is_kafka:
        yield
        return
    with lock_writer(settings.log_folder):
        yield


def senders(settings: Settings, base_url: str) -> list[SenderInfo]:
    """What the Start page tells a site owner to paste."""
    return [
        SenderInfo(source=name, browser_key=source.browser_key, origins=tuple(source.origins), collector_url=base_url)
        for name, source in settings.sources.items()
    ]
