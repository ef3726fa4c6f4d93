"""Ticks: each taken at most once, missed ones made up for by one run, skipped ones counted."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from eventlog.timestamps import DAY_MS, HOUR_MS, format_ms, now_ms, parse_ms
from exporter.lease import held, pause
from exporter.ledger import list_runs
from exporter.run_record import Plan
from exporter.schedule import Scheduler, next_ticks, schedule
from exporter.settings import ExporterSettings
from exporter.workflow import Workflow, find_workflow
from tests.exports.exporting import Site, ndjson, on_site

# Of today: the ledger forgets what is older than some months.
MIDNIGHT = now_ms() // DAY_MS * DAY_MS


class Clock:
    """A wall clock that stands until it is moved."""

    def __init__(self, at: int = MIDNIGHT + 1) -> None:
        self.at = at

    def __call__(self) -> int:
        return self.at


def hourly(folder: Path, rows: int = 1, **more: Any) -> dict[str, Any]:
    source = ndjson(folder, *({"id": number} for number in range(1, rows + 1)))
    return {"kind": "content", "from": source, "every": "@hourly", "mode": "live"} | more


def told(due: list[tuple[Workflow, Plan]]) -> list[tuple[str, str, int]]:
    return [(workflow.name, format_ms(plan.tick or 0)[11:16], plan.missed) for workflow, plan in due]


def test_each_tick_is_taken_by_one_of_two_schedulers_and_runs_once(
    settings_of_store: ExporterSettings, tmp_path: Path
) -> None:
    async def scenario(site: Site) -> None:
        clock = Clock()
        both = [Scheduler(site.settings, site.store, clock) for _ in range(2)]
        for one in both:
            # A workflow seen for the first time has missed nothing.
            assert await one.due() == []
        for hour in (1, 2):
            clock.at = MIDNIGHT + hour * HOUR_MS + 5
            taken = [one for found in await asyncio.gather(*(one.due() for one in both)) for one in found]
            assert told(taken) == [("it", f"0{hour}:00", 0)]
            await both[0].run(*taken[0], asyncio.Event())
        runs = await list_runs(site.store, 10)
        assert [(run["tick"][11:16], run["state"]) for run in runs] == [("02:00", "succeeded"), ("01:00", "succeeded")]
        assert len(await site.rows()) == 1

    on_site(settings_of_store, scenario, **hourly(tmp_path))


def test_missed_ticks_are_made_up_for_by_one_run_unless_it_is_too_late(
    embedded_settings: ExporterSettings, tmp_path: Path
) -> None:
    async def scenario(site: Site) -> None:
        clock = Clock()
        await Scheduler(site.settings, site.store, clock).due()
        # The process is away for five hours; it looks again a minute after the last tick, then 20 minutes after one.
        clock.at = MIDNIGHT + 5 * HOUR_MS + 60_000
        ((workflow, plan),) = await Scheduler(site.settings, site.store, clock).due()
        assert (plan.tick, plan.missed) == (MIDNIGHT + 5 * HOUR_MS, 4)
        await Scheduler(site.settings, site.store, clock).run(workflow, plan, asyncio.Event())
        assert (await list_runs(site.store, 1))[0]["missed"] == 4
        clock.at = MIDNIGHT + 8 * HOUR_MS + 20 * 60_000
        late = Scheduler(site.settings, site.store, clock)
        assert await late.due() == []
        clock.at = MIDNIGHT + 9 * HOUR_MS
        assert told(await late.due()) == [("it", "09:00", 0)]
        outcomes = await site.query("SELECT outcome, missed FROM export_tick ORDER BY tick")
        assert outcomes == [("begun", 0), ("taken", 4), ("missed", 2), ("taken", 0)]

    on_site(embedded_settings, scenario, **hourly(tmp_path, misfire_grace=600))


def test_of_runs_within_seconds_that_had_nothing_to_send_only_the_newest_stays(
    embedded_settings: ExporterSettings, tmp_path: Path
) -> None:
    async def scenario(site: Site) -> None:
        clock = Clock()
        scheduler = Scheduler(site.settings, site.store, clock)
        await scheduler.due()
        for second in range(10, 50, 10):
            clock.at = MIDNIGHT + second * 1000
            ((workflow, plan),) = await scheduler.due()
            await scheduler.run(workflow, plan, asyncio.Event())
        assert [run["accepted"] for run in await list_runs(site.store, 10)] == [0, 1]

    on_site(embedded_settings, scenario, **hourly(tmp_path, every="10s"))


def test_a_clock_that_goes_back_repeats_no_tick(embedded_settings: ExporterSettings, tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        clock = Clock()
        scheduler = Scheduler(site.settings, site.store, clock)
        await scheduler.due()
        clock.at = MIDNIGHT + HOUR_MS
        assert len(await scheduler.due()) == 1
        clock.at = MIDNIGHT + HOUR_MS - 60_000
        again = Scheduler(site.settings, site.store, clock)
        assert await again.due() == []
        clock.at = MIDNIGHT + HOUR_MS + 1
        assert await again.due() == []

    on_site(embedded_settings, scenario, **hourly(tmp_path))


def test_a_tick_that_comes_while_the_workflow_runs_is_skipped_and_counted(
    settings_of_store: ExporterSettings, tmp_path: Path
) -> None:
    async def scenario(site: Site) -> None:
        clock = Clock()
        scheduler = Scheduler(site.settings, site.store, clock)
        await scheduler.due()
        await site.cdp.faults({"delay": 60})
        running = asyncio.create_task(site.export())
        async with asyncio.timeout(20):
            while not await list_runs(site.store, 1):
                await pause(None, 0.02)
        clock.at = MIDNIGHT + HOUR_MS
        ((workflow, plan),) = await scheduler.due()
        await scheduler.run(workflow, plan, asyncio.Event())
        (run,) = await list_runs(site.store, 10)
        assert (run["state"], run["skipped"]) == ("running", 1)
        assert await site.query("SELECT outcome FROM export_tick ORDER BY tick") == [("begun",), ("skipped",)]
        running.cancel()
        await asyncio.wait({running})
        (run,) = await list_runs(site.store, 10)
        assert (run["state"], run["error"]) == ("aborted", "it was interrupted")

    on_site(settings_of_store, scenario, **hourly(tmp_path))


def test_two_workflows_never_send_to_one_stream_at_once(embedded_settings: ExporterSettings, tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        clock = Clock()
        scheduler = Scheduler(site.settings, site.store, clock)
        await scheduler.due()
        clock.at = MIDNIGHT + HOUR_MS
        ((workflow, plan),) = await scheduler.due()
        async with held(site.store, f"stream:{workflow.stream}"):
            await scheduler.run(workflow, plan, asyncio.Event())
        assert await list_runs(site.store, 10) == []
        assert await site.query("SELECT outcome FROM export_tick ORDER BY tick") == [("begun",), ("skipped",)]

    on_site(embedded_settings, scenario, **hourly(tmp_path))


def test_the_loop_runs_what_is_due_and_stops_in_good_order(embedded_settings: ExporterSettings, tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        # A clock that stands half a second before the hour when the loop begins.
        ahead = now_ms() - (MIDNIGHT + HOUR_MS - 500)
        stop = asyncio.Event()
        await site.cdp.faults({"times": 1}, {"status": 503})
        loop = asyncio.create_task(schedule(site.settings, site.store, stop, lambda: now_ms() - ahead))
        async with asyncio.timeout(20):
            while not (runs := await list_runs(site.store, 10)) or not runs[0]["accepted"]:
                await pause(None, 0.02)
        # It waits between two tries of the second batch.
        stop.set()
        async with asyncio.timeout(20):
            await loop
        (run,) = await list_runs(site.store, 10)
        assert (run["state"], run["origin"], run["accepted"]) == ("aborted", "Trackway", 1)
        # The next process goes on with it at once.
        await site.cdp.faults()
        scheduler = Scheduler(site.settings, site.store, lambda: now_ms() - ahead)
        ((workflow, plan),) = await scheduler.unfinished(stopped_too=True)
        await scheduler.run(workflow, plan, asyncio.Event())
        (run, _) = await list_runs(site.store, 10)
        assert (run["state"], run["read"], run["accepted"]) == ("succeeded", 1, 1)
        assert [row["id"] for row in await site.rows()] == [1, 2]

    on_site(embedded_settings, scenario, **hourly(tmp_path, 2, batch_rows=1))


@pytest.mark.parametrize(
    ("zone", "first", "local"),
    [
        ("UTC", "2026-01-01T05:00:00.000Z", "2026-01-01 05:00 UTC"),
        ("Europe/Oslo", "2026-01-01T04:00:00.000Z", "2026-01-01 05:00 Europe/Oslo"),
    ],
)
def test_the_next_ticks_of_every_workflow(zone: str, first: str, local: str) -> None:
    common = {"kind": "user", "from": "profiles", "stream_id": "s"}
    settings = ExporterSettings.model_validate(
        {
            "cdp": {"default": {"account_number": "1"}},
            "workflows": {"people": {**common, "every": "0 5 * * *", "mode": "live"}, "once": common},
            "timezone": zone,
        }
    )
    people, once = next_ticks(settings, parse_ms("2026-01-01T00:00:00Z"))
    assert (people["workflow"], people["in_words"], people["mode"]) == ("people", "daily at 05:00", "live")
    assert (people["next"][0], len(people["next"]), people["local"]) == (first, 3, local)
    assert (once["in_words"], once["next"], once["local"]) == ("by hand", [], None)
    assert find_workflow(settings, "once").account.account_number == "1"
