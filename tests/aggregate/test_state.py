"""What an aggregator tells of itself: how far it is behind a real log, what waits in a real store, and whether it is
ready."""

from __future__ import annotations

import asyncio

from eventlog.opening import open_consumer
from eventlog.timestamps import now_ms
from eventlog.topics import EVENTS, REJECTED
from exporter.aggregate import Progress
from exporter.settings import ExporterSettings
from exporter.state import AggregatorState
from tests.aggregate.test_loop import folding, opened, until_folded
from tests.appending import append_all
from tests.console.seeds import event, outgoing


def checks_of(state: AggregatorState) -> dict[str, str | None]:
    return {check.name: check.why for check in state.checks()}


def test_the_lag_is_told_and_decides_and_what_waits_in_the_store_is_known(settings: ExporterSettings) -> None:
    async def work() -> None:
        async with opened(settings) as (store, producer):
            old = now_ms() - 400_000
            records = [outgoing(settings, event(old + number)) for number in range(20)]
            positions = await append_all(producer, records)
            topics = [topic.full_name(settings.topic_prefix) for topic in (EVENTS, REJECTED)]
            # One that has read the first record of each partition, and stands still since.
            progress = Progress(waits=None, consumer=open_consumer(settings, topics))
            assert progress.consumer is not None
            await progress.consumer.start()
            for at in positions:
                progress.next[at.partition] = 1
                progress.newest[at.partition] = old
            state = AggregatorState(settings, store, progress)
            await state.look()
            await progress.consumer.stop()
            waiting = len(positions) - len({at.partition for at in positions})
            assert state.numbers().of("trackway_lag_records", "events") == waiting
            assert 400 <= (state.numbers().of("trackway_lag_seconds", "events") or 0) < 4000
            assert state.numbers().of("trackway_lag_records", "rejected") == 0
            assert f"{waiting} records wait" in (checks_of(state)["lag"] or "")
            patient = settings.aggregate.model_copy(update={"lag_seconds": 0, "lag_records": waiting})
            state._settings = settings.model_copy(update={"aggregate": patient})
            assert checks_of(state)["lag"] is None
            patient.lag_records -= 1
            assert "records wait" in (checks_of(state)["lag"] or "")

            # Folded, nothing waits in the log; profiles and sessions wait to be sent.
            async with folding(settings, store) as progress:
                await until_folded(store, len(records))
                state = AggregatorState(settings, store, progress)
                await state.look()
                numbers = state.numbers()
            assert numbers.of("trackway_lag_records", "events") == 0
            assert numbers.of("trackway_records_total", "accepted") == len(records)
            assert (numbers.of("trackway_outbox_records") or 0) >= 2
            assert (numbers.of("trackway_outbox_oldest_seconds") or 0) > 0
            assert (numbers.of("trackway_profiles_made_total") or 0) >= 1
            assert (numbers.of("trackway_batch_seconds") or 0) >= 1
            assert checks_of(state) == dict.fromkeys(("stopping", "store", "log", "partitions", "lag"))
            await store.close()
            async with asyncio.timeout(60):
                stop = asyncio.Event()
                stop.set()
                await state.watch(stop)
            assert checks_of(state)["stopping"] == "stopping"

    asyncio.run(work())
