"""Comparing and rebuilding at length: random sites, every damage by itself, kills at any moment."""

from __future__ import annotations

import asyncio
import random
import signal
import sys

import pytest

from exporter import clock
from exporter.lease import take
from exporter.settings import ExporterSettings
from tests.rebuild.conftest import made as made
from tests.rebuild.site import site_of, with_rules
from tests.rebuild.test_command import config_of, places_beside
from tests.rebuild.test_mending import FOLDED, MADE, MORE_MADE, a_week, mend
from tests.rebuild.test_random import check_random_sites
from tests.rules.events import event
from tests.services.processes import start_process

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]

KILLS = 4


def test_random_sites(made: ExporterSettings) -> None:
    check_random_sites(made, 50 if not made.store else 20)


def test_every_damage_is_found_and_mended(made: ExporterSettings) -> None:
    async def scenario() -> None:
        async with site_of(made) as site:
            await a_week(site)
            for damage in (*FOLDED, *MADE, *MORE_MADE):
                await mend(site, [damage])

    asyncio.run(scenario())


def test_a_rebuild_killed_at_any_moment_leaves_a_store_that_the_next_one_finishes(made: ExporterSettings) -> None:
    async def scenario() -> None:
        chance = random.Random(5)
        async with site_of(made) as site:
            await site.post([event(n * 100, anon=f"a{n % 300}", url="https://x.no/") for n in range(1500)])
            await site.fold(at_once=1000)
            await site.shelf.make_profiles()
            command = [sys.executable, "-m", "trackway", "--config", str(config_of(made)), "rebuild"]
            for round_ in range(KILLS):
                # Other rules than the last time, so that there is something to exchange.
                gap = 600 + 600 * (round_ % 2)
                config = config_of(made)
                config.write_text(config.read_text().replace("{trusted", f"{{session_gap: {gap}, trusted"))
                process = start_process(command, made.data / "rebuild.log")
                while not await places_beside(made, site.shelf.store):
                    await asyncio.sleep(0.01)
                    if process.poll() is not None:
                        break
                await asyncio.sleep(chance.uniform(0, 3))
                process.send_signal(signal.SIGKILL)
                await asyncio.to_thread(process.wait, 60)
                # As an aggregator would: what is marked is made.
                site.use(with_rules(made, made.rules.model_copy(update={"session_gap": gap})))
                await site.rebuild()
                assert await site.compare() == []
                # The process had the machine's clock, the tests have theirs.
                lease = await take(site.shelf.store, "clock", "tests", 600)
                assert lease is not None
                while await clock.mark_due_sessions(site.shelf.store, lease, site.shelf.now):
                    await site.shelf.make_profiles()
                await site.agree()
            assert await places_beside(made, site.shelf.store) == 0

    asyncio.run(scenario())
