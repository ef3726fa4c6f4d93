"""What was changed behind the program's back is found, and mended; readers of the topics end with what is right."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from eventlog.day_files import day_files, open_newest
from eventlog.timestamps import now_ms
from exporter.anew import Halted
from exporter.poison import FEW
from exporter.rebuild import HistoryShort
from exporter.settings import ExporterSettings
from tests.rebuild.site import Site, site_of, with_rules
from tests.rules.events import DAY, MINUTE, RULES, SECRET, START, buy, event

WHEN = "2026-11-24T10:00:00.000Z"

# What is done to the store, and in which tables that is found: all at once here, one by one in tests/soak.
FOLDED = (
    ("UPDATE counts SET n = n + 1 WHERE status = 'accepted'", "counts"),
    # Of one that stands in the log once: of others it tells which copy counted, and without it another one may count.
    (
        "DELETE FROM trace WHERE event_id = (SELECT MIN(event_id) FROM trace WHERE seen"
        " AND event_id NOT IN (SELECT event_id FROM trace WHERE NOT seen))",
        "trace",
    ),
    ("UPDATE trace SET source = 'other' WHERE NOT seen", "trace"),
    ("UPDATE page_load SET bits = 1", "page_load"),
    ("DELETE FROM link", "link"),
    ("UPDATE claim SET at = at - 1", "claim"),
    ("DELETE FROM alias", "alias"),
    ("DELETE FROM timeline WHERE number = (SELECT MIN(number) FROM timeline)", "timeline"),
)
MADE = (
    ("UPDATE profile SET body = REPLACE(body, '\"events\"', '\"evenings\"') WHERE kind = 'user'", "profile"),
    ("UPDATE profile SET body = NULL WHERE kind = 'anon'", "profile"),
    ("UPDATE session SET body = REPLACE(body, '\"views\"', '\"vistas\"') WHERE body IS NOT NULL", "profile"),
    (
        "INSERT INTO profile (id, kind, value, revision, digest, changed_at, body)"
        " SELECT 'nobody', 'user', 'x', 3, 5, 0, body FROM profile WHERE kind = 'user' AND body IS NOT NULL",
        "profile",
    ),
)
MORE_MADE = (
    ("DELETE FROM profile WHERE kind = 'user'", "profile"),
    ("UPDATE profile SET digest = 7 WHERE body IS NOT NULL", "profile"),
    ("UPDATE session SET start = start - 1 WHERE body IS NOT NULL", "profile"),
    ("UPDATE session SET body = REPLACE(body, '\"final\"', '\"open\"') WHERE body IS NOT NULL", "profile"),
    ("DELETE FROM session WHERE body IS NOT NULL", "profile"),
)


async def a_week(site: Site) -> None:
    """Visitors, logins, an e-mail, an alias, orders, twins, a poison record, and an outcome."""
    await site.post(
        [
            *(event(n * 20 * MINUTE, anon=f"a{n % 4}", url="https://x.no/") for n in range(24)),
            *(event(n, anon="a1", view_id="p1.1", seq=n) for n in (2, 4)),
            event(DAY, "identify", anon="a1", user="u1", email="e1@x.no"),
            event(DAY + 1, "alias", user="u1", previous="a2", channel="server", source="crm"),
            event(2 * DAY, email="e1@x.no", channel="server"),
            buy(2 * DAY, "o1", ("p1", "10.00"), anon="a1"),
            buy(3 * DAY, "o1", ("p1", "10.00"), user="u1", channel="server"),
        ],
        {"status": "rejected", "reason": "wrong_type", "source": "shop", "id": "r1",
         "received_at": "2026-11-24T10:00:00.000Z"},
        {**event(0, anon="a9"), "channel": "smoke"},
        copies=0.5,
    )  # fmt: skip
    await site.fold()
    await site.shelf.make_profiles()


async def mend(site: Site, damages: Sequence[tuple[str, str]]) -> None:
    """Damage the store, find that, mend it."""
    for damage, _ in damages:
        async with site.shelf.store.write() as connection:
            done = await connection.execute(text(damage))
            assert done.rowcount, damage
    found = await site.compare()
    assert {one.table for one in found} == {table for _, table in damages}
    # Nobody is named.
    assert not {"a1", "u1", "e1@x.no"} & {word for one in found for word in re.split(r"[^\w@.-]+", one.what)}
    await site.rebuild()
    assert await site.compare() == []
    await site.agree()


def test_what_was_changed_by_hand_is_found_and_mended(made: ExporterSettings) -> None:
    async def scenario() -> None:
        async with site_of(made) as site:
            await a_week(site)
            assert await site.compare() == []
            await mend(site, FOLDED)
            await mend(site, MADE)

    asyncio.run(scenario())


def test_a_lost_session_that_another_profile_had_before_reaches_the_readers_again(made: ExporterSettings) -> None:
    async def scenario() -> None:
        async with site_of(made) as site:
            for one in (event(0, anon="a1"), event(MINUTE, "identify", anon="a1", user="u1")):
                await site.post([one], copies=0)
                await site.fold()
                await site.shelf.make_profiles()
            await mend(site, [("DELETE FROM session WHERE body IS NOT NULL", "profile")])

    asyncio.run(scenario())


def test_other_rules_take_effect_on_what_was_before(made: ExporterSettings) -> None:
    async def scenario() -> None:
        async with site_of(made) as site:
            await a_week(site)
            before = len(await site.shelf.sent())
            shorter = RULES.model_copy(update={"session_gap": 15 * 60, "blocked_ids": ["a3"]})
            site.use(with_rules(site.settings, shorter))
            assert {one.table for one in await site.compare()} >= {"profile", "timeline", "trace"}
            differing = await site.rebuild()
            assert differing
            await site.agree()
            assert await site.compare() == []
            # Only what differs was sent: of each profile one record, and its sessions.
            topics = [one.topic for one in (await site.shelf.sent())[before:]]
            assert topics.count("trackway.profiles.v1") == len(differing)

    asyncio.run(scenario())


def test_nothing_is_sent_when_nothing_differs(made: ExporterSettings) -> None:
    async def scenario() -> None:
        async with site_of(made) as site:
            await a_week(site)
            before = await site.shelf.sent()
            assert await site.rebuild() == []
            assert await site.shelf.sent() == before

    asyncio.run(scenario())


def test_it_goes_on_after_a_rebuild_as_if_there_had_been_none(made: ExporterSettings) -> None:
    async def scenario() -> None:
        async with site_of(made) as site:
            await a_week(site)
            await site.rebuild()
            await site.post([event(4 * DAY, "identify", anon="a0", user="u2"), event(4 * DAY + 1, anon="a1")])
            await site.fold()
            await site.shelf.make_profiles()
            await site.agree()
            assert await site.compare() == []

    asyncio.run(scenario())


def test_what_the_log_holds_no_more_is_given_up_only_when_asked(made: ExporterSettings) -> None:
    async def scenario() -> None:
        async with site_of(made) as site:
            await site.post([event(n, anon=f"a{n}") for n in range(20)], copies=0)
            await site.fold()
            (old,) = day_files(made.log_folder)
            open_newest(made.log_folder, now_ms() + DAY).close()
            for part in old.parent.glob(f"{old.name}*"):
                part.unlink()
            site.events.clear()
            await site.post([event(1000 + n, anon=f"a{n}") for n in range(10)], copies=0)
            await site.fold()
            await site.shelf.make_profiles()
            for work in (site.compare, site.rebuild):
                with pytest.raises(HistoryShort, match=r"events\.v1 reaches back to 2026-11-24T10:00:01\.\d+Z"):
                    await work()
            assert len(await site.shelf.profiles()) == 20
            await site.rebuild(drop_history=True)
            await site.agree()
            assert len(await site.shelf.profiles()) == 10
            # From now on that is the beginning.
            assert await site.compare() == []

    asyncio.run(scenario())


def test_a_version_that_could_fold_less_is_refused(made: ExporterSettings) -> None:
    async def scenario() -> None:
        async with site_of(made) as site:
            await site.post([event(n, anon=f"a{n}") for n in range(5)], *({"kind": "odd", "n": n, "received_at": WHEN}
                            for n in range(FEW + 1)), copies=0)  # fmt: skip
            await site.fold()
            await site.shelf.make_profiles()
            assert await site.compare() == []
            # As if the one that made the store could still fold them.
            async with site.shelf.store.write() as connection:
                await connection.execute(text("UPDATE counts SET status = 'accepted'"))
            with pytest.raises(Halted, match=f"{FEW + 1} records"):
                await site.rebuild()
            assert [one.table for one in await site.compare()] == ["counts", "counts"]

    asyncio.run(scenario())


def test_sessions_that_only_wait_for_the_clock_are_no_difference(tmp_path: Path) -> None:
    async def scenario() -> None:
        made = ExporterSettings(data=tmp_path, secret=SecretStr(SECRET.decode()), rules=RULES)
        async with site_of(made) as site:
            site.shelf.now = START + 5 * MINUTE
            await site.post([event(0, anon="a1")], copies=0)
            await site.fold()
            await site.shelf.make_profiles()
            for minutes in (0, 24, 24, 2 * 60, 5 * 24 * 60):
                site.shelf.now += minutes * MINUTE
                assert await site.compare() == [], minutes
            # One that the clock will never come to is one.
            async with site.shelf.store.write() as connection:
                await connection.execute(text("UPDATE session SET due = NULL"))
            assert [one.what.split()[-3:] for one in await site.compare()] == [["in", "due,", "state"]]

    asyncio.run(scenario())
