"""Profiles and sessions in the store are what the rules make of the set of events, however these arrived."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from eventlog.event import Event
from exporter.apply import put_marks
from exporter.marks import Mark
from exporter.member import member_of
from exporter.rules import Rules
from exporter.settings import ExporterSettings
from tests.rules import strategies
from tests.rules.events import DAY, RULES, buy, event, profiles_of
from tests.store.folding import NOW, Shelf, readers_view, record_of, shelf_of, shelf_of_examples, spread


async def agree(shelf: Shelf, events: list[Event]) -> None:
    """The store, and a reader of its topics, have exactly what the rules give for the whole set."""
    expected = profiles_of(events, shelf.rules, NOW)
    found = await shelf.profiles()
    bare = {root: {**one, "revision": 0} for root, one in found.items()}
    assert bare == {root: {**one.profile, "revision": 0} for root, one in expected.items()}
    seen_profiles, seen_sessions = readers_view(await shelf.sent())
    assert seen_profiles == {one["id"]: one for one in found.values()}
    sessions: dict[str, Any] = {}
    for one in found.values():
        stored = await shelf.lookup.sessions(one["id"], 1000)
        sessions |= {session["id"]: session for session in stored}
        theirs = expected[one["root"]["kind"], one["root"]["value"]].sessions
        assert sorted((session["id"], session["state"], session["start"]) for session in stored) == sorted(
            (session["id"], session["state"], session["start"]) for session in theirs
        )
    assert seen_sessions == sessions


def test_any_order_and_any_batches_give_what_the_rules_give(settings_of_store: ExporterSettings) -> None:
    made = settings_of_store
    examples = 60 if not made.store else 30

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(strategies.events | strategies.one_browser(), strategies.all_rules, st.randoms(use_true_random=False))
    def check(events: list[Event], rules: Rules, chance: random.Random) -> None:
        async def scenario() -> None:
            shelf.rules = rules
            await shelf.clear()
            for batch in spread(events, chance):
                await shelf.apply(batch)
                if chance.random() < 0.7:
                    await shelf.make_profiles()
            await shelf.make_profiles()
            await agree(shelf, events)
            accepted = sum(member_of(one, rules).visitor_key is not None for one in events)
            assert (shelf.counts["accepted"], shelf.counts["unattributed"]) == (accepted, len(events) - accepted)

        run(scenario())

    with shelf_of_examples(made) as (shelf, run):
        check()


def test_a_login_moves_the_sessions_before_it_and_readers_follow(settings_of_store: ExporterSettings) -> None:
    async def scenario() -> None:
        async with shelf_of(settings_of_store) as shelf:
            before = [event(0, anon="a1"), event(1000, anon="a1", url="https://x.no/a")]
            await shelf.apply([record_of(one, 0, at) for at, one in enumerate(before)])
            await shelf.make_profiles()
            assert list(await shelf.profiles()) == [("anon", "a1#0")]
            (anonymous,) = (await shelf.profiles()).values()
            login = event(60_000, "identify", anon="a1", user="u1")
            await shelf.apply([record_of(login, 0, 2)])
            await shelf.make_profiles()
            await agree(shelf, [*before, login])
            known = await shelf.lookup.find_profile("user", "u1")
            assert known is not None
            assert known["counts"]["events"] == 3
            # The profile that is no more leads to the one that has its events now, and so does its anonymous id.
            assert await shelf.lookup.profile(anonymous["id"]) == known
            assert await shelf.lookup.find_profile("anon", "a1") == known

    asyncio.run(scenario())


def test_an_order_reported_by_browser_and_back_end_counts_once(settings_of_store: ExporterSettings) -> None:
    async def scenario() -> None:
        async with shelf_of(settings_of_store) as shelf:
            seen = [
                event(0, "identify", anon="a1", user="u1"),
                buy(1000, "A-1", ("p1", "10.00"), anon="a1"),
                buy(2000, "A-1", ("p1", "10.00"), user="u1", channel="server"),
            ]
            for at, one in enumerate(seen):
                await shelf.apply([record_of(one, at % 2, at // 2)])
            await shelf.make_profiles()
            await agree(shelf, seen)
            known = await shelf.lookup.find_profile("user", "u1")
            assert known is not None
            assert known["money"]["EUR"]["revenue"] == "10.00"

    asyncio.run(scenario())


def test_an_email_that_changes_hands_takes_its_events_along(settings_of_store: ExporterSettings) -> None:
    async def scenario() -> None:
        async with shelf_of(settings_of_store) as shelf:
            seen = [
                event(0, email="e1@x.no", channel="server"),
                event(1000, user="u1", email="e1@x.no"),
                event(2 * DAY, user="u2", email="e1@x.no"),
            ]
            for at, one in enumerate(seen):
                await shelf.apply([record_of(one, 0, at)])
                await shelf.make_profiles()
                await agree(shelf, seen[: at + 1])
            held = await shelf.lookup.find_profile("email", "E1@x.no")
            assert held is not None
            assert held["root"] == {"kind": "user", "value": "u2"}

    asyncio.run(scenario())


def test_two_makers_of_profiles_leave_what_one_would(postgres_settings: ExporterSettings) -> None:
    async def scenario() -> None:
        chance = random.Random(7)
        seen = [
            event(n * 1000, anon=f"a{chance.randrange(40)}", user=f"u{chance.randrange(9)}" if n % 3 == 0 else None)
            for n in range(400)
        ]
        async with shelf_of(postgres_settings) as one, shelf_of(postgres_settings) as other:
            halves = [[record_of(event, part, at) for at, event in enumerate(seen[part::2])] for part in (0, 1)]

            async def work(shelf: Shelf, records: list[Any]) -> None:
                for start in range(0, len(records), 20):
                    await shelf.apply(records[start : start + 20])
                    await shelf.make_profiles()

            await asyncio.gather(work(one, halves[0]), work(other, halves[1]))
            await one.make_profiles()
            await agree(one, seen)

    asyncio.run(scenario())


def test_an_email_too_many_for_its_user_has_none_any_more(settings_of_store: ExporterSettings) -> None:
    async def scenario() -> None:
        async with shelf_of(settings_of_store, RULES.model_copy(update={"emails_per_user": 1})) as shelf:
            seen = [
                event(0, email="e1@x.no", channel="server"),
                event(1000, anon="a1", user="u1", email="e1@x.no"),
                event(2000, anon="a2", user="u1", email="e2@x.no"),
            ]
            for at, one in enumerate(seen):
                await shelf.apply([record_of(one, 0, at)])
                await shelf.make_profiles()
                await agree(shelf, seen[: at + 1])
            assert set(await shelf.profiles()) == {("user", "u1"), ("email", "e1@x.no")}

    asyncio.run(scenario())


def test_a_late_word_about_a_session_is_followed_by_its_profile_s_own(settings_of_store: ExporterSettings) -> None:
    async def scenario() -> None:
        async with shelf_of(settings_of_store) as shelf:
            seen = [event(0, anon="a1"), event(60_000, "identify", anon="a1", user="u1")]
            for at, one in enumerate(seen):
                await shelf.apply([record_of(one, 0, at)])
                await shelf.make_profiles()
            # As if another process had made the anonymous profile from what it saw before the login.
            async with shelf.store.write() as connection:
                statement = "UPDATE session SET revision = 10, body = (SELECT body FROM session WHERE body IS NOT NULL)"
                await connection.execute(text(f"{statement} WHERE body IS NULL"))
                await put_marks(connection, {Mark("root", "anon:a1#0")})
            await shelf.make_profiles()
            known = await shelf.lookup.find_profile("user", "u1")
            assert known is not None
            assert [one["revision"] for one in await shelf.lookup.sessions(known["id"], 10)] == [11]
            await agree(shelf, seen)

    asyncio.run(scenario())
