"""What the exporter tells of its exports: which fails, since when, and that the service is ready all the same."""

from __future__ import annotations

import asyncio

from eventlog.timestamps import now_ms
from exporter.failing import failing_workflows
from exporter.schedule import schedule
from exporter.settings import ExporterSettings
from exporter.state import ExporterState
from tests.exports.exporting import Site, on_site


def test_an_export_fails_from_its_first_failure_until_it_succeeds(settings_of_store: ExporterSettings) -> None:
    async def fail_and_recover(site: Site) -> None:
        async def failing(now: int) -> float:
            found = await failing_workflows(site.store, ["it", "never-run"], now)
            assert found["never-run"] == (0.0, 0)
            return found["it"].seconds

        await site.user("u1")
        assert (await site.export())["state"] == "succeeded"
        assert await failing(now_ms()) == 0
        await site.cdp.faults({"status": 403})
        for _ in range(2):
            await site.user("u2")
            assert (await site.export(full=True))["state"] == "failed"
        ((first,),) = await site.query("SELECT MIN(ended_at) FROM export_run WHERE state = 'failed'")
        assert await failing(int(first) + 5000) == 5.0
        state = ExporterState(site.settings, site.store)
        checks = {check.name: check for check in await state.checks()}
        assert checks["store"].why is None
        assert (checks["exports"].why or "").startswith("it has failed for")
        assert not checks["exports"].decides
        await site.cdp.faults()
        assert (await site.export(full=True))["state"] == "succeeded"
        assert await failing(now_ms()) == 0
        assert all(check.why is None for check in await state.checks())

    on_site(settings_of_store, fail_and_recover, kind="user", **{"from": "profiles"}, mode="live")


def test_what_scheduled_runs_did_is_counted(embedded_settings: ExporterSettings) -> None:
    async def run(site: Site) -> None:
        state, stop = ExporterState(site.settings, site.store), asyncio.Event()
        await site.user("u1")
        running = asyncio.create_task(schedule(site.settings, site.store, stop, ended=state.ended))
        async with asyncio.timeout(60):
            while not (await state.numbers()).of("trackway_export_rows_total", "it", "accepted"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        stop.set()
        await running
        numbers = await state.numbers()
        assert numbers.of("trackway_export_rows_total", "it", "accepted") == 1
        assert (numbers.of("trackway_export_runs_total", "it", "succeeded") or 0) >= 1
        assert (numbers.of("trackway_export_last_success_seconds", "it") or 0) > 1_700_000_000

    on_site(embedded_settings, run, kind="user", **{"from": "profiles"}, mode="live", every="1s")
