"""`trackway up`: every service by one command. Collector, exports, API and console share this process; the aggregator
is a child of it, because folding beside them would make every answer wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from argparse import Namespace
from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog
from starlette.types import ASGIApp

from collector.app import Collector
from eventlog.errors import Unavailable
from eventlog.provision import provision
from exporter.schedule import schedule
from trackway.demo.site import create_demo
from trackway.printing import say
from trackway.services import (
    ADMIN_LISTEN,
    all_of,
    listening,
    look_for_garbage_less_often,
    only_collector,
    open_sign_in,
    opened_admin,
    opened_collector,
    opened_store,
)
from trackway.serving import Dispatch, address_of, serve, stopping
from trackway.settings import ConfigError, Settings

_log = structlog.get_logger(__name__)

_LOOPBACK = ("127.", "localhost:", "[::1]:")
_ADMIN_PATHS = ("api", "console", "openapi.json", "metrics")
# A child that ends sooner than this after its start has not really started.
_YOUNG_SECONDS, _YOUNG_ENDS = 10.0, 5


async def up(settings: Settings, arguments: Namespace) -> None:
    """Run until TERM or INT. Raises Unavailable, ConfigError, CannotListen."""
    steps = _Steps()
    with contextlib.ExitStack() as stack:
        stack.enter_context(only_collector(settings))
        sock = stack.enter_context(listening(settings.listen))
        admin_listen = _admin_listen(settings)
        admin_sock = sock if admin_listen == settings.listen else stack.enter_context(listening(admin_listen))
        await _make_topics(settings)
        steps.done("event log", "Kafka" if settings.is_kafka else str(settings.log_folder))
        async with opened_store(settings) as store, opened_collector(settings) as collector, stopping() as stop:
            steps.done("store", "PostgreSQL" if settings.store.startswith("postgresql") else settings.store_url)
            public, admin_url = f"http://{address_of(sock)}", f"http://{address_of(admin_sock)}"
            sign_in = open_sign_in(settings)
            async with (
                opened_admin(settings, store, sign_in, settings.public_url or public) as admin,
                _aggregator(settings, arguments, stop),
            ):
                steps.done("aggregator", "a process of its own")
                app = _public(settings, collector, admin if admin_sock is sock else None, demo=arguments.demo)
                works = [serve(app, sock, stop, settings.drain_time), collector.answered.tick(stop)]
                if admin_sock is not sock:
                    works.append(serve(admin, admin_sock, stop, settings.drain_time))
                works.append(schedule(settings, store, stop))
                look_for_garbage_less_often()
                steps.done("collector, exports, API, console", public)
                _print_addresses(public, admin_url, sign_in.sign_in_link(admin_url), demo=arguments.demo)
                await all_of(works)


def _admin_listen(settings: Settings) -> str:
    """Where the pages are: as set, else with the collector while only this machine can reach it."""
    return settings.admin.listen or (settings.listen if settings.listen.startswith(_LOOPBACK) else ADMIN_LISTEN)


def _public(settings: Settings, collector: Collector, admin: ASGIApp | None, *, demo: bool) -> ASGIApp:
    """What the public listener serves: the collector, with the pages where they share it, and the demo."""
    by_segment: dict[str, ASGIApp] = dict.fromkeys(collector.segments, collector)
    if admin is not None:
        by_segment |= dict.fromkeys(_ADMIN_PATHS, admin)
    if demo:
        return Dispatch(create_demo(settings), by_segment)
    if admin is not None:
        by_segment[""] = admin
    return Dispatch(collector, by_segment)


class _Steps:
    """Progress lines with the seconds since the start."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def done(self, what: str, where: str) -> None:
        say(f"{time.monotonic() - self._begun:5.1f} s  {what}: {where}")


def _print_addresses(public: str, admin: str, link: str, *, demo: bool) -> None:
    rows = [("Shop", f"{public}/"), ("CDP stand-in", f"{public}/demo/cdp/")] if demo else []
    rows += [("Console", link), ("Live events", f"{admin}/console/live"), ("API", f"{admin}/api/v1/profiles")]
    rows.append(("Events to", f"{public}/v1/batch"))
    for name, url in rows:
        say(f"  {name:13} {url}")
    say(f"Ready: {public}")


async def _make_topics(settings: Settings) -> None:
    failed = [one for one in await provision(settings, apply=True) if one.level == "fail"]
    if failed:
        raise ConfigError([f"topic {one.topic} {one.message}" for one in failed])


@dataclass
class _Child:
    process: asyncio.subprocess.Process
    begun: float


@contextlib.asynccontextmanager
async def _aggregator(settings: Settings, arguments: Namespace, stop: asyncio.Event) -> AsyncIterator[None]:
    """The aggregator's process: started again when it dies, stopped at the block's end. Raises Unavailable at the end
    where it did not start, in several tries."""
    child = await _start(arguments)
    watching = asyncio.create_task(_keep_alive(child, arguments, stop))
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait({watching})
        if child.process.stdin:
            # Its cue to stop; it reaches the child also when this process is killed.
            child.process.stdin.close()
        try:
            async with asyncio.timeout(settings.drain_time):
                await child.process.wait()
        except TimeoutError:
            child.process.kill()
            await child.process.wait()
    if not watching.cancelled():
        watching.result()


async def _start(arguments: Namespace) -> _Child:
    given = ["--config", str(arguments.settings_file)] if arguments.settings_file else []
    command = [sys.executable, "-m", "trackway", *given]
    process = await asyncio.create_subprocess_exec(
        *command, "aggregate", "--stop-with-stdin", stdin=asyncio.subprocess.PIPE, start_new_session=True
    )
    return _Child(process, time.monotonic())


async def _keep_alive(child: _Child, arguments: Namespace, stop: asyncio.Event) -> None:
    young = 0
    while not stop.is_set():
        code = await child.process.wait()
        if stop.is_set():
            return
        # One that was killed had started well enough.
        failed = code > 0 and time.monotonic() - child.begun < _YOUNG_SECONDS
        young = young + 1 if failed else 0
        if young >= _YOUNG_ENDS:
            stop.set()
            raise Unavailable(f"the aggregator ended {young} times with exit code {code}; its messages above say why")
        _log.warning("aggregator_ended", exit_code=code, again_in_seconds=min(young, 1))
        await asyncio.sleep(min(young, 1))
        started = await _start(arguments)
        child.process, child.begun = started.process, started.begun
