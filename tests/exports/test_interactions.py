"""Interactions: from the log to rows, each event once, as far as its person allows."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pytest

from exporter.lease import pause
from exporter.ledger import list_runs
from exporter.lookup import Lookup
from exporter.settings import ExporterSettings
from exporter.sources.events import EventLog
from tests.exports.exporting import DENIED, GRANTED, Site, balanced, on_site
from tests.rules.events import buy, event

INTERACTIONS: Final[dict[str, Any]] = {"kind": "interaction", "from": "events"}


def test_events_are_forwarded_once_in_the_order_of_the_log(settings_of_store: ExporterSettings) -> None:
    async def scenario(site: Site) -> None:
        first = event(0, "visit", anon="a", url="https://shop.example/1", consent=GRANTED, items=[{"product_id": "P"}])
        order = buy(60_000, "O-1", ("P", "10.00"), ("Q", "5.50"), anon="a", user="u1", consent=GRANTED)
        await site.happen(first, event(1000, "identify", user="u1", anon="a", consent=GRANTED), order)
        run = await site.export()
        assert (run["state"], run["read"], run["accepted"]) == ("succeeded", 3, 3)
        visit, line1, line2 = await site.rows()
        assert visit == {
            "event_id": first["id"], "event_type": "visit", "source": "shop", "channel": "web",
            "occurred_at": "2026-11-24T10:00:00.000Z", "coid": "a", "product_id": "P", "url": "https://shop.example/1",
        }  # fmt: skip
        assert [(one["line"], one["product_id"], one["price"], one["order_id"]) for one in (line1, line2)] == [
            (1, "P", "10.00", "O-1"),
            (2, "Q", "5.50", "O-1"),
        ]
        assert line1["event_id"] == line2["event_id"] == order["id"]
        # The next pass begins behind what was read; twins in the log are one row.
        await site.happen(event(120_000, "visit", anon="a", consent=GRANTED), first)
        second = await site.export()
        assert (second["read"], second["accepted"], second["unchanged"]) == (2, 1, 1)
        assert len(await site.rows()) == 4
        assert (await site.export())["read"] == 0
        again = await site.export(full=True)
        assert (again["read"], again["sent"], again["unchanged"]) == (5, 0, 5)

    on_site(settings_of_store, scenario, **INTERACTIONS)


def test_the_events_statement_and_the_persons_record_of_today_must_both_allow_it(
    settings_of_store: ExporterSettings,
) -> None:
    async def scenario(site: Site) -> None:
        await site.happen(
            event(0, "visit", anon="yes", consent=GRANTED),
            event(0, "visit", anon="no", consent=DENIED),
            event(0, "visit", anon="silent", consent={"analytics": True}),
            event(0, "visit", anon="left", consent=GRANTED),
            event(1000, "consent", anon="left", consent=DENIED),
        )
        run = await site.export()
        assert [row["coid"] for row in await site.rows()] == ["yes"]
        assert (run["read"], run["suppressed"]) == (4, 3)
        assert balanced(run)

    on_site(settings_of_store, scenario, **INTERACTIONS)


def test_implied_consent_heeds_the_browsers_signal(embedded_settings: ExporterSettings) -> None:
    async def scenario(site: Site) -> None:
        await site.happen(
            event(0, "visit", anon="silent", consent={"analytics": True}),
            event(0, "visit", anon="signal", consent={"analytics": True, "gpc": True}),
            event(0, "visit", anon="nothing"),
        )
        await site.export()
        assert sorted(row["coid"] for row in await site.rows()) == ["nothing", "silent"]

    on_site(embedded_settings, scenario, **INTERACTIONS, consent="implied")


def test_only_the_wanted_names_and_no_bots(embedded_settings: ExporterSettings) -> None:
    async def scenario(site: Site) -> None:
        await site.happen(
            event(0, "visit", anon="a", consent=GRANTED),
            event(0, "search", anon="a", consent=GRANTED),
            event(0, "visit", anon="b", consent=GRANTED, bot="crawler"),
        )
        run = await site.export()
        assert [row["event_type"] for row in await site.rows()] == ["visit"]
        assert run["read"] == 1
        # What gave no row is not read again either.
        assert (await site.export())["read"] == 0

    source = {"kind": "events", "names": ["visit"]}
    on_site(embedded_settings, scenario, kind="interaction", **{"from": source})


def test_an_export_waits_for_the_aggregator(embedded_settings: ExporterSettings) -> None:
    async def scenario(site: Site) -> None:
        await site.append(event(0, "visit", anon="a", consent=GRANTED))
        exporting = asyncio.create_task(site.export())
        await asyncio.sleep(0.1)
        assert not exporting.done()
        await site.happen()
        assert (await exporting)["accepted"] == 1

    on_site(embedded_settings, scenario, **INTERACTIONS)


@pytest.mark.parametrize("patience", [0.0, 3600.0])
def test_what_the_aggregator_has_not_read_in_the_end_or_at_a_stop_is_left_for_the_next_pass(
    patience: float, embedded_settings: ExporterSettings
) -> None:
    async def scenario(site: Site) -> None:
        stop = asyncio.Event()
        stop.set()
        await site.happen(event(0, "visit", anon="a", consent=GRANTED))
        await site.append(event(9, "visit", anon="a", consent=GRANTED))
        lookup, workflow = Lookup(site.store, site.settings), site.settings.workflows["it"]
        source = EventLog(site.settings, lookup, workflow, patience, stop if patience else None)
        assert [item.values["event_type"] async for item in source.iterate(None, None)] == ["visit"]
        behind = source.reached
        await site.happen()
        again = EventLog(site.settings, lookup, workflow, patience=0.0)
        (item,) = [item async for item in again.iterate(None, behind)]
        assert item.values["occurred_at"] == "2026-11-24T10:00:00.009Z"

    on_site(embedded_settings, scenario, **INTERACTIONS)


def test_rows_whose_fate_is_unknown_are_sent_again_or_let_be(embedded_settings: ExporterSettings) -> None:
    async def scenario(site: Site) -> None:
        events = [event(number, "visit", anon="a", consent=GRANTED) for number in range(6)]
        await site.happen(*events[:3])
        await site.cdp.faults({"drop": True, "keep": True, "times": 1})
        run = await site.export(unknown_outcome="lose")
        assert (run["state"], run["accepted"], run["unknown"], run["requests"]) == ("partial", 0, 3, 1)
        assert "3 of unknown outcome" in run["outcome"]
        assert (await site.export())["read"] == 0
        await site.happen(*events[3:])
        await site.cdp.faults({"drop": True, "keep": True, "times": 1})
        run = await site.export(unknown_outcome="duplicate")
        assert (run["state"], run["accepted"], run["retries"]) == ("succeeded", 3, 1)
        arrived = [row["event_id"] for row in await site.rows()]
        assert arrived == [one["id"] for one in (*events, *events[3:])]

    on_site(embedded_settings, scenario, **INTERACTIONS)


@pytest.mark.parametrize(("policy", "sent_again"), [("duplicate", 2), ("lose", 0)])
def test_what_was_on_its_way_when_a_run_is_interrupted_is_of_unknown_outcome(
    embedded_settings: ExporterSettings, policy: str, sent_again: int
) -> None:
    async def scenario(site: Site) -> None:
        await site.happen(*(event(number, "visit", anon="a", consent=GRANTED) for number in range(2)))
        await site.cdp.faults({"delay": 60, "keep": True})
        running = asyncio.create_task(site.export(unknown_outcome=policy))
        async with asyncio.timeout(20):
            while not await site.rows():
                await pause(None, 0.02)
        running.cancel()
        await asyncio.wait({running})
        (run,) = await list_runs(site.store, 10)
        assert (run["state"], run["error"], run["unknown"]) == ("aborted", "it was interrupted", 2)
        await site.cdp.faults()
        assert (await site.export(unknown_outcome=policy))["accepted"] == sent_again
        assert len(await site.rows()) == 2 + sent_again

    on_site(embedded_settings, scenario, **INTERACTIONS)
