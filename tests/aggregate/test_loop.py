"""The loop from a real log to a real store, its outbox back into the log, and the accounts between the two."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from eventlog.log import Outgoing, Producer
from eventlog.opening import open_consumer, open_producer
from eventlog.timestamps import MINUTE_MS, now_ms
from eventlog.topics import EVENTS, PROFILES, REJECTED, SESSIONS
from exporter.accounts import take_accounts
from exporter.aggregate import Progress, aggregate
from exporter.aside import all_aside
from exporter.lookup import Lookup
from exporter.outbox import send_outbox
from exporter.poison import stopped_text
from exporter.rebuild import HistoryShort, compare, rebuild
from exporter.settings import ExporterSettings
from exporter.store import Store, open_store
from tests.console.seeds import event, outcome, outgoing


@contextlib.asynccontextmanager
async def opened(settings: ExporterSettings) -> AsyncIterator[tuple[Store, Producer]]:
    store, producer = await open_store(settings), open_producer(settings)
    await store.migrate()
    await producer.start()
    try:
        yield store, producer
    finally:
        await producer.stop()
        await store.close()


@contextlib.asynccontextmanager
async def folding(settings: ExporterSettings, store: Store) -> AsyncIterator[Progress]:
    """An aggregator at work; its failure is the test's."""
    stop, progress = asyncio.Event(), Progress()
    task = asyncio.create_task(aggregate(settings, store, stop, progress))
    try:
        yield progress
    finally:
        stop.set()
        await task


async def until_folded(store: Store, records: int) -> None:
    """Until the store has reached the log's end and made every profile."""
    async with asyncio.timeout(60):
        while True:
            async with store.read() as connection:
                counted = await connection.scalar(text("SELECT COALESCE(SUM(n), 0) FROM counts"))
                waiting = await connection.scalar(text("SELECT COUNT(*) FROM dirty"))
            if counted >= records and not waiting:
                return
            await asyncio.sleep(0.05)


async def until(true: Callable[[], bool]) -> None:
    """Until it is so."""
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.05)


def a_morning(at: int) -> list[dict[str, Any]]:
    """Forty visitors, one of them known; a twin, and one of each outcome."""
    bodies = [event(at + n, anonymous_id=f"visitor-{n % 40}") for n in range(200)]
    bodies.append(event(at + 300, name="identify", kind="identify", anonymous_id="visitor-7", user_id="4711"))
    bodies.append(bodies[0])
    bodies += [outcome(at + n, status, "bot") for n, status in enumerate(("rejected", "filtered", "duplicate"))]
    return bodies


def test_what_is_in_the_log_is_in_the_store_and_the_accounts_agree(settings: ExporterSettings) -> None:
    async def scenario() -> None:
        async with opened(settings) as (store, producer):
            at = now_ms()
            bodies = a_morning(at)
            await producer.append([outgoing(settings, body) for body in bodies])
            async with folding(settings, store) as progress:
                await until_folded(store, len(bodies))
                assert progress.waits is None
                assert not progress.stopped
            assert progress.counts == Counter(accepted=201, twin=1, rejected=1, filtered=1, duplicate=1)
            start = at // MINUTE_MS * MINUTE_MS
            accounts = await take_accounts(settings, store, start, now_ms() + MINUTE_MS)
            assert accounts.holds
            assert (sum(accounts.log.values()), accounts.behind) == (len(bodies), 0)
            # What comes after the aggregator stopped is on neither side.
            await producer.append([outgoing(settings, event(at))])
            accounts = await take_accounts(settings, store, start, now_ms() + MINUTE_MS)
            assert (accounts.holds, accounts.behind) == (True, 1)
            async with store.write() as connection:
                await connection.execute(text("UPDATE counts SET n = n - 1 WHERE status = 'rejected'"))
            accounts = await take_accounts(settings, store, start, now_ms() + MINUTE_MS)
            assert [(key[2], accounts.log[key], accounts.store[key]) for key in accounts.differences] == [
                ("rejected", 1, 0)
            ]

    asyncio.run(scenario())


def test_an_aggregator_goes_on_where_the_last_one_ended(settings: ExporterSettings) -> None:
    async def scenario() -> None:
        async with opened(settings) as (store, producer):
            at = now_ms()
            total = 0
            for round_ in range(3):
                bodies = [event(at + n, anonymous_id=f"visitor-{n % 5}") for n in range(30)]
                await producer.append([outgoing(settings, body) for body in bodies])
                total += len(bodies)
                async with folding(settings, store) as progress:
                    await until_folded(store, total)
                assert progress.counts == Counter(accepted=30), f"round {round_}"
            profiles = await Lookup(store, settings).recent_profiles(100)
            assert sum(one["counts"]["events"] for one in profiles) == total

    asyncio.run(scenario())


def test_profiles_and_sessions_reach_their_topics_numbered_in_order(settings: ExporterSettings) -> None:
    async def scenario() -> None:
        async with opened(settings) as (store, producer):
            at = now_ms()
            bodies = [event(at + n, anonymous_id=f"visitor-{n % 5}") for n in range(20)]
            await producer.append([outgoing(settings, body) for body in bodies])
            stop = asyncio.Event()
            sending = asyncio.create_task(send_outbox(store, producer, stop))
            async with folding(settings, store):
                await until_folded(store, len(bodies))
            topics = [topic.full_name(settings.topic_prefix) for topic in (PROFILES, SESSIONS)]
            consumer = open_consumer(settings, topics)
            await consumer.start()
            last: dict[tuple[str, str], dict[str, Any]] = {}
            numbers: list[int] = []
            profiles = {one["id"]: one for one in await Lookup(store, settings).recent_profiles(10)}
            async with asyncio.timeout(60):
                while {value["id"]: value for (topic, _), value in last.items() if topic == topics[0]} != profiles:
                    for record in await consumer.poll(100, 0.5):
                        value = orjson.loads(record.value or b"null")
                        numbers.append(int(dict(record.headers)["tw_seq"]))
                        last[record.partition.topic, value["id"]] = value
            await consumer.stop()
            stop.set()
            await sending
            assert len(profiles) == 5
            assert len(set(numbers)) == len(numbers)
            sessions = {value["profile_id"] for (topic, _), value in last.items() if topic == topics[1]}
            assert sessions == profiles.keys()

    asyncio.run(scenario())


