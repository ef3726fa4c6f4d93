"""What a profile says: counts, money, traits, consents, identifiers."""

from __future__ import annotations

import time
from typing import Any

import pytest

from eventlog.event import Event
from exporter.identity import NO_OWNERS, Root, candidate_roots
from exporter.member import member_of
from exporter.profile import MAX_IDENTIFIERS, Setting, assemble, assemble_all, owned
from exporter.rules import Rules
from tests.rules.events import DAY, MINUTE, RULES, SECRET, START, buy, by_visitor, event, owners_of, profiles_of

USER: Root = ("user", "u1")


def profile(*events: Event, root: Root = USER, rules: Rules = RULES) -> dict[str, Any]:
    return profiles_of(events, rules)[root].profile


def test_one_order_reported_by_browser_and_server_counts_once() -> None:
    browser = buy(0, "o1", ("p1", "10"), ("p1", "10"), ("p2", "5"), anon="a", user="u1")
    server = buy(MINUTE, "o1", ("p2", "5.00"), ("p1", "10.00"), ("p1", "11"), user="u1", channel="server", source="crm")
    found = profile(browser, server)
    assert found["counts"]["orders"] == 1
    assert found["money"] == {"EUR": {"revenue": "25.00", "orders": 1, "min_order": "25.00", "max_order": "25.00"}}


def test_a_total_and_its_items_are_the_same_money() -> None:
    items = buy(0, "o1", ("p1", "10"), user="u1")
    total = event(1, "buy", order={"order_id": "o1", "total": "12.50", "currency": "EUR"}, user="u1")
    assert profile(items, total)["money"]["EUR"]["revenue"] == "10.00"
    earlier = event(-1, "buy", order={"order_id": "o1", "total": "12.50", "currency": "EUR"}, user="u1")
    assert profile(items, earlier)["money"]["EUR"]["revenue"] == "12.50"


def test_orders_without_an_id_are_orders_of_their_own() -> None:
    found = profile(buy(0, None, ("p1", "10"), user="u1"), buy(1, None, ("p1", "30"), user="u1"))
    assert found["money"]["EUR"] == {"revenue": "40.00", "orders": 2, "min_order": "10.00", "max_order": "30.00"}


def test_refunds_are_a_sum_of_their_own() -> None:
    events = [
        buy(0, "o1", ("p1", "10"), ("p2", "-2"), user="u1"),
        buy(1, "o1", ("p1", "4"), name="return", user="u1"),
        buy(2, "o1", ("p1", "-3"), name="return", user="u1"),
    ]
    found = profile(*events)
    assert found["counts"]["orders"] == 1
    assert found["money"]["EUR"] == {
        "revenue": "10.00", "orders": 1, "min_order": "10.00", "max_order": "10.00", "refunds": "9.00",
    }  # fmt: skip
    assert profile(events[1])["money"] == {"EUR": {"refunds": "4.00"}}


def test_currencies_are_never_added() -> None:
    events = [
        buy(0, "o1", ("p1", "10"), currency="eur", user="u1"),
        buy(1, "o2", ("p1", "1000.5"), currency="JPY", user="u1"),
        buy(2, "o3", ("p1", "1.2345"), currency="KWD", user="u1"),
        buy(3, "o4", ("p1", "7"), currency=None, user="u1"),
        event(4, "buy", order={"currency": "EUR"}, items=[{"price": "8", "currency": "nok"}], user="u1"),
    ]
    assert {currency: one["revenue"] for currency, one in profile(*events)["money"].items()} == {
        "EUR": "10.00", "JPY": "1001", "KWD": "1.235", "NOK": "8.00", "XXX": "7.00",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "revenue"),
    [
        ({"items": [{"subtotal": "9", "price": "5", "quantity": 2}]}, "9.00"),
        ({"items": [{"price": "5", "quantity": 3}]}, "15.00"),
        ({"items": [{"price": "0.335", "quantity": 0.5}]}, "0.17"),
        ({"items": [{"price": "0.005"}, {"price": "0.005"}]}, "0.02"),
        ({"order": {"subtotal": "1", "revenue": "2", "value": "3", "total": "4", "tax": "9"}}, "1.00"),
        ({"order": {"revenue": "2", "value": "3", "total": "4"}}, "2.00"),
        ({"order": {"value": "3", "total": "4", "shipping": "5"}}, "3.00"),
        ({"order": {"total": "4"}}, "4.00"),
    ],
)
def test_the_value_of_an_order(fields: dict[str, Any], revenue: str) -> None:
    assert profile(event(0, "buy", user="u1", **fields))["money"]["XXX"]["revenue"] == revenue


