"""The services and their wiring: collect, aggregate, export. up.py runs all of them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence

from collector.app import Collector, create_app
from eventlog.embedded import lock_writer
from eventlog.log import Producer
from eventlog.opening import open_producer
from eventlog.slot import Slot, taken_slot
from exporter.aggregate import Progress
from exporter.aggregate import aggregate as fold_the_log
from exporter.app import AdminApp, SenderInfo, create_admin_app
from exporter.clock import keep_time
from exporter.console.auth import SignIn, load_or_make_token
from exporter.health import health_app
from exporter.outbox import send_outbox
from exporter.schedule import schedule
from exporter.store import Store, open_store
from trackway.printing import say
from trackway.serving import address_of, bind, serve, stopping
from trackway.settings import ConfigError, Settings

ADMIN_LISTEN = "127.0.0.1:8081"


class CannotListen(Exception):  # noqa: N818 - what happened
    """An address is taken or not this machine's."""


def look_for_garbage_less_often() -> None:
    """Have Python look for cycles of garbage less often: what comes and goes here has hardly any, and looking took a
    tenth and more of a busy aggregator's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def collect(settings: Settings) -> None:
    """Run a collector until TERM or INT. Raises Unavailable when the log does not answer, CannotListen."""
    with only_collector(settings), listening(settings.listen) as sock:
        async with opened_collector(settings) as app, stopping() as stop:
            look_for_garbage_less_often()
            log = "Kafka" if settings.is_kafka else settings.log_folder
            say(f"Ready: http://{address_of(sock)} (collector, log: {log})")
            await all_of([serve(app, sock, stop, settings.drain_time), app.answered.tick(stop)])


async def aggregate(settings: Settings, *, child: bool = False) -> None:
    """Run an aggregator until TERM or INT; as a child of `up` it has no listener and stops when stdin ends."""
    progress = Progress()
    async with opened_store(settings) as store, opened_producer(settings) as producer, stopping() as stop:
        works = [fold_the_log(settings, store, stop, progress), send_outbox(store, producer, stop)]
        works.append(keep_time(settings, store, stop))
        look_for_garbage_less_often()
        if child:
            works.append(_stop_with_stdin(stop))
            await all_of(works)
            return
        with listening(settings.aggregate.listen) as sock:
            works.append(serve(health_app(store, lambda: progress.problem), sock, stop, settings.drain_time))
            say(f"Ready: http://{address_of(sock)} (aggregator, store: {store.dialect})")
            await all_of(works)


async def export(settings: Settings) -> None:
    """Run scheduled exports, API and console until TERM or INT."""
    with listening(settings.admin.listen or ADMIN_LISTEN) as sock:
        address = f"http://{address_of(sock)}"
        async with opened_store(settings) as store, stopping() as stop:
            sign_in = open_sign_in(settings)
            async with opened_admin(settings, store, sign_in, public_address(settings)) as app:
                say(f"Ready: {address} (exports, API, console, store: {store.dialect})")
                if not settings.admin.token.get_secret_value():
                    say(f"Console: {sign_in.sign_in_link(address)}")
                await all_of([serve(app, sock, stop, settings.drain_time), schedule(settings, store, stop)])


async def all_of(works: Sequence[Awaitable[None]]) -> None:
    """Run all until they end; the first that fails ends the others and is raised as it is."""

    async def one(work: Awaitable[None]) -> None:
        await work

    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(one(work))
    except BaseExceptionGroup as failed:
        raise _first(failed) from None


def _first(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    inner = failed.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


@contextlib.contextmanager
def listening(listen: str) -> Iterator[socket.socket]:
    """A listening socket. Raises CannotListen."""
    try:
        sock = bind(listen)
    except OSError as error:
        raise CannotListen(f"cannot listen on {listen}: {error.strerror}; is another process there?") from None
    with contextlib.closing(sock):
        yield sock


@contextlib.asynccontextmanager
async def opened_collector(settings: Settings) -> AsyncIterator[Collector]:
    """The collector with a started producer and a slot of its own, keeping account. Raises Unavailable."""
    with taken_slot(settings.data) as slot:
        async with opened_producer(settings, slot) as producer:
            app = create_app(settings, producer, slot)
            async with app.answered.kept():
                yield app


@contextlib.asynccontextmanager
async def opened_producer(settings: Settings, slot: Slot | None = None) -> AsyncIterator[Producer]:
    """A started producer, with a spool where it has a slot. Raises Unavailable."""
    producer = open_producer(settings, slot)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


@contextlib.asynccontextmanager
async def opened_store(settings: Settings) -> AsyncIterator[Store]:
    """The store, its tables brought up to date. Raises Unavailable."""
    store = await open_store(settings)
    try:
        await store.migrate()
        yield store
    finally:
        await store.close()


@contextlib.asynccontextmanager
async def opened_admin(settings: Settings, store: Store, sign_in: SignIn, public: str) -> AsyncIterator[AdminApp]:
    """API, console and metrics. `public` is where the collector is."""
    senders = [
        SenderInfo(name, source.browser_key or "", tuple(source.origins), public)
        for name, source in settings.sources.items()
    ]
    app = create_admin_app(settings, store, sign_in=sign_in, senders=senders, trusted_proxies=settings.trusted_proxies)
    try:
        yield app
    finally:
        await app.close()


def open_sign_in(settings: Settings) -> SignIn:
    """Who may look. Raises ConfigError where a token is needed and not set."""
    try:
        token = load_or_make_token(settings)
    except ValueError as error:
        raise ConfigError([str(error)]) from None
    return SignIn(token, settings.secret.get_secret_value())


def public_address(settings: Settings) -> str:
    """Where browsers reach the collector: as set, else as far as this process can tell."""
    return settings.public_url or f"http://{settings.listen}"


@contextlib.contextmanager
def only_collector(settings: Settings) -> Iterator[None]:
    """The embedded log has one collector; with Kafka there may be many."""
    with contextlib.nullcontext() if settings.is_kafka else lock_writer(settings.log_folder):
        yield


async def _stop_with_stdin(stop: asyncio.Event) -> None:
    """Set `stop` when the other end of stdin is closed, as it is when the parent dies, however it dies."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    reading = asyncio.create_task(reader.read())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({reading, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    for task in (reading, stopped):
        task.cancel()
    transport.close()
