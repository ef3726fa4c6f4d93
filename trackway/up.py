"""`trackway up`: every service by one command. Collector, exports, API and console share this process; the aggregator
is a child of it, because folding beside them would make every answer wait.
"""

from __future__ import annotations

import contextlib
import time
from argparse import Namespace
from typing import Final

from starlette.types import ASGIApp

from collector.app import Collector
from eventlog.numbers import Numbers
from eventlog.provision import provision
from eventlog.readiness import Check, put_checks
from eventlog.telemetry import SERVICES
from exporter.app import AdminApp
from exporter.schedule import schedule
from trackway.child import Child, checks_heard, watched
from trackway.collecting import only_collector, opened_collector
from trackway.demo.site import create_demo
from trackway.exporting import ADMIN_LISTEN, open_sign_in, opened_admin
from trackway.platform import SEGMENTS, Platform
from trackway.printing import say
from trackway.process import all_of, give_memory_back, listening, look_for_garbage_less_often
from trackway.reloading import Reloading
from trackway.serving import Dispatch, Rule, address_of, segments, serve, stopping
from trackway.settings import ConfigError, Settings
from trackway.stores import opened_store

# What is known of an aggregator that does not answer, as while it starts.
AWAY: Final = Check("process", "the aggregator does not answer")

_LOOPBACK = ("127.", "localhost:", "[::1]:")
_ADMIN_SEGMENTS = ("api", "console", "openapi.json")


async def up(settings: Settings, arguments: Namespace) -> None:
    """Run until TERM or INT. Raises Unavailable, ConfigError, CannotListen."""
    give_memory_back()
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
            aggregator = Child("aggregator", arguments, ("aggregate", "--stop-with-stdin"))
            async with (
                opened_admin(settings, store, sign_in, settings.public_url or public) as admin,
                watched([aggregator], stop, settings.drain_time),
            ):
                steps.done("aggregator", "a process of its own")
                reloading = Reloading(settings, arguments.settings_file, collector.replace_sources)
                everything = _Everything(collector, admin, aggregator, reloading)
                pages = Dispatch(admin, (segments(*SEGMENTS), everything.platform))
                app = _public(settings, collector, pages if admin_sock is sock else None, demo=arguments.demo)
                works = [
                    serve(app, sock, stop, settings.drain_time, settings.connections),
                    collector.work(stop),
                    reloading.watch(stop),
                ]
                if admin_sock is not sock:
                    works.append(serve(pages, admin_sock, stop, settings.drain_time, settings.connections))
                works.append(schedule(settings, store, stop, ended=admin.state.ended))
                look_for_garbage_less_often()
                steps.done("collector, exports, API, console", public)
                _print_addresses(public, admin_url, sign_in.sign_in_link(admin_url), demo=arguments.demo)
                await all_of(works)


def _admin_listen(settings: Settings) -> str:
    """Where the pages are: as set, else with the collector while only this machine can reach it."""
    return settings.admin.listen or (settings.listen if settings.listen.startswith(_LOOPBACK) else ADMIN_LISTEN)


def _public(settings: Settings, collector: Collector, admin: ASGIApp | None, *, demo: bool) -> ASGIApp:
    """What the public listener serves: the collector, with the pages where they share it, and the demo."""
    # What the platform asks is answered for all of it; then, some protocols have paths below /api too.
    rules: list[Rule] = [(segments(*SEGMENTS), admin)] if admin is not None else []
    rules.append((collector.serves, collector))
    if admin is not None:
        rules.append((segments(*_ADMIN_SEGMENTS), admin))
    if demo:
        return Dispatch(create_demo(settings), *rules)
    if admin is not None:
        rules.append((segments(""), admin))
    return Dispatch(collector, *rules)


class _Everything:
    """What all parts tell of themselves. Whether events are taken decides on /ready; of the rest it is told only."""

    def __init__(self, collector: Collector, admin: AdminApp, aggregator: Child, reloading: Reloading) -> None:
        self._collector = collector
        self._admin = admin
        self._aggregator = aggregator
        self._reloading = reloading
        self.platform = Platform(SERVICES, self._checks, self._numbers)

    async def _checks(self) -> list[Check]:
        told = await self._aggregator.ask("checks")
        others = {
            "exporter": await self._admin.state.checks(),
            "aggregator": [AWAY] if told is None else checks_heard(told),
        }
        return [
            *self._collector.checks(),
            *(
                Check(f"{service}.{check.name}", check.why, decides=False)
                for service, checks in others.items()
                for check in checks
            ),
        ]

    async def _numbers(self) -> Numbers:
        numbers = self._reloading.put(self._collector.numbers())
        numbers.add(await self._admin.state.numbers())
        told = await self._aggregator.ask("numbers")
        if told is None:
            put_checks(numbers, "aggregator", [AWAY])
        else:
            numbers.add(Numbers.heard(told))
        numbers.put("trackway_child_deaths_total", self._aggregator.deaths, "aggregator")
        return numbers


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
