"""The admin listener as it runs, on a port of its own, with a real log and a real store in a folder."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from pydantic import SecretStr

from eventlog.opening import open_consumer
from eventlog.topics import EVENTS, REJECTED
from exporter.aggregate import aggregate
from exporter.app import SenderInfo, create_admin_app
from exporter.console.auth import SignIn, load_or_make_token
from exporter.settings import ExporterSettings
from exporter.store import Store, open_store
from tests.console.seeds import append

SHOP = SenderInfo("shop", "wk_shop", ("https://shop.example",), "https://t.shop.example")


@dataclass
class Site:
    """A running admin listener. `call` runs a coroutine function on its event loop."""

    settings: ExporterSettings
    token: str
    address: str = ""
    sign_in: SignIn | None = None
    store: Store | None = None
    loop: asyncio.AbstractEventLoop | None = None
    proxies: Sequence[str] = ()
    clients: list[httpx2.Client] = field(default_factory=list)

    def client(self, **options: Any) -> httpx2.Client:
        """A browser that has not signed in; it follows no redirect by itself."""
        client = httpx2.Client(base_url=self.address, **options)
        self.clients.append(client)
        return client

    def link(self) -> str:
        assert self.sign_in is not None
        return self.sign_in.sign_in_link(self.address)

    def visitor(self) -> httpx2.Client:
        """A browser that has signed in."""
        client = self.client()
        assert client.get(self.link()).status_code == 303
        return client

    def back_end(self) -> httpx2.Client:
        """A program with the token."""
        return self.client(headers={"Authorization": f"Bearer {self.token}"})

    def add(self, bodies: Sequence[Mapping[str, Any]]) -> None:
        """Append to the log while the site runs."""
        assert self.loop is not None
        asyncio.run_coroutine_threadsafe(append(self.settings, bodies), self.loop).result(30)


@contextlib.contextmanager
def running_site(
    folder: Path, bodies: Sequence[Mapping[str, Any]] = (), proxies: Sequence[str] = (), **settings: Any
) -> Iterator[Site]:
    """A site whose log holds `bodies`, all of them folded into its store."""
    made = ExporterSettings(data=folder, secret=SecretStr("a secret of the tests"), **settings)
    site = Site(made, load_or_make_token(made), proxies=proxies)
    started, stop = threading.Event(), threading.Event()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(_serve(site, bodies, started, stop))
        except BaseException as error:
            failed.append(error)
            raise
        finally:
            started.set()

    thread = threading.Thread(target=run, name="site")
    thread.start()
    started.wait(60)
    try:
        if failed:
            raise failed[0]
        yield site
    finally:
        for client in site.clients:
            client.close()
        stop.set()
        thread.join(30)


async def _serve(
    site: Site, bodies: Sequence[Mapping[str, Any]], started: threading.Event, stop: threading.Event
) -> None:
    settings = site.settings
    if bodies:
        await append(settings, bodies)
    site.store = store = await open_store(settings)
    await store.migrate()
    if bodies:
        await _fold(settings, store)
    site.loop = asyncio.get_running_loop()
    site.sign_in = SignIn(site.token, settings.secret.get_secret_value())
    app = create_admin_app(settings, store, sign_in=site.sign_in, senders=[SHOP], trusted_proxies=site.proxies)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        site.address = f"http://127.0.0.1:{sock.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(app, lifespan="on", log_level="critical", proxy_headers=False))
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.01)
        started.set()
        await asyncio.to_thread(stop.wait)
        server.should_exit = True
        await serving
    await store.close()


async def _fold(settings: ExporterSettings, store: Store) -> None:
    """Run the aggregator until the store has reached the log's end."""
    topics = [topic.full_name(settings.topic_prefix) for topic in (EVENTS, REJECTED)]
    consumer = open_consumer(settings, topics)
    await consumer.start()
    ends = {partition: bound.next for partition, bound in (await consumer.bounds()).items() if bound.next}
    await consumer.stop()
    stop = asyncio.Event()
    folding = asyncio.create_task(aggregate(settings, store, stop))
    async with asyncio.timeout(60):
        while not folding.done():
            positions = await store.positions()
            if all(positions.get(partition, 0) >= end for partition, end in ends.items()):
                break
            await asyncio.sleep(0.05)
        # Profiles follow the batch in a transaction of their own.
        while not folding.done() and not await store.recent_profiles(1):  # noqa: ASYNC110 - another transaction's doing
            await asyncio.sleep(0.05)
    stop.set()
    await folding
