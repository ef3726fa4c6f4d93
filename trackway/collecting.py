"""`trackway collect`: one collector, on its own or as one of several workers on a port."""

from __future__ import annotations

import contextlib
import socket
from argparse import Namespace
from collections.abc import AsyncIterator, Iterator, Sequence

import structlog

from collector.app import Collector, create_app
from collector.geo import BadDatabase, Countries
from collector.settings import CollectorSettings
from eventlog.embedded import lock_writer
from eventlog.numbers import Numbers
from eventlog.readiness import Check
from eventlog.slot import taken_slot
from trackway.child import answer_the_parent, checks_told
from trackway.platform import Platform
from trackway.printing import say
from trackway.process import (
    CannotListen,
    all_of,
    give_memory_back,
    listening,
    look_for_garbage_less_often,
    opened_producer,
)
from trackway.reloading import Reloading
from trackway.serving import address_of, serve, stopping
from trackway.settings import ConfigError, Settings

_log = structlog.get_logger(__name__)


async def collect(settings: Settings, arguments: Namespace) -> None:
    """Run a collector until TERM or INT. Raises Unavailable when the log does not answer, CannotListen."""
    give_memory_back()
    with contextlib.ExitStack() as stack:
        stack.enter_context(only_collector(settings))
        sock = stack.enter_context(listening(settings.listen))
        own_sock = stack.enter_context(listening_for_the_platform(settings))
        async with opened_collector(settings) as app, stopping() as stop:
            reloading = Reloading(settings, arguments.settings_file, app.replace_sources)

            async def checks() -> Sequence[Check]:
                return app.checks()

            async def numbers() -> Numbers:
                return reloading.put(app.numbers())

            works = [
                serve(app, sock, stop, settings.drain_time, settings.connections),
                app.work(stop),
                reloading.watch(stop),
            ]
            if own_sock is not None:
                platform = Platform(("collector",), checks, numbers)
                works.append(serve(platform, own_sock, stop, settings.drain_time, settings.connections))
            look_for_garbage_less_often()
            say(ready_line(settings, sock, "collector"))
            await all_of(works)


async def work(settings: Settings, arguments: Namespace) -> None:
    """Run one of several workers on the listening socket it has inherited, until its parent says so or has gone."""
    give_memory_back()
    with contextlib.closing(socket.socket(fileno=arguments.inherited_socket)) as sock:
        sock.set_inheritable(False)
        async with opened_collector(settings) as app, stopping() as stop:
            reloading = Reloading(settings, arguments.settings_file, app.replace_sources)
            answers = {
                "numbers": lambda: reloading.put(app.numbers()).told(),
                "checks": lambda: checks_told(app.checks()),
            }
            look_for_garbage_less_often()
            await all_of(
                [
                    serve(app, sock, stop, settings.drain_time, settings.connections),
                    app.work(stop),
                    reloading.watch(stop),
                    answer_the_parent(stop, answers),
                ]
            )


def ready_line(settings: Settings, sock: socket.socket, who: str) -> str:
    """What is said once events are taken."""
    log = "Kafka" if settings.is_kafka else settings.log_folder
    return f"Ready: http://{address_of(sock)} ({who}, log: {log})"


@contextlib.contextmanager
def listening_for_the_platform(settings: CollectorSettings) -> Iterator[socket.socket | None]:
    """The collector's own listener. Events matter more: where the default address is taken, it goes without."""
    listen = settings.collect.listen_metrics
    if not listen:
        yield None
        return
    with contextlib.ExitStack() as stack:
        try:
            sock = stack.enter_context(listening(listen))
        except CannotListen:
            if "listen_metrics" in settings.collect.model_fields_set:
                raise
            _log.warning("metrics_not_served", address=listen, todo="it is taken; set collect.listen_metrics")
            sock = None
        yield sock


@contextlib.asynccontextmanager
async def opened_collector(settings: Settings) -> AsyncIterator[Collector]:
    """The collector with a started producer and a slot of its own, keeping account. Raises Unavailable, ConfigError."""
    refuse_without_geo(settings)
    with taken_slot(settings.data) as slot:
        async with opened_producer(settings, slot) as producer:
            with contextlib.closing(create_app(settings, producer, slot)) as app:
                async with app.answered.kept():
                    yield app


def refuse_without_geo(settings: CollectorSettings) -> None:
    """Raises ConfigError where the database of countries that is set cannot be used."""
    if settings.geo.database:
        try:
            Countries(settings.geo.database).close()
        except BadDatabase as error:
            raise ConfigError([f"geo.database: {error}"]) from None


@contextlib.contextmanager
def only_collector(settings: CollectorSettings) -> Iterator[None]:
    """The embedded log has one collector; with Kafka there may be many."""
    with contextlib.nullcontext() if settings.is_kafka else lock_writer(settings.log_folder):
        yield