@pytest.mark.parametrize("fields", [{}, {"items": [{"product_id": "p"}]}, {"order": {"total": "9" * 400}}])
def test_an_order_without_a_usable_value_is_an_order_without_money(fields: dict[str, Any]) -> None:
    found = profile(event(0, "buy", user="u1", **fields))
    assert found["counts"]["orders"] == 1
    assert "money" not in found


def test_bots_count_in_events_and_nowhere_else() -> None:
    found = profile(
        event(0, user="u1"),
        buy(DAY, "o1", ("p", "1"), user="u1", bot="GPTBot"),
        event(-DAY, "identify", user="u1", traits={"k": 1}, bot="GPTBot"),
    )
    assert found["counts"] == {"events": 3, "events_bot": 2, "sessions": 1, "orders": 0, "names": {"pageview": 1}}
    assert found["first_seen"] == found["last_seen"] == found["last_visit"] == "2026-11-24T10:00:00.000Z"
    assert not {"money", "traits"} & found.keys()


def test_a_latecomer_counts_in_everything_but_sessions() -> None:
    found = profile(event(0, anon="a", user="u1"), buy(DAY, "o1", ("p", "1"), anon="a", user="u1", late=True))
    assert found["counts"] == {"events": 2, "sessions": 1, "orders": 1, "names": {"buy": 1, "pageview": 1}}
    assert found["last_visit"] == "2026-11-25T10:00:00.000Z"


def test_visits_are_of_browsers_and_apps() -> None:
    found = profile(event(0, user="u1", channel="server"), event(DAY, user="u1", channel="app"))
    assert (found["first_seen"], found["first_visit"]) == ("2026-11-24T10:00:00.000Z", "2026-11-25T10:00:00.000Z")


def identify(at: int, traits: dict[str, Any] | None = None, once: dict[str, Any] | None = None, **more: Any) -> Event:
    return event(at, "identify", **{"user": "u1", "traits": traits, "traits_once": once, **more})


def test_the_latest_trait_wins_and_null_deletes() -> None:
    found = profile(identify(0, {"a": 1, "b": {"x": 1}, "c": 1}), identify(1, {"b": {"y": 2}, "c": None, "d": None}))
    assert found["traits"] == {"a": 1, "b": {"y": 2}}


def test_a_source_of_higher_priority_wins_whenever_it_spoke() -> None:
    rules = Rules(source_priority={"crm": 1})
    assert profile(identify(0, {"a": 1}, source="crm"), identify(1, {"a": 2}), rules=rules)["traits"] == {"a": 1}


def test_a_trait_to_be_set_once_keeps_the_first() -> None:
    assert profile(identify(1, once={"a": 2}), identify(0, once={"a": 1}))["traits"] == {"a": 1}
    assert profile(identify(0, once={"a": 1}), identify(1, {"a": 2}))["traits"] == {"a": 2}
    assert profile(identify(0, {"a": 2}), identify(1, once={"a": 1}))["traits"] == {"a": 2}
    deleted = [identify(0, once={"a": 1}), identify(1, {"a": None})]
    assert "traits" not in profile(*deleted)
    assert profile(*deleted, identify(2, once={"a": 3}))["traits"] == {"a": 3}


def consents(*stated: dict[str, Any]) -> dict[str, Any]:
    events = []
    for at, consent in enumerate(stated):
        name = consent.pop("name", "pageview")
        events.append(event(at, name, user="u1", consent=consent))
    return {purpose: record["value"] for purpose, record in profile(*events).get("consents", {}).items()}