def test_a_record_that_is_no_event_ends_on_the_rejected_topic_and_the_accounts_agree(
    settings: ExporterSettings,
) -> None:
    async def scenario() -> None:
        async with opened(settings) as (store, producer):
            at = now_ms()
            headers = (("ce_source", b"shop"), ("ce_id", b"odd"))
            odd = Outgoing(EVENTS.full_name(settings.topic_prefix), b"0123456789abcdef", b"no json", headers, at)
            await producer.append([outgoing(settings, event(at)), odd])
            stop = asyncio.Event()
            sending = asyncio.create_task(send_outbox(store, producer, stop))
            async with folding(settings, store) as progress:
                # The poison record comes back as an outcome, which is counted too.
                await until_folded(store, 3)
            stop.set()
            await sending
            assert progress.counts == Counter(accepted=1, poison=2)
            rejected = REJECTED.full_name(settings.topic_prefix)
            told = await Lookup(store, settings).where("odd")
            assert [(one["status"], one["reason"], one["topic"] == rejected) for one in told] == [
                ("poison", "not_json", False), ("poison", "not_json", True)
            ]  # fmt: skip
            start = at // MINUTE_MS * MINUTE_MS
            assert (await take_accounts(settings, store, start, now_ms() + MINUTE_MS)).holds

    asyncio.run(scenario())


def test_a_partition_whose_log_is_another_one_is_stopped_and_goes_on_after_a_rebuild(
    settings: ExporterSettings,
) -> None:
    async def scenario() -> None:
        async with opened(settings) as (store, producer):
            at = now_ms()
            bodies = [event(at + n, anonymous_id=f"visitor-{n}") for n in range(40)]
            await producer.append([outgoing(settings, body) for body in bodies])
            async with folding(settings, store):
                await until_folded(store, len(bodies))
            async with store.write() as connection:
                moved = "UPDATE position SET next = 1000000 WHERE partition = 3"
                lost = (await connection.execute(text(moved))).rowcount
            assert lost == 1
            more = [event(at + 100 + n, anonymous_id=f"visitor-{n}") for n in range(40)]
            await producer.append([outgoing(settings, body) for body in more])
            async with folding(settings, store) as progress:
                await until(lambda: sum(progress.counts.values()) >= 30 and bool(progress.stopped))
                (partition,) = progress.stopped
                assert partition.number == 3
                assert "up to offset 1000000" in str(stopped_text(progress.stopped))
                assert "rebuild --drop-history" in str(stopped_text(progress.stopped))
                others = progress.counts["accepted"]
                assert others < len(more)
                aside = await all_aside(store)
                assert list(aside.partitions) == [f"{partition.topic}/3"]
                with pytest.raises(HistoryShort, match="no longer holds"):
                    await rebuild(settings, store, lambda *_: None, drop_history=False)
                # It is made anew beside a running aggregator, which then goes on with the partition by itself.
                await rebuild(settings, store, lambda *_: None, drop_history=True)
                await until(lambda: progress.waits is None and not progress.stopped)
                await producer.append([outgoing(settings, event(at, anonymous_id=f"visitor-{n}")) for n in range(40)])
                await until_folded(store, 120)
            assert (await all_aside(store)).partitions == {}
            assert (await compare(settings, store, lambda *_: None)).differences == []
            profiles = await Lookup(store, settings).recent_profiles(100)
            assert [one["counts"]["events"] for one in profiles] == [3] * 40
            assert (await take_accounts(settings, store, 0, now_ms() + MINUTE_MS)).holds

    asyncio.run(scenario())


def test_a_rebuild_beside_traffic_loses_nothing_and_counts_nothing_twice(settings: ExporterSettings) -> None:
    async def scenario() -> None:
        async with opened(settings) as (store, producer):
            at, total = now_ms(), 0
            done = asyncio.Event()

            async def post() -> None:
                nonlocal total
                while not done.is_set():
                    bodies = [event(at + n, anonymous_id=f"visitor-{(total + n) % 60}") for n in range(30)]
                    await producer.append([outgoing(settings, body) for body in bodies])
                    total += len(bodies)
                    await asyncio.sleep(0.05)

            posting = asyncio.create_task(post())
            async with asyncio.timeout(90), folding(settings, store) as progress:
                await until(lambda: progress.counts["accepted"] > 300)
                async with store.write() as connection:
                    await connection.execute(text("UPDATE counts SET n = n + 1"))
                assert {one.table for one in (await compare(settings, store, lambda *_: None)).differences} == {
                    "counts"
                }
                await rebuild(settings, store, lambda *_: None, drop_history=False)
                assert (await compare(settings, store, lambda *_: None)).differences == []
                done.set()
                await posting
                await until_folded(store, total)
                assert progress.waits is None
                assert not progress.stopped
            profiles = await Lookup(store, settings).recent_profiles(100)
            assert sum(one["counts"]["events"] for one in profiles) == total
            assert (await take_accounts(settings, store, 0, now_ms() + MINUTE_MS)).holds

    asyncio.run(scenario())
