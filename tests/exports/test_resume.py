"""A process that dies in the middle of a run: the next run goes on, and knows what it does not know."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from pathlib import Path
from typing import Any

import orjson
import pytest

from exporter.lease import pause
from exporter.ledger import list_runs
from exporter.run import Busy
from exporter.schedule import Scheduler
from exporter.settings import ExporterSettings
from tests.exports.exporting import GRANTED, Site, ndjson, on_site
from tests.exports.run_it import run_it
from tests.rules.events import event

TICK = 1_700_000_000_000
# Processes that come from one which has imported everything already: that takes longer than the tests.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.exports.run_it"])


async def killed_while_sending(site: Site, **workflow: Any) -> None:
    """Run the workflow in a process of its own and kill it while the CDP, which has the rows, does not answer."""
    settings = site.settings_with(**workflow)
    file = site.settings.data / "settings.json"
    revealed = settings.model_dump(mode="json", by_alias=True)
    revealed["workflows"]["it"]["stream_id"] = settings.workflows["it"].stream_id.get_secret_value()
    revealed["secret"] = settings.secret.get_secret_value()
    file.write_bytes(orjson.dumps(revealed))
    await site.cdp.faults({"times": 1}, {"delay": 60, "keep": True})
    process = PROCESSES.Process(target=run_it, args=(file,))
    process.start()
    async with asyncio.timeout(60):
        while sum(one["requests"] for one in await site.cdp.streams()) < 2:
            await pause(None, 0.02)
    process.kill()
    process.join(20)
    assert process.exitcode == -signal.SIGKILL
    await site.cdp.faults()


async def time_passes(site: Site) -> None:
    """The dead process's leases run out."""
    await site.query("UPDATE lease SET until = 1000")


def test_the_next_run_goes_on_behind_the_last_batch_that_was_accepted(
    settings_of_store: ExporterSettings, tmp_path: Path
) -> None:
    async def scenario(site: Site) -> None:
        await killed_while_sending(site)
        (dead,) = await list_runs(site.store, 10)
        assert (dead["state"], dead["accepted"]) == ("running", 20)
        scheduler = Scheduler(site.settings, site.store, lambda: TICK + 1000)
        # As if its schedule had started it; for as long as its lease holds nobody knows that it is dead.
        await site.query(f"UPDATE export_run SET tick = {TICK}")
        assert await scheduler.unfinished(stopped_too=True) == []
        with pytest.raises(Busy, match="running already"):
            await site.export()
        await time_passes(site)
        (stalled,) = await list_runs(site.store, 10)
        assert "its process has gone" in stalled["outcome"]
        ((workflow, plan),) = await scheduler.unfinished(stopped_too=False)
        assert (workflow.name, plan.mode, plan.tick) == ("it", "live", TICK)
        await scheduler.run(workflow, plan, asyncio.Event())
        run, buried = await list_runs(site.store, 10)
        assert (run["state"], run["scope"], run["read"], run["accepted"]) == ("succeeded", "full", 40, 40)
        assert (buried["state"], buried["sent"], buried["accepted"], buried["unknown"]) == ("aborted", 40, 20, 20)
        ids = [row["id"] for row in await site.rows()]
        # The batch in doubt is there twice, which an upserted stream does not mind; no row is missing.
        assert sorted(set(ids)) == list(range(60))
        assert len(ids) == 80
        assert await scheduler.unfinished(stopped_too=True) == []

    items = [{"id": number} for number in range(60)]
    given = {"kind": "content", "batch_rows": 20, "every": "@hourly", "mode": "live", "from": ndjson(tmp_path, *items)}
    on_site(settings_of_store, scenario, **given)


@pytest.mark.parametrize(("policy", "arrived"), [("duplicate", 4 + 2), ("lose", 4)])
def test_interactions_in_doubt_are_sent_again_or_let_be(
    embedded_settings: ExporterSettings, policy: str, arrived: int
) -> None:
    async def scenario(site: Site) -> None:
        events = [event(number, "visit", anon="a", consent=GRANTED) for number in range(4)]
        await site.happen(*events)
        await killed_while_sending(site, unknown_outcome=policy)
        await time_passes(site)
        run = await site.export(unknown_outcome=policy)
        assert run["state"] == "succeeded"
        assert len(await site.rows()) == arrived
        assert {row["event_id"] for row in await site.rows()} == {one["id"] for one in events}

    on_site(embedded_settings, scenario, kind="interaction", batch_rows=2, **{"from": "events"})
