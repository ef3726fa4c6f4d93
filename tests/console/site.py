"""The admin listener as it runs: beside the collector on one port and alone on another, with a real log and store."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx2
from pydantic import SecretStr
from sqlalchemy import text

from collector.app import create_app
from collector.settings import CollectorSettings, Source
from eventlog.log import Partition, Producer
from eventlog.opening import open_producer
from eventlog.proxies import Proxies
from exporter.aggregate import aggregate
from exporter.app import AdminApp, SenderInfo, create_admin_app
from exporter.console.auth import SignIn, load_or_make_token
from exporter.lookup import Lookup
from exporter.run import run_now
from exporter.settings import ExporterSettings
from exporter.store import Store, open_store
from tests.appending import append_all
from tests.console.seeds import outgoing
from tests.services.processes import wait_until
from trackway.demo.cdp import create_stand_in
from trackway.serving import Dispatch, address_of, bind, segments, serve

SECRET = SecretStr("a secret of the tests")
BROWSER_KEY, SERVER_KEY = "wk_shop", "sk_shop"

# Each client would otherwise read all certificates of the machine, for plain http.
_TLS = ssl.create_default_context()

T = TypeVar("T")


@dataclass
class Site:
    """A running installation. `address` serves everything, `admin_address` the admin listener alone."""

    settings: ExporterSettings
    proxies: Sequence[str]
    token: str
    sign_in: SignIn
    address: str = ""
    admin_address: str = ""
    clients: list[httpx2.Client] = field(default_factory=list)
    stand_in: socket.socket | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _producer: Producer | None = None
    _store: Store | None = None
    _ends: dict[Partition, int] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        assert self._store
        return self._store

    def app(self) -> AdminApp:
        """Another admin app on the same store, to ask what it serves."""
        return create_admin_app(self.settings, self.store, sign_in=self.sign_in)

    def client(self, **options: Any) -> httpx2.Client:
        """A browser that has not signed in; it follows no redirect by itself."""
        client = httpx2.Client(base_url=self.address, verify=_TLS, **options)
        self.clients.append(client)
        return client

    def link(self) -> str:
        return self.sign_in.sign_in_link(self.address)

    def visitor(self) -> httpx2.Client:
        """A browser that has signed in."""
        client = self.client()
        assert client.get(self.link()).status_code == 303
        return client

    def back_end(self) -> httpx2.Client:
        """A program with the token."""
        return self.client(headers={"Authorization": f"Bearer {self.token}"})

    def add(self, *bodies: Mapping[str, Any]) -> None:
        """Append to the log."""
        self._do(self._add(bodies))

    def export(self, workflow: str, mode: Literal["draft", "live"]) -> dict[str, Any]:
        """Run an export to the stand-in for the CDP; the run's summary."""
        return self._do(run_now(self.settings, self.store, workflow, mode))

    def refuse_at_the_cdp(self, value: str) -> None:
        """Have the stand-in refuse whatever holds a row with this value."""
        faults = {"status": 400, "refuse": value}
        assert httpx2.post(f"{self.settings.cdp['default'].endpoint}/faults", json=faults).status_code == 200

    def fold(self) -> None:
        """Wait until what was added is in the store, profiles included."""
        self._do(self._folded())

    async def _add(self, bodies: Sequence[Mapping[str, Any]]) -> None:
        assert self._producer
        for partition, offset in await append_all(self._producer, [outgoing(self.settings, body) for body in bodies]):
            self._ends[partition] = max(self._ends.get(partition, 0), offset + 1)

    async def _folded(self) -> None:
        lookup = Lookup(self.store, self.settings)
        async with asyncio.timeout(30):
            while True:
                stored = await lookup.positions()
                async with self.store.read() as connection:
                    waiting = await connection.scalar(text("SELECT COUNT(*) FROM dirty"))
                if not waiting and all(stored.get(one, 0) >= end for one, end in self._ends.items()):
                    return
                await asyncio.sleep(0.05)

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        assert self._loop
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def run(self, started: threading.Event, stop: threading.Event) -> None:
        """Serve until `stop` is set."""
        ending = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._store = await open_store(self.settings)
        await self._store.migrate()
        self._producer = open_producer(self.settings)
        await self._producer.start()
        shared, alone = bind("127.0.0.1:0"), bind("127.0.0.1:0")
        self.address, self.admin_address = f"http://{address_of(shared)}", f"http://{address_of(alone)}"
        sender = SenderInfo("shop", BROWSER_KEY, (self.address,), self.address)
        admin = create_admin_app(
            self.settings, self._store, sign_in=self.sign_in, senders=[sender], proxies=Proxies(self.proxies)
        )
        of_admin = segments("", "api", "console", "openapi.json", "metrics")
        app = Dispatch(create_app(self._collector_settings(), self._producer), (of_admin, admin))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(serve(app, shared, ending, 5))
                group.create_task(serve(admin, alone, ending, 5))
                if self.stand_in:
                    group.create_task(serve(create_stand_in(), self.stand_in, ending, 5))
                group.create_task(aggregate(self.settings, self._store, ending))
                started.set()
                await asyncio.to_thread(stop.wait)
                ending.set()
        finally:
            started.set()
            await admin.close()
            await self._producer.stop()
            await self._store.close()
            for sock in (shared, alone, self.stand_in):
                if sock:
                    sock.close()

    def _collector_settings(self) -> CollectorSettings:
        source = Source(browser_key=BROWSER_KEY, origins=[self.address], server_key=SecretStr(SERVER_KEY))
        shared = {name: getattr(self.settings, name) for name in ("data", "log", "topic_prefix", "secret")}
        return CollectorSettings(**shared, sources={"shop": source})


@contextlib.contextmanager
def running_site(folder: Path, bodies: Sequence[Mapping[str, Any]] = (), proxies: Sequence[str] = ()) -> Iterator[Site]:
    """A site whose log holds `bodies`, all of them folded into its store, with exports to a stand-in for the CDP."""
    stand_in = bind("127.0.0.1:0")
    people = {
        "kind": "user",
        "from": "profiles",
        "stream_id": "stream-of-people",
        "every": "*/30 * * * *",
        "mode": "draft",
    }
    made = ExporterSettings(
        data=folder,
        secret=SECRET,
        cdp={"default": {"account_number": "12345", "endpoint": f"http://{address_of(stand_in)}"}},
        workflows={"people": people},
    )
    token = load_or_make_token(made)
    site = Site(made, proxies, token, SignIn(token, SECRET.get_secret_value()), stand_in=stand_in)
    started, stop = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1, thread_name_prefix="site") as pool:
        serving = pool.submit(lambda: asyncio.run(site.run(started, stop)))
        started.wait(60)
        try:
            if not serving.done():
                wait_until(lambda: _answers(site.address) and _answers(site.admin_address), "the site")
                if bodies:
                    site.add(*bodies)
                    site.fold()
                yield site
        finally:
            for client in site.clients:
                client.close()
            stop.set()
            serving.result(30)


def _answers(address: str) -> bool:
    try:
        return httpx2.get(f"{address}/health").status_code == 200
    except httpx2.ConnectError:
        return False
