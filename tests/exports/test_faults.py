"""A CDP that misbehaves: what is sent again, what is refused, what stops a run, and what the ledger says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exporter.settings import ExporterSettings
from tests.exports.exporting import Site, balanced, ndjson, on_site

EIGHTY = [{"id": number, "name": f"name {number}"} for number in range(80)]


def exporting(folder: Path, items: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    return {"kind": "content", "from": ndjson(folder, *(items or EIGHTY)), **more}


def test_a_busy_cdp_is_asked_again_when_it_says(embedded_settings: ExporterSettings, tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        await site.cdp.faults({"status": 503, "retry_after": 1, "times": 1}, {"status": 429, "times": 1})
        run = await site.export()
        assert (run["state"], run["accepted"], run["requests"], run["retries"]) == ("succeeded", 80, 3, 2)
        # The first wait is as long as was asked, although ours would be a hundredth of that.
        assert 1.0 <= run["waited"] < 1.2
        assert len(await site.rows()) == 80

    on_site(embedded_settings, scenario, **exporting(tmp_path))


def test_a_row_the_cdp_refuses_is_found_and_set_aside(settings_of_store: ExporterSettings, tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        await site.cdp.faults({"status": 400, "refuse": "name 17"})
        run = await site.export()
        assert (run["state"], run["accepted"], run["refused"]) == ("partial", 79, 1)
        assert balanced(run)
        assert run["outcome"] == "partial: 79 of 80 rows accepted, 1 refused by the CDP; safe to run again"
        # Halving finds one row of 80 in at most 2 * log2(80) + 1 requests.
        assert run["requests"] <= 15
        shown = await site.shown(run)
        (refused,) = shown["refused_rows"]
        assert (refused["key"], refused["stage"], refused["code"]) == ("17", "CDP", "status_400")
        assert "name 17" not in refused["reason"]
        assert "…" in refused["reason"]
        # It is not taken for sent: once the CDP has it, it goes out.
        await site.cdp.faults()
        again = await site.export(full=False)
        assert (again["accepted"], again["unchanged"]) == (1, 79)

    on_site(settings_of_store, scenario, **exporting(tmp_path))


def test_too_large_a_request_is_made_smaller_for_the_rest_of_the_run(
    embedded_settings: ExporterSettings, tmp_path: Path
) -> None:
    async def scenario(site: Site) -> None:
        await site.cdp.faults({"status": 413, "max_rows": 12})
        run = await site.export()
        assert (run["state"], run["accepted"], run["refused"]) == ("succeeded", 80, 0)
        (stream,) = await site.cdp.streams()
        assert (stream["rows"], stream["requests"]) == (80, 8)
        # 80, 40, 20 were too many, then tens: nothing too large is tried again.
        assert run["requests"] == 3 + 8

    on_site(embedded_settings, scenario, **exporting(tmp_path))


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_account_or_stream_stops_the_workflow(
    embedded_settings: ExporterSettings, tmp_path: Path, status: int
) -> None:
    async def scenario(site: Site) -> None:
        await site.cdp.faults({"status": status})
        run = await site.export(batch_rows=20)
        assert (run["state"], run["origin"], run["requests"], run["sent"]) == ("failed", "CDP", 1, 0)
        assert f"status {status}" in run["error"]
        assert "`stream_id`" in run["error"]
        assert "00000000-0000" not in str(await site.shown(run))

    on_site(embedded_settings, scenario, **exporting(tmp_path))


def test_a_cdp_that_stays_away_fails_the_run_which_goes_on_where_it_ended(
    settings_of_store: ExporterSettings, tmp_path: Path
) -> None:
    async def scenario(site: Site) -> None:
        await site.cdp.faults({"times": 2}, {"status": 503})
        run = await site.export()
        assert (run["state"], run["origin"], run["accepted"], run["unknown"]) == ("failed", "CDP", 40, 0)
        assert "in 4 tries, the last: status 503" in run["error"]
        await site.cdp.faults()
        rest = await site.export()
        # The pass goes on behind the last batch that was accepted, as the full one it was.
        assert (rest["state"], rest["scope"], rest["read"], rest["accepted"]) == ("succeeded", "full", 40, 40)
        assert sorted(row["id"] for row in await site.rows()) == list(range(80))

    on_site(settings_of_store, scenario, **exporting(tmp_path, batch_rows=20))


def test_nobody_there_is_a_failure_of_the_network(embedded_settings: ExporterSettings, tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        account = site.settings.cdp["default"].model_copy(update={"endpoint": "http://127.0.0.1:9"})
        site.settings = site.settings.model_copy(update={"cdp": {"default": account}})
        run = await site.export()
        assert (run["state"], run["origin"], run["unknown"]) == ("failed", "network", 0)

    on_site(embedded_settings, scenario, **exporting(tmp_path))


def test_an_answer_that_is_lost_leaves_no_gap_in_an_upserted_stream(
    embedded_settings: ExporterSettings, tmp_path: Path
) -> None:
    async def scenario(site: Site) -> None:
        await site.cdp.faults({"drop": True, "keep": True, "times": 1})
        run = await site.export()
        assert (run["state"], run["accepted"], run["retries"], run["unknown"]) == ("succeeded", 80, 1, 0)
        assert len(await site.rows()) == 160

    on_site(embedded_settings, scenario, **exporting(tmp_path))


def test_more_wrong_rows_than_allowed_fail_the_run_early_and_keep_the_checkpoint(
    settings_of_store: ExporterSettings, tmp_path: Path
) -> None:
    items = [{"id": number, "kind": "bad" if 100 <= number < 110 else "good"} for number in range(200)]

    async def scenario(site: Site) -> None:
        await site.cdp.faults({"status": 422, "refuse": "bad"})
        run = await site.export()
        assert (run["state"], run["origin"]) == ("failed", "CDP")
        assert "more than 5%" in run["error"]
        # Four good batches, then one of which 10 rows of 25 are bad; the rest is not tried.
        assert (run["accepted"], run["refused"]) == (115, 10)
        await site.cdp.faults()
        again = await site.export()
        assert (again["state"], again["read"], again["accepted"]) == ("succeeded", 100, 100)
        assert {row["id"] for row in await site.rows()} == set(range(200))

    on_site(settings_of_store, scenario, **exporting(tmp_path, items, batch_rows=25))