def test_the_latest_statement_on_each_purpose_holds() -> None:
    assert consents({"analytics": True, "personalization": True}, {"analytics": False}) == {
        "analytics": False,
        "personalization": True,
    }
    made = profile(event(0, id="e", user="u1", consent={"analytics": True, "text_version": "v2"}))["consents"]
    assert made["analytics"] == {
        "value": True, "time": "2026-11-24T10:00:00.000Z", "source": "shop", "event": "e", "text_version": "v2",
    }  # fmt: skip


def test_a_gpc_signal_denies_until_a_consent_event_with_the_signal_grants() -> None:
    denied = {"marketing_activation": False, "third_party_sharing": False}
    allow = {"marketing_activation": True, "third_party_sharing": True}
    assert consents({**allow}, {"gpc": True}) == denied
    assert consents({"gpc": True}, {**allow}, {**allow, "gpc": True}, {**allow, "name": "consent"}) == denied
    assert consents({"gpc": True}, {**allow, "gpc": True, "name": "consent"}, {"gpc": True}) == allow
    granted = {"third_party_sharing": True, "gpc": True, "name": "consent"}
    assert consents({"gpc": True}, {**granted}) == {**denied, "third_party_sharing": True}
    assert consents({"gpc": True}, {**granted}, {"third_party_sharing": False}) == denied


def test_identifiers_are_the_persons_own_latest_first() -> None:
    events = [
        event(0, anon="a1", user="u1", email="old@x.no"),
        event(1, anon="a2", user="u1", email="new@x.no", ruid="r1"),
        event(2, user="u1", email="shared@x.no"),
        event(3, user="u2", email="shared@x.no"),
        event(4, anon="shared", user="u1", channel="server"),
    ]
    assert profile(*events)["identifiers"] == {
        "user": ["u1"], "email": ["new@x.no", "old@x.no"], "ruid": ["r1"], "anon": ["a2", "a1"],
    }  # fmt: skip
    assert profile(*events, root=("user", "u2"))["identifiers"] == {"user": ["u2"], "email": ["shared@x.no"]}


def test_a_profile_with_very_many_identifiers_names_the_latest_and_says_so() -> None:
    found = profile(*(event(n, anon=f"a{n}", user="u1") for n in range(MAX_IDENTIFIERS + 1)))
    assert found["identifiers"]["anon"][0] == f"a{MAX_IDENTIFIERS}"
    assert len(found["identifiers"]["anon"]) == MAX_IDENTIFIERS
    assert found["flags"] == ["many_identifiers"]


def test_a_root_that_owns_nothing_has_no_profile() -> None:
    members = [member_of(event(0, anon="a", user="u1"), RULES)]
    setting = Setting(RULES, SECRET, START)
    assert assemble(("anon", "a#0"), by_visitor(members), owners_of(members), setting) is None
    assert assemble(USER, {}, NO_OWNERS, setting) is None


def test_a_profiles_events_come_from_all_its_visitors_in_order() -> None:
    events = [event(2, anon="a", user="u1"), event(1, anon="b", user="u1"), event(0, anon="c")]
    members = [member_of(one, RULES) for one in events]
    assert owned(USER, by_visitor(members), owners_of(members), RULES) == [members[1], members[0]]


def test_a_visitor_with_a_hundred_thousand_events_is_made_in_linear_time() -> None:
    members = [
        member_of(event(n * 1000, anon="a", user=f"u{n}" if n % 100 == 0 else None, id=str(n)), RULES)
        for n in range(2_000)
    ]
    names = ("pageview",) * 19 + ("reset",)
    many = [
        member._replace(id=f"{copy}-{member.id}", time=member.time + copy * DAY, name=names[copy % 20])
        for copy in range(50)
        for member in members
    ]
    started = time.perf_counter()
    found = assemble_all(candidate_roots(many), {"anon:a": many}, NO_OWNERS, Setting(RULES, SECRET, START))
    assert sum(one.profile["counts"]["events"] for one in found.values() if one is not None) == 100_000
    assert time.perf_counter() - started < 60  # about 2 s on one core; a square would take hours
