"""What page loads made and what of it arrived, on both stores: a function of the set of records."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter, defaultdict
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from eventlog.event import MAX_SEQ
from eventlog.log import Partition
from eventlog.timestamps import DAY_MS, format_ms
from exporter import clock
from exporter.heard import MOST_EVENTS
from exporter.lease import take
from exporter.page_loads import BLOCK, browser_events
from exporter.settings import ExporterSettings
from tests.rules.events import START, event
from tests.store.folding import NOW, REJECTED_NAME, TOPIC, Shelf, record_of, shelf_of, shelf_of_examples, spread

BROWSER = {"p1": "Chrome", "p2": "Firefox", "p3": "Netscape"}
Told = list[tuple[str, str, int, int]]


def tracked(page: str, seq: Any, at: int = 0, **fields: Any) -> dict[str, Any]:
    """An accepted event of our tracker."""
    made: dict[str, Any] = {**event(at, anon=fields.pop("anon", "a1"), protocol="trackway", **fields)}
    made["page"] = {"view_id": f"{page}.{1 + at % 3}"}
    made["client"] = {"browser": BROWSER[page], "seq": seq} if page in BROWSER else {"seq": seq}
    return made | {"id": f"{page}-{seq}"}


def outcome(page: str, seq: Any, at: int = 0, status: str = "duplicate", **more: Any) -> dict[str, Any]:
    """What the rejected topic says of one that became no event."""
    return {
        "status": status, "reason": status, "source": "shop", "id": "an-order", "protocol": "trackway",
        "view_id": f"{page}.1", "seq": seq, "received_at": format_ms(START + at),
    } | more  # fmt: skip


async def told(shelf: Shelf, start: int = 0, end: int = NOW, source: str | None = None) -> Told:
    found = await browser_events(shelf.store, start, end, source)
    return [(one.source, one.browser, one.made, one.arrived) for one in found]


def naive(bodies: list[dict[str, Any]]) -> Told:
    """The same, of the whole set at once: each stretch of 63 numbers that anything arrived of has a browser of its own,
    and answers for what is missing before it."""
    loads: defaultdict[tuple[str, str], dict[int, set[str]]] = defaultdict(dict)
    for one in bodies:
        load = one["source"], (one.get("page") or one)["view_id"].rsplit(".", 1)[0]
        seq = one["client"]["seq"] if "client" in one else one["seq"]
        loads[load].setdefault(seq, set()).add(one.get("client", {}).get("browser", "other"))
    made: Counter[tuple[str, str]] = Counter()
    arrived: Counter[tuple[str, str]] = Counter()
    for load, seen in loads.items():
        counted = 0
        for stretch in sorted({(seq - 1) // BLOCK for seq in seen}):
            here = {seq for seq in seen if (seq - 1) // BLOCK == stretch}
            stated = set().union(*(seen[seq] for seq in here)) - {"other", "Netscape"}
            key = load[0], min(stated, default="other")
            until = max(here) if max(here) == max(seen) else (stretch + 1) * BLOCK
            made[key] += until - counted
            arrived[key] += len(here)
            counted = until
    assert sum(made.values()) == sum(map(max, loads.values()))
    return [(*key, made[key], arrived[key]) for key in sorted(made)]


numbers = st.integers(1, 8) | st.sampled_from((62, 63, 64, 126, 127, 128, 500, MOST_EVENTS))
bodies = st.lists(
    st.builds(
        lambda page, seq, at, made, source: made(page, seq, at) | {"source": source},
        st.sampled_from(("p1", "p2", "p3")),
        numbers,
        st.integers(0, 5),
        st.sampled_from((tracked, tracked, outcome)),
        st.sampled_from(("shop", "shop", "blog")),
    ),
    min_size=1,
    max_size=30,
)


def test_any_order_copies_batches_and_partitions_give_the_same_numbers(settings_of_store: ExporterSettings) -> None:
    made = settings_of_store
    examples = 100 if not made.store else 40

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(bodies, st.randoms(use_true_random=False))
    def check(bodies: list[dict[str, Any]], chance: random.Random) -> None:
        async def scenario() -> None:
            await shelf.clear()
            for batch in spread(bodies, chance):
                await shelf.apply(batch)
            assert await told(shelf) == naive(bodies)

        run(scenario())

    with shelf_of_examples(made) as (shelf, run):
        check()


def test_losses_are_counted_by_source_browser_and_the_loads_beginning(settings_of_store: ExporterSettings) -> None:
    async def scenario() -> None:
        async with shelf_of(settings_of_store) as shelf:
            lost_two = [tracked("p1", seq, seq * 10) for seq in (1, 2, 4, 6)]
            later = [tracked("p2", seq, DAY_MS + seq, source="blog") for seq in (1, 2)]
            unknown = [tracked("p3", 1), tracked("p9", 2)]
            records = [record_of(one, 0, at) for at, one in enumerate([*lost_two, *later, *unknown])]
            await shelf.apply(records)
            assert await told(shelf) == [
                ("blog", "Firefox", 2, 2), ("shop", "Chrome", 6, 4), ("shop", "other", 3, 2)
            ]  # fmt: skip
            (line,) = [one for one in await browser_events(shelf.store, 0, NOW, "shop") if one.browser == "Chrome"]
            assert (line.lost, line.percent) == (2, 33.33)
            assert await told(shelf, source="blog") == [("blog", "Firefox", 2, 2)]
            assert await told(shelf, START, START + DAY_MS) == [("shop", "Chrome", 6, 4), ("shop", "other", 3, 2)]
            # Received 100 ms after it happened; the load belongs to its first event alone.
            first = START + 110
            assert await told(shelf, first + 1, START + DAY_MS) == []
            assert await told(shelf, first, first + 1) == [("shop", "Chrome", 6, 4)]

    asyncio.run(scenario())


def test_what_became_of_an_event_does_not_matter(settings_of_store: ExporterSettings) -> None:
    async def scenario() -> None:
        async with shelf_of(settings_of_store) as shelf:
            # Accepted, stored twice, without anybody it is about, and one that cannot be read as an event.
            good = [tracked("p1", 1), tracked("p1", 1), tracked("p1", 2, anon=None), tracked("p1", 3) | {"kind": "?"}]
            others = [outcome("p1", 4, status="rejected"), outcome("p1", 5, status="filtered"), outcome("p1", 6)]
            await shelf.apply([record_of(one, 0, at) for at, one in enumerate(good)])
            await shelf.apply([record_of(one, 0, at, REJECTED_NAME) for at, one in enumerate(others)])
            assert shelf.counts.keys() == {
                "accepted", "twin", "unattributed", "poison", "rejected", "filtered", "duplicate"
            }  # fmt: skip
            assert await told(shelf) == [("shop", "Chrome", 6, 6)]
            # Of a load of which nothing was accepted the browser is told beside what was rejected.
            client = {"client": {"browser": "Safari"}}
            await shelf.apply([record_of(outcome("p8", 2, request=client), 0, len(others), REJECTED_NAME)])
            assert ("shop", "Safari", 2, 1) in await told(shelf)

    asyncio.run(scenario())


@pytest.mark.parametrize("seq", [0, -1, -(2**63), 2**63, 2**70, -(2**70), 10**12, MAX_SEQ, MOST_EVENTS + 1])
def test_an_absurd_number_is_no_poison_and_costs_nothing(seq: int, settings_of_store: ExporterSettings) -> None:
    """Also of another producer, whose events nobody has checked; numbers stand in the order of a claim too."""

    async def scenario() -> None:
        async with shelf_of(settings_of_store) as shelf:
            fields: dict[str, Any] = {"user": "u1", "email": "e1@x.no"}
            values = [json.dumps(one).encode() for one in (tracked("p1", seq, **fields), tracked("p1", 1, 1, **fields))]
            await shelf.apply([record_of(one, 0, at) for at, one in enumerate(values)])
            odd = [json.dumps(outcome("p1", one)).encode() for one in (seq, str(seq), True, 1.5, None)]
            await shelf.apply([record_of(one, 0, at, REJECTED_NAME) for at, one in enumerate(odd)])
            await shelf.make_profiles()
            assert shelf.counts == Counter(accepted=2, duplicate=len(odd))
            (profile,) = (await shelf.profiles()).values()
            assert profile["counts"]["events"] == 2
            assert await told(shelf) == [("shop", "Chrome", 1, 1)]
            async with shelf.store.read() as connection:
                assert await connection.scalar(text("SELECT COUNT(*) FROM page_load")) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "change",
    [
        {"page": {"view_id": "nodot"}},
        {"page": {"view_id": ".1"}},
        {"page": {"view_id": "x" * 257 + ".1"}},
        {"page": {"url": "https://x.no/"}},
        {"protocol": "segment"},
    ],
)
def test_what_is_no_event_of_a_load_of_our_tracker_is_not_counted(
    change: dict[str, Any], settings_of_store: ExporterSettings
) -> None:
    async def scenario() -> None:
        async with shelf_of(settings_of_store) as shelf:
            await shelf.apply([record_of(tracked("p1", 3) | change, 0, 0)])
            assert shelf.counts == Counter(accepted=1)
            assert await told(shelf) == []

    asyncio.run(scenario())


def test_a_stranger_makes_no_more_than_a_few_rows_of_a_load(settings_of_store: ExporterSettings) -> None:
    async def scenario() -> None:
        async with shelf_of(settings_of_store) as shelf:
            seqs = [1, MOST_EVENTS, *range(MOST_EVENTS, 40_000, 97)]
            await shelf.apply([record_of(tracked("p1", seq), 0, at) for at, seq in enumerate(seqs)])
            assert await told(shelf) == [("shop", "Chrome", MOST_EVENTS, 2)]
            every = [record_of(tracked("p2", seq), 1, seq) for seq in range(1, MOST_EVENTS + 1)]
            await shelf.apply(every)
            async with shelf.store.read() as connection:
                rows = await connection.scalar(text("SELECT COUNT(*) FROM page_load"))
            assert rows == 2 + MOST_EVENTS / BLOCK
            assert await told(shelf) == [
                ("shop", "Chrome", MOST_EVENTS, 2), ("shop", "Firefox", MOST_EVENTS, MOST_EVENTS)
            ]  # fmt: skip

    asyncio.run(scenario())


def test_processes_that_add_to_the_same_loads_at_once_lose_nothing(settings_of_store: ExporterSettings) -> None:
    """Events of a load may stand in several partitions: without ids each goes where its own id leads."""

    async def scenario() -> None:
        async with shelf_of(settings_of_store) as shelf:
            others = [Shelf(shelf.store, shelf.settings, shelf.rules) for _ in range(4)]

            async def process(number: int) -> None:
                chance = random.Random(number)
                for batch in range(5):
                    seqs = range(number + 1, 101, 4)
                    some = [(page, seq) for page in ("p1", "p2", "p3") for seq in seqs if seq % 5 == batch]
                    chance.shuffle(some)
                    at = others[number].next.get(Partition(TOPIC, number)) or 0
                    made = [record_of(tracked(*one, anon=f"v{number}"), number, at + n) for n, one in enumerate(some)]
                    await others[number].apply(made)

            await asyncio.gather(*map(process, range(4)))
            assert await told(shelf) == [
                ("shop", "Chrome", 100, 100), ("shop", "Firefox", 100, 100), ("shop", "other", 100, 100)
            ]  # fmt: skip

    asyncio.run(scenario())


def test_old_loads_are_forgotten(settings_of_store: ExporterSettings) -> None:
    async def scenario() -> None:
        async with shelf_of(settings_of_store) as shelf:
            await shelf.apply([record_of(tracked("p1", 2), 0, 0), record_of(tracked("p2", 2, DAY_MS), 0, 1)])
            lease = await take(shelf.store, "clock", "tests", 60)
            assert lease is not None
            kept = shelf.settings.trace_days * DAY_MS
            await clock.drop_old(shelf.store, lease, shelf.settings, START + kept)
            assert len(await told(shelf)) == 2
            await clock.drop_old(shelf.store, lease, shelf.settings, START + kept + DAY_MS)
            assert await told(shelf) == [("shop", "Firefox", 2, 1)]

    asyncio.run(scenario())
