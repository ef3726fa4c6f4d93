"""Records that the store cannot hold are found and set aside; the others are stored. Many of them stop a partition."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from eventlog.log import Partition
from eventlog.outcome import OUTCOME
from exporter.aside import all_aside, try_again
from exporter.poison import FEW, most_poison, store_batch
from exporter.settings import ExporterSettings
from tests.rules.events import event
from tests.store.folding import PREFIX, REJECTED_NAME, TOPIC, Shelf, record_of, shelf_of
from tests.store.test_profiles import agree

# JSON is read nested much deeper than it is written: an event may be, and what is kept of it, one level deeper, not.
DEPTH = 252


def unstorable(at: int) -> Any:
    """An event as it may stand in the topic, of which the store cannot keep what it keeps of events."""
    traits: dict[str, Any] = {}
    for _ in range(DEPTH):
        traits = {"deeper": traits}
    return {**event(at, "identify", anon=f"a{at}", user="u1"), "traits": traits}


async def stored(shelf: Shelf, bodies: list[Any], partition: int = 0, max_poison: float = 1.0) -> dict[Partition, str]:
    """Store them as the aggregator does; answers which partitions are stopped."""
    begin = shelf.next.get(Partition(TOPIC, partition)) or 0
    batch = shelf.batch([record_of(one, partition, begin + at) for at, one in enumerate(bodies)])
    made = await store_batch(shelf.store, batch, PREFIX, max_poison)
    shelf.counts += made.counts
    shelf.next |= made.ends
    return made.stopped


def test_one_record_that_cannot_be_stored_is_set_aside_and_the_others_are_stored(
    settings_of_store: ExporterSettings,
) -> None:
    async def scenario() -> None:
        async with shelf_of(settings_of_store) as shelf:
            good = [event(at, anon=f"a{at % 5}") for at in range(40)]
            bad = unstorable(7)
            assert await stored(shelf, [*good[:23], bad, *good[23:]]) == {}
            await shelf.make_profiles()
            assert shelf.counts == Counter(accepted=40, poison=1)
            assert await shelf.lookup.positions() == {Partition(TOPIC, 0): 41}
            await agree(shelf, good)
            (told,) = [one for one in await shelf.sent() if one.topic == REJECTED_NAME]
            outcome = OUTCOME.validate_python(orjson.loads(told.value or b""))
            assert (outcome["reason"], outcome["offset"], outcome["id"]) == ("not_storable", 23, bad["id"])
            assert [one["status"] for one in await shelf.lookup.where(bad["id"])] == ["poison"]

    asyncio.run(scenario())


def test_a_copy_of_a_record_that_cannot_be_stored_is_no_twin_of_nothing(settings_of_store: ExporterSettings) -> None:
    async def scenario() -> None:
        async with shelf_of(settings_of_store) as shelf:
            bad, good = unstorable(0), event(1, anon="a1")
            await stored(shelf, [bad, good, good, bad])
            assert shelf.counts == Counter(accepted=1, twin=1, poison=2)

    asyncio.run(scenario())


@pytest.mark.parametrize("bad", [b"no json", unstorable(0)], ids=["not_json", "not_storable"])
def test_many_of_them_stop_their_partition_and_no_other(settings_of_store: ExporterSettings, bad: Any) -> None:
    async def scenario() -> None:
        async with shelf_of(settings_of_store) as shelf:
            copies = [bad if isinstance(bad, bytes) else unstorable(at) for at in range(FEW + 1)]
            good = [event(at, anon=f"a{at}") for at in range(20)]
            records = [record_of(one, 0, at) for at, one in enumerate([*good[:10], *copies, *good[10:]])]
            others = [record_of(event(at, anon="a1"), 1, at) for at in range(5)]
            made = await store_batch(shelf.store, shelf.batch([*records, *others]), PREFIX, 1.0)
            (reason,) = made.stopped.values()
            assert made.stopped.keys() == {Partition(TOPIC, 0)}
            assert f"{FEW + 1} not_" in reason
            assert "among 31 records from offset 10 on" in reason
            assert made.ends[Partition(TOPIC, 1)] == 5
            # Nothing was skipped: the next try begins before the one that was too many.
            assert made.ends.get(Partition(TOPIC, 0), 0) <= 10 + FEW
            assert made.counts["accepted"] == 5 + min(10, made.ends.get(Partition(TOPIC, 0), 0))
            # Whoever says so has them set aside.
            shelf.next = dict(made.ends)
            begin = shelf.next.get(Partition(TOPIC, 0), 0) or 0
            again = await store_batch(shelf.store, shelf.batch(records[begin:]), PREFIX, 100.0)
            assert again.stopped == {}
            assert (made.counts + again.counts)["accepted"] == 25
            assert (made.counts + again.counts)["poison"] == FEW + 1

    asyncio.run(scenario())


def test_how_many_are_too_many() -> None:
    assert [most_poison(n, 1.0) for n in (1, 100, 1000, 1100, 5000)] == [10, 10, 10, 11, 50]
    assert most_poison(500, 100.0) == 500


def test_a_profile_that_cannot_be_made_is_set_aside_and_the_others_are_made(
    settings_of_store: ExporterSettings,
) -> None:
    async def scenario() -> None:
        async with shelf_of(settings_of_store) as shelf:
            seen = [event(at, anon=f"a{at}") for at in range(30)]
            await shelf.apply([record_of(one, 0, at) for at, one in enumerate(seen[:1])])
            # A chunk of members as another version would have written it.
            kept = "SELECT body FROM timeline"
            async with shelf.store.write() as connection:
                whole = bytes(await connection.scalar(text(kept)))
                await connection.execute(
                    text("UPDATE timeline SET body = :body"), {"body": whole.replace(b"[1", b"[9")}
                )
            await shelf.apply([record_of(one, 0, at) for at, one in enumerate(seen) if at])
            await shelf.make_profiles()
            assert set(await shelf.profiles()) == {("anon", f"a{at}#0") for at in range(1, 30)}
            aside = await all_aside(shelf.store)
            assert list(aside.profiles.values()) == [1]
            assert "ValueError in member.py" in next(iter(aside.profiles))
            # Its next events do not have it tried each time, nor lose anything.
            more = event(100, anon="a0")
            await shelf.apply([record_of(more, 0, 30)])
            await shelf.make_profiles()
            assert len(await shelf.profiles()) == 29
            async with shelf.store.write() as connection:
                statement = "UPDATE timeline SET body = :body WHERE number = (SELECT MIN(number) FROM timeline)"
                await connection.execute(text(statement), {"body": whole})
                assert await try_again(connection) == 1
            await shelf.make_profiles()
            assert (await all_aside(shelf.store)).profiles == {}
            await agree(shelf, [*seen, more])

    asyncio.run(scenario())


def test_a_person_with_a_damaged_part_is_set_aside_alone(settings_of_store: ExporterSettings) -> None:
    async def scenario() -> None:
        async with shelf_of(settings_of_store) as shelf:
            seen = [event(0, anon="a1", user="u1"), event(1, anon="a2", user="u1"), event(2, anon="a3", user="u2")]
            await shelf.apply([record_of(seen[0], 0, 0)])
            async with shelf.store.write() as connection:
                await connection.execute(text("UPDATE timeline SET body = :body"), {"body": b"[1,["})
            await shelf.apply([record_of(one, 0, at) for at, one in enumerate(seen) if at])
            await shelf.make_profiles()
            assert set(await shelf.profiles()) == {("user", "u2")}
            assert sum((await all_aside(shelf.store)).profiles.values()) == 2

    asyncio.run(scenario())
