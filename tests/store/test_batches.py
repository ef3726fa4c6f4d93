"""What the transaction of a batch promises, on both stores: all or nothing, one owner, each identity once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from eventlog.log import Partition
from eventlog.outcome import OUTCOME
from eventlog.timestamps import DAY_MS
from exporter import clock
from exporter.apply import Fenced, apply
from exporter.lease import LeaseLost, take
from exporter.settings import ExporterSettings
from tests.rules.events import DAY, MINUTE, START, event
from tests.store.folding import NOW, PREFIX, REJECTED_NAME, TOPIC, Shelf, record_of, shelf_of


def test_a_second_record_of_an_identity_is_a_twin_wherever_it_stands(settings_of_store: ExporterSettings) -> None:
    async def scenario() -> None:
        async with shelf_of(settings_of_store) as shelf:
            one = event(0, anon="a1")
            other_source = {**one, "source": "blog"}
            await shelf.apply([record_of(one, 0, 0), record_of(one, 0, 1), record_of(other_source, 1, 0)])
            await shelf.apply([record_of(one, 1, 1)])
            await shelf.make_profiles()
            assert shelf.counts == Counter(accepted=2, twin=2)
            (profile,) = (await shelf.profiles()).values()
            assert profile["counts"]["events"] == 2
            told = await shelf.lookup.where(one["id"])
            assert Counter((entry["source"], entry["status"]) for entry in told) == Counter(
                {("shop", "accepted"): 1, ("blog", "accepted"): 1, ("shop", "twin"): 2}
            )

    asyncio.run(scenario())


def test_a_late_owner_of_a_partition_stores_nothing(settings_of_store: ExporterSettings) -> None:
    async def scenario() -> None:
        async with shelf_of(settings_of_store) as owner:
            await owner.apply([record_of(event(0, anon="a1"), 0, 0)])
            late = Shelf(owner.store, owner.settings, owner.rules, next=dict(owner.next))
            newcomer = Shelf(owner.store, owner.settings, owner.rules)
            await owner.apply([record_of(event(1, anon="a1"), 0, 1)])
            for shelf in (late, newcomer):
                with pytest.raises(Fenced) as raised:
                    await shelf.apply([record_of(event(2, anon="a2"), 0, 1), record_of(event(3, anon="a2"), 1, 0)])
                assert raised.value.stored == {Partition(TOPIC, 0): 2}
            await owner.make_profiles()
            assert set(await owner.profiles()) == {("anon", "a1#0")}
            assert await owner.lookup.positions() == {Partition(TOPIC, 0): 2}

    asyncio.run(scenario())


def test_a_batch_that_cannot_be_stored_whole_is_not_stored_at_all(settings_of_store: ExporterSettings) -> None:
    async def scenario() -> None:
        async with shelf_of(settings_of_store) as shelf:
            batch = shelf.batch([record_of(event(0, anon="a1"), 0, 0)])
            # The last statement of the transaction finds a partition that has no number.
            broken = type(batch)(batch.folded, batch.begins, {Partition(TOPIC, 0): None})  # type: ignore[dict-item]
            with pytest.raises(Exception, match=r"(?i)null"):
                await apply(shelf.store, broken, PREFIX)
            async with shelf.store.read() as connection:
                for table in ("trace", "counts", "timeline", "dirty", "position"):
                    assert await connection.scalar(text(f"SELECT COUNT(*) FROM {table}")) == 0

    asyncio.run(scenario())


def test_what_cannot_be_read_is_counted_set_aside_and_loses_nothing_else(settings_of_store: ExporterSettings) -> None:
    async def scenario() -> None:
        async with shelf_of(settings_of_store) as shelf:
            bad: list[Any] = [b"no json", b"[1]", {**event(0, anon="a1"), "kind": "dance"}]
            good = event(0, anon="a1")
            records = [record_of(one, 0, at) for at, one in enumerate([*bad, good])]
            await shelf.apply(records)
            await shelf.make_profiles()
            assert shelf.counts == Counter(poison=3, accepted=1)
            told = [orjson.loads(one.value or b"") for one in await shelf.sent() if one.topic == REJECTED_NAME]
            assert [(one["reason"], one["offset"]) for one in told] == [
                ("not_json", 0),
                ("not_an_event", 1),
                ("not_an_event", 2),
            ]
            for one in told:
                OUTCOME.validate_python(one)
            counted = await shelf.lookup.counts(START - MINUTE, START + MINUTE)
            assert Counter(status for _, _, status, n in counted for _ in range(n)) == Counter(poison=3, accepted=1)

    asyncio.run(scenario())


def test_outcomes_of_the_rejected_topic_are_counted_and_found(settings_of_store: ExporterSettings) -> None:
    async def scenario() -> None:
        async with shelf_of(settings_of_store) as shelf:
            at = event(0)["received_at"]
            outcomes = [
                {"status": "rejected", "reason": "wrong_type", "source": "shop", "id": "b1", "received_at": at},
                {"status": "filtered", "reason": "bot", "source": "shop", "id": "b2", "received_at": at},
                {"status": "duplicate", "reason": "duplicate", "source": "blog", "id": "b3", "received_at": at},
                {"status": "odd", "reason": "x", "received_at": at},
            ]
            await shelf.apply([record_of(one, 0, n, REJECTED_NAME) for n, one in enumerate(outcomes)])
            assert shelf.counts == Counter(rejected=1, filtered=1, duplicate=1, unknown=1)
            (told,) = await shelf.lookup.where("b2")
            assert told == {
                "source": "shop", "id": "b2", "status": "filtered", "reason": "bot", "topic": REJECTED_NAME,
                "partition": 0, "offset": 1, "received_at": at,
            }  # fmt: skip
            assert await shelf.lookup.where("b4") == []
            assert [row[1:] for row in await shelf.lookup.counts(START, START + MINUTE, "blog")] == [
                ("blog", "duplicate", 1)
            ]

    asyncio.run(scenario())


def test_where_names_session_and_profile_of_an_event(settings_of_store: ExporterSettings) -> None:
    async def scenario() -> None:
        async with shelf_of(settings_of_store) as shelf:
            seen = [event(0, anon="a1"), event(1, anon="a1", user="u1"), event(2, user="u1", channel="server")]
            await shelf.apply([record_of(one, 0, at) for at, one in enumerate(seen)])
            await shelf.make_profiles()
            known = await shelf.lookup.find_profile("user", "u1")
            assert known is not None
            (session,) = await shelf.lookup.sessions(known["id"], 10)
            told = [(await shelf.lookup.where(one["id"]))[0] for one in seen]
            assert [(one["profile_id"], one.get("session_id")) for one in told] == [
                (known["id"], session["id"]), (known["id"], session["id"]), (known["id"], None)
            ]  # fmt: skip
            events = await shelf.lookup.events(known["id"], 2)
            assert [one["id"] for one in events] == [seen[2]["id"], seen[1]["id"]]

    asyncio.run(scenario())


def test_changed_profiles_are_read_page_by_page_without_gap(settings_of_store: ExporterSettings) -> None:
    async def scenario() -> None:
        async with shelf_of(settings_of_store) as shelf:
            await shelf.apply([record_of(event(n, anon=f"a{n}"), 0, n) for n in range(7)])
            await shelf.make_profiles()
            shelf.now = NOW + 1000
            await shelf.apply([record_of(event(9, "identify", anon="a3", user="u1"), 0, 7)])
            await shelf.make_profiles()
            read, after = [], None
            while page := await shelf.lookup.profiles_changed(NOW, after, 3):
                read += page
                after = page[-1].changed_at, page[-1].id
            assert len(read) == 8
            assert [one.root for one in read if one.profile is None] == [("anon", "a3#0")]
            later = await shelf.lookup.profiles_changed(NOW + 1, None, 10)
            assert {one.root for one in later} == {("anon", "a3#0"), ("user", "u1")}

    asyncio.run(scenario())


def test_sessions_close_and_become_final_by_the_clock(settings_of_store: ExporterSettings) -> None:
    async def scenario() -> None:
        async with shelf_of(settings_of_store) as shelf:
            shelf.now = START + MINUTE
            await shelf.apply([record_of(event(0, anon="a1"), 0, 0)])
            await shelf.make_profiles()
            (profile,) = (await shelf.profiles()).values()
            states = []
            lease = await take(shelf.store, "clock", "me", 60)
            assert lease is not None
            for now in (START + MINUTE, START + 30 * MINUTE + 1, START + 2 * DAY, START + 4 * DAY, START + 5 * DAY):
                shelf.now = now
                due = await clock.mark_due_sessions(shelf.store, lease, now)
                await shelf.make_profiles()
                (session,) = await shelf.lookup.sessions(profile["id"], 10)
                states.append((due, session["state"], session["revision"]))
            assert states == [(0, "open", 1), (1, "closed", 2), (0, "closed", 2), (1, "final", 3), (0, "final", 3)]

    asyncio.run(scenario())


def test_old_traces_and_counts_go_and_the_rest_stays(settings_of_store: ExporterSettings) -> None:
    async def scenario() -> None:
        async with shelf_of(settings_of_store) as shelf:
            old, new = event(0, anon="a1"), event(40 * DAY, anon="a1")
            await shelf.apply([record_of(old, 0, 0), record_of(new, 0, 1)])
            lease = await take(shelf.store, "clock", "me", 60)
            assert lease is not None
            await clock.drop_old(shelf.store, lease, shelf.settings, START + 41 * DAY_MS)
            assert await shelf.lookup.where(old["id"]) == []
            assert len(await shelf.lookup.where(new["id"])) == 1
            assert len(await shelf.lookup.counts(0, START + 50 * DAY)) == 2
            await clock.drop_old(shelf.store, lease, shelf.settings, START + 420 * DAY_MS)
            assert len(await shelf.lookup.counts(0, START + 50 * DAY)) == 1

    asyncio.run(scenario())


def test_a_lease_has_one_holder_and_who_lost_it_writes_nothing(settings_of_store: ExporterSettings) -> None:
    async def scenario() -> None:
        async with shelf_of(settings_of_store) as shelf:
            mine = await take(shelf.store, "clock", "me", 60)
            assert mine is not None
            assert await take(shelf.store, "clock", "you", 60) is None
            assert await take(shelf.store, "clock", "me", 0) == mine
            await asyncio.sleep(0.01)
            yours = await take(shelf.store, "clock", "you", 60)
            assert yours is not None
            assert yours.token > mine.token
            with pytest.raises(LeaseLost):
                await clock.drop_old(shelf.store, mine, shelf.settings, START + 420 * DAY_MS)

    asyncio.run(scenario())
