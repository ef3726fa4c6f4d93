"""Interactions from a Kafka log that a real aggregator folds."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson

from eventlog.event import Event
from eventlog.log import Outgoing
from eventlog.opening import open_producer
from eventlog.provision import provision
from eventlog.timestamps import parse_ms
from eventlog.topics import EVENTS
from exporter.aggregate import aggregate
from exporter.run import run_now
from exporter.settings import ExporterSettings
from exporter.store import open_store
from tests.exports.exporting import GRANTED, STREAM, with_workflow
from tests.exports.receiving import received
from tests.rules.events import event
from tests.services import Kafka


def test_events_of_every_partition_are_forwarded_once(
    embedded_settings: ExporterSettings, kafka: Kafka, tmp_path: Path
) -> None:
    on_kafka = {"log": kafka.url, "topic_prefix": f"{tmp_path.name}.", "append_deadline": 20}
    plain = embedded_settings.model_copy(update=on_kafka)

    def outgoing(one: Event) -> Outgoing:
        topic = EVENTS.full_name(plain.topic_prefix)
        return Outgoing(topic, one["anonymous_id"].encode(), orjson.dumps(one), (), parse_ms(one["received_at"]))

    async def main() -> None:
        await provision(plain, apply=True)
        events = [event(number, "visit", anon=f"a{number}", consent=GRANTED) for number in range(40)]
        producer = open_producer(plain)
        await producer.start()
        store = await open_store(plain)
        await store.migrate()
        stop = asyncio.Event()
        aggregating = asyncio.create_task(aggregate(plain, store, stop))
        settings = with_workflow(plain, kind="interaction", **{"from": "events"})
        async with received(settings.cdp["default"].endpoint) as cdp:
            for some in (events[:30], events[30:]):
                await producer.append([outgoing(one) for one in some])
                run = await run_now(settings, store, "it", "live")
                assert (run["state"], run["read"], run["accepted"]) == ("succeeded", len(some), len(some))
            assert {row["event_id"] for row in await cdp.rows(STREAM)} == {one["id"] for one in events}
        stop.set()
        await aggregating
        await store.close()
        await producer.stop()

    asyncio.run(main())
