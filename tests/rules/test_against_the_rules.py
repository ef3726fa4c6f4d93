"""The implementation against the naive oracle, and the invariants of profiles.md, on random sets of events."""

from __future__ import annotations

import random
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.event import Event
from exporter.identity import Root, candidate_roots, resolve, with_owners
from exporter.member import decode_members, encode_members, member_of
from exporter.profile import Assembled
from exporter.rules import Rules
from exporter.session import cut
from tests.rules import strategies
from tests.rules.events import DAY, RULES, SECRET, START, by_visitor, owners_of, profiles_of, profiles_of_members
from tests.rules.oracle import Oracle

NOW = START + 30 * DAY


def comparable(profile: dict[str, Any]) -> dict[str, Any]:
    return {**profile, "identifiers": {kind: set(values) for kind, values in profile["identifiers"].items()}}


def agree(events: list[Event], rules: Rules) -> dict[Root, Assembled]:
    oracle = Oracle(events, rules, SECRET, NOW)
    found = profiles_of(events, rules, NOW)
    assert found.keys() == oracle.roots()
    sessions: dict[Root, list[dict[str, Any]]] = {root: [] for root in found}
    for session in sorted(oracle.sessions(), key=lambda session: session[0].order):
        assert session[0].root is not None
        sessions[session[0].root].append(oracle.session_facts(session))
    for root, (profile, made) in found.items():
        expected = oracle.profile(root)
        if profile.get("consents"):
            expected["consents"] = profile["consents"]
        assert comparable(profile) == expected
        # Products and orders of sessions have tests of their own.
        bare = [
            {key: value for key, value in one.items() if key not in ("products", "orders", "revenue")} for one in made
        ]
        assert bare == sessions[root]
    return found


@settings(max_examples=250, deadline=None)
@given(strategies.events, strategies.all_rules)
def test_profiles_and_sessions_are_what_sorting_and_walking_gives(events: list[Event], rules: Rules) -> None:
    found = agree(events, rules)
    attributed = {(one["source"], one["id"]) for one in events if member_of(one, rules).visitor_key is not None}
    # I4: each event is in exactly one profile, or unattributed.
    assert sum(one.profile["counts"]["events"] for one in found.values()) == len(attributed)
    for profile, _ in found.values():
        assert len(profile["identifiers"].get("user", [])) <= 1  # I3
        values = {value for kind in profile["identifiers"].values() for value in kind}
        assert not values & set(strategies.BLOCKED)  # I6
        assert profile["root"]["value"] not in strategies.BLOCKED


@settings(max_examples=40, deadline=None)
@given(strategies.dense_chain())
def test_chains_longer_than_a_session_may_last(events: list[Event]) -> None:
    agree(events, RULES)


@settings(max_examples=200, deadline=None)
@given(strategies.one_browser())
def test_logins_logouts_and_aliases_of_one_browser(events: list[Event]) -> None:
    agree(events, RULES)


@settings(max_examples=80, deadline=None)
@given(strategies.events, strategies.all_rules, st.randoms(use_true_random=False))
def test_order_of_arrival_and_copies_do_not_matter(events: list[Event], rules: Rules, chance: random.Random) -> None:
    again = [*events, *chance.sample(events, len(events) // 2)]
    chance.shuffle(again)
    assert profiles_of(again, rules, NOW) == profiles_of(events, rules, NOW)


@settings(max_examples=60, deadline=None)
@given(strategies.events, strategies.all_rules)
def test_resolving_again_changes_nothing(events: list[Event], rules: Rules) -> None:
    members = [member_of(one, rules) for one in events]
    owners = owners_of(members, rules)
    for visitor in by_visitor(members).values():
        resolved = resolve(visitor, owners, rules)
        assert resolve((member for member, _ in resolved), owners, rules) == resolved
        assert {root for _, root in resolved} <= with_owners(candidate_roots(visitor), owners)
        for _, (kind, value) in resolved:
            assert (kind, value) not in owners.users  # a root has no owner but itself


@settings(max_examples=60, deadline=None)
@given(strategies.events, strategies.all_rules)
def test_members_survive_being_stored(events: list[Event], rules: Rules) -> None:
    members = [member_of(one, rules) for one in events]
    assert decode_members(encode_members(members)) == members


@settings(max_examples=60, deadline=None)
@given(strategies.events, strategies.all_rules)
def test_other_names_for_the_same_ids_give_the_same_profiles_under_those_names(
    events: list[Event], rules: Rules
) -> None:
    ids = (*strategies.ANON, *strategies.USERS, *strategies.EMAILS, "r1")
    names = {value: "z" + value for value in ids}
    renamed = [_renamed(one, names) for one in events]
    found, expected = profiles_of(renamed, rules, NOW), profiles_of(events, rules, NOW)
    assert len(found) == len(expected)
    for (kind, value), (profile, sessions) in expected.items():
        anon, hash_mark, epoch = value.partition("#")
        other = found[kind, names[anon] + hash_mark + epoch]
        assert _unhashed(other.profile) == _unhashed(_renamed(profile, names))
        assert [_unhashed(one) for one in other.sessions] == [_unhashed(_renamed(one, names)) for one in sessions]


def _renamed(value: Any, names: dict[str, str]) -> Any:
    text = orjson.dumps(value).decode()
    for old, new in names.items():
        for before, after in (('"', '"'), ('"', "#"), (":", '"')):
            text = text.replace(f"{before}{old}{after}", f"{before}{new}{after}")
    return orjson.loads(text)


def _unhashed(value: dict[str, Any]) -> dict[str, Any]:
    return {key: one for key, one in value.items() if key not in ("id", "profile_id")}


@settings(max_examples=60, deadline=None)
@given(strategies.events, strategies.all_rules, st.data())
def test_a_store_that_forgets_an_event_is_one_that_never_had_it(
    events: list[Event], rules: Rules, data: st.DataObject
) -> None:
    gone = data.draw(st.integers(0, len(events) - 1))
    without = [one for place, one in enumerate(events) if place != gone]
    kept = [member_of(one, rules) for one in events]
    del kept[gone]
    assert profiles_of_members(decode_members(encode_members(kept)), rules, NOW) == profiles_of(without, rules, NOW)


@settings(max_examples=40, deadline=None)
@given(strategies.events, strategies.all_rules)
def test_sessions_of_a_visitor_hold_each_of_its_visits_once(events: list[Event], rules: Rules) -> None:
    members = [member_of(one, rules) for one in events]
    owners = owners_of(members, rules)
    for visitor in by_visitor(members).values():
        resolved = resolve(visitor, owners, rules)
        inside = [member for session in cut(resolved, rules) for member in session.members]
        assert inside == [member for member, _ in resolved if member.in_sessions]
