"""Where sessions begin and end, and what they say."""

from __future__ import annotations

from typing import Any

import pytest

from eventlog.event import Event
from exporter.identity import Root
from exporter.rules import Rules
from exporter.session import MAX_NAMES, flips, largest_names, state_at
from tests.rules.events import DAY, HOUR, MINUTE, RULES, START, buy, event, profiles_of

ANON: Root = ("anon", "a#0")
USER: Root = ("user", "u1")


def sessions(*events: Event, root: Root = ANON, rules: Rules = RULES) -> list[dict[str, Any]]:
    return profiles_of(events, rules)[root].sessions


def sizes(*events: Event, root: Root = ANON) -> list[int]:
    return [sum(session["counts"].values()) for session in sessions(*events, root=root)]


def visits(*times: int, **fields: Any) -> list[Event]:
    return [event(at, anon="a", **fields) for at in times]


def test_a_gap_of_just_the_timeout_begins_a_new_session() -> None:
    assert sizes(*visits(0, 30 * MINUTE - 1)) == [2]
    assert sizes(*visits(0, 30 * MINUTE)) == [1, 1]


def test_a_session_lasts_twelve_hours_at_most() -> None:
    quarters = range(0, 13 * HOUR, 15 * MINUTE)
    assert sizes(*visits(*quarters)) == [48, 4]


def test_midnight_does_not_end_a_session() -> None:
    assert sizes(*visits(14 * HOUR - MINUTE, 14 * HOUR, 14 * HOUR + MINUTE)) == [3]


def test_a_logout_is_the_last_event_of_its_session() -> None:
    events = [event(0, anon="a", user="u1"), event(1, "reset", anon="a"), event(2, anon="a", user="u1")]
    assert [one["counts"] for one in sessions(*events, root=USER)] == [{"pageview": 1, "reset": 1}, {"pageview": 1}]


def test_a_login_does_not_cut_and_a_change_of_users_does() -> None:
    events = [event(0, anon="a"), event(1, anon="a", user="u1"), event(2, anon="a", user="u2"), event(3, anon="a")]
    assert sizes(*events, root=USER) == [2]
    assert sizes(*events, root=("user", "u2")) == [2]
    again = event(4, anon="a", user="u1")
    assert sizes(*events, again, root=USER) == [2, 1]


def test_a_login_takes_over_the_sessions_of_the_last_thirty_days() -> None:
    before = visits(0, DAY, 10 * DAY)
    assert sizes(*before) == [1, 1, 1]
    login = event(31 * DAY, "identify", anon="a", user="u1")
    assert sizes(*before, login, root=USER) == [1, 1, 1]
    assert sizes(*before, login) == [1]


def test_a_late_event_joins_two_sessions_or_splits_one() -> None:
    assert sizes(*visits(0, 40 * MINUTE)) == [1, 1]
    assert sizes(*visits(0, 40 * MINUTE), *visits(20 * MINUTE)) == [3]
    together = visits(0, MINUTE, 2 * MINUTE)
    assert sizes(*together) == [3]
    assert sizes(*together, event(MINUTE + 1, "reset", anon="a")) == [3]
    assert sizes(*together, event(MINUTE + 1, "reset", anon="a"), root=("anon", "a#1")) == [1]


def test_servers_bots_and_latecomers_are_in_no_session() -> None:
    others = [event(1, anon="a", channel=channel) for channel in ("server", "import", "pixel")]
    others += [event(2, anon="a", bot="GPTBot"), event(3, anon="a", late=True)]
    assert sizes(*visits(0), *others) == [1]
    assert profiles_of(others)[ANON].sessions == []


def test_an_id_stays_while_the_first_event_does() -> None:
    first = event(0, anon="a")
    [alone] = sessions(first)
    [longer] = sessions(first, *visits(MINUTE))
    [earlier] = sessions(first, *visits(-MINUTE))
    assert alone["id"] == longer["id"] != earlier["id"]


def test_two_browsers_of_one_person_are_two_sessions() -> None:
    events = [event(0, anon="a", user="u1"), event(1, anon="b", user="u1")]
    assert [one["key"] for one in sessions(*events, root=USER)] == ["anon:a", "anon:b"]


@pytest.mark.parametrize(
    ("events", "engaged"),
    [
        (visits(0), False),
        (visits(0, name="visit"), False),
        (visits(0, 10_000, name="visit"), False),
        (visits(0, 10_001, name="visit"), True),
        (visits(0, 1), True),
        ([buy(0, "o", ("p", "1"), anon="a")], True),
    ],
)
def test_a_session_is_engaged_by_time_views_or_a_key_event(events: list[Event], engaged: bool) -> None:
    [session] = sessions(*events)
    assert (session["engaged"], session["bounce"]) == (engaged, not engaged)


def test_what_a_session_says() -> None:
    shoes = {"product_id": "p1", "category_path": [["25", "Shoes"], ["402", "Running"]]}
    socks = {"product_id": "p2", "category_path": [["30", "Socks"]]}
    events = [
        event(0, anon="a", page={"url": "https://x.no/?utm", "referrer": "https://s.no/"}, device="phone"),
        event(1, "visit", anon="a", items=[{"product_id": "p0"}, shoes], campaign={"source": "news"}, url="https://x.no/1"),
        event(2, "basket", anon="a", items=[socks], basket={"change": "add"}, device="desktop"),
        event(3, "search", anon="a", search={"query": "boots"}, items=[{"product_id": "p9"}]),
        buy(4, "o1", ("p2", "10"), ("p1", "5.555"), anon="a", url="https://x.no/2"),
    ]  # fmt: skip
    [session] = sessions(*events)
    expected = {
        "landing": "https://x.no/?utm", "exit": "https://x.no/2", "referrer": "https://s.no/",
        "campaign": {"source": "news"}, "entry_category": "402", "exit_category": "402", "products": 3,
        "orders": 1, "revenue": {"EUR": "15.56"}, "views": 1, "device": ["desktop", "phone"], "duration_ms": 4,
        "start": "2026-11-24T10:00:00.000Z", "end": "2026-11-24T10:00:00.004Z", "state": "final",
    }  # fmt: skip
    assert {key: session[key] for key in expected} == expected


def test_an_order_counts_in_the_session_that_reported_it_first() -> None:
    events = [
        buy(-MINUTE, "o1", ("p", "10"), user="u1", channel="server"),
        buy(0, "o1", ("p", "10"), anon="a", user="u1"),
        buy(DAY, "o1", ("p", "10"), anon="a", user="u1"),
    ]
    first, reloaded = sessions(*events, root=USER)
    assert (first["orders"], first["revenue"]) == (1, {"EUR": "10.00"})
    assert "orders" not in reloaded
    assert "revenue" not in reloaded


def test_a_session_closes_after_the_timeout_and_is_final_after_72_hours_more() -> None:
    closed, final = flips(START, RULES)
    assert [state_at(START, now, RULES) for now in (closed, closed + 1, final, final + 1)] == [
        "open", "closed", "closed", "final",
    ]  # fmt: skip
    assert (closed - START, final - closed) == (30 * MINUTE, 72 * HOUR)


def test_rare_names_are_counted_together_when_there_are_too_many() -> None:
    names = {f"name {n:03}": n for n in range(1, MAX_NAMES + 3)}
    joined = largest_names(names)
    assert len(joined) == MAX_NAMES
    assert joined["other"] == 1 + 2 + 3
    assert sum(joined.values()) == sum(names.values())
    assert largest_names({"b": 1, "a": 1}) == {"a": 1, "b": 1}
