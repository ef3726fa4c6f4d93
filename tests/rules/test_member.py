"""What of an event is kept for the rules."""

from __future__ import annotations

import base64
from typing import cast

import pytest

from eventlog.event import Event
from exporter.member import (
    consent_of,
    decode_members,
    encode_members,
    in_order,
    member_of,
    named_roots,
    ownership_facts,
)
from exporter.rules import Rules
from tests.rules.events import HOUR, RULES, buy, event


def test_the_visitor_is_the_anonymous_id_else_the_highest_identifier() -> None:
    email = {"email": "A@x.no"}
    assert member_of(event(0, anon="A-1", user="u", **email), RULES).visitor_key == "anon:A-1"
    assert member_of(event(0, user="u", ruid="r", **email), RULES).visitor_key == "user:u"
    assert member_of(event(0, ruid="r", **email), RULES).visitor_key == "ruid:r"
    assert member_of(event(0, **email), RULES).visitor_key == "email:a@x.no"
    assert member_of(event(0), RULES).visitor_key is None


@pytest.mark.parametrize("value", ["null", "'guest'", "0000", "[object Object]", "-1"])
def test_a_value_that_stands_for_nobody_is_no_identifier(value: str) -> None:
    member = member_of(event(0, anon=value, user=value, ruid=value), RULES)
    assert member.visitor_key is None
    assert named_roots(member) == set()


def test_an_installation_can_block_values_of_its_own() -> None:
    rules = Rules(blocked_ids=["Kiosk"])
    assert member_of(event(0, anon="a", user="kiosk"), rules).user is None
    assert member_of(event(0, anon="a", user="'KIOSK'"), rules).user is None
    assert member_of(event(0, anon="a", user="kiosk-1"), rules).user == "kiosk-1"


def test_an_email_comes_from_identifiers_then_from_a_ruid_then_from_traits() -> None:
    ruid = base64.b64encode(b"in-ruid@x.no").decode()
    traits = {"email": "In-Traits@x.no"}
    assert member_of(event(0, "identify", email="a@x.no", ruid=ruid, traits=traits), RULES).email == "a@x.no"
    decoded = member_of(event(0, "identify", ruid=ruid, traits=traits), RULES)
    assert (decoded.email, decoded.ruid) == ("in-ruid@x.no", None)
    assert member_of(event(0, "identify", traits=traits), RULES).email == "in-traits@x.no"
    assert member_of(event(0, "identify", anon="a", traits={"email": 7}), RULES).email is None


def test_properties_identify_nobody() -> None:
    assert member_of(event(0, properties={"email": "a@x.no", "user_id": "u"}), RULES).visitor_key is None


def test_traits_are_a_persons_but_those_of_a_group() -> None:
    for kind, traits in (("page", {"k": 1}), ("identify", {"k": 1}), ("group", None)):
        stated = event(0, anon="a", traits={"k": 1}) | {"kind": kind, "traits_once": {"k": 1}}
        member = member_of(cast(Event, stated), RULES)
        assert (member.traits, member.traits_once) == (traits, traits)


def test_too_late_is_more_than_72_hours_and_never_an_import() -> None:
    assert member_of(event(0, anon="a", late=True), RULES).in_sessions is False
    assert member_of(event(0, anon="a", late=True), Rules(late_after=80 * HOUR // 1000)).in_sessions
    imported = member_of(event(0, anon="a", user="u", email="a@x.no", channel="import", late=True, source="crm"), RULES)
    assert imported.makes_facts
    assert ownership_facts(imported)


def test_a_consent_snapshot_survives_with_what_it_does_not_state() -> None:
    stated = {"analytics": True, "third_party_sharing": False, "gpc": True, "text_version": "v3"}
    [member] = decode_members(encode_members([member_of(event(0, anon="a", consent=stated), RULES)]))
    assert consent_of(member) == {"analytics": True, "third_party_sharing": False, "gpc": True}
    assert member.consent_text == "v3"


def test_members_of_another_version_are_refused() -> None:
    with pytest.raises(ValueError, match="version 99"):
        decode_members(b"[99]")


def test_an_order_survives_being_stored() -> None:
    member = member_of(buy(0, "o1", ("p", "1.50"), anon="a"), RULES)
    assert decode_members(encode_members([member])) == [member]


def test_events_are_ordered_by_time_source_sequence_and_id() -> None:
    made = [
        event(1, id="a", source="a"), event(0, id="a", source="b"), event(0, id="b", source="a", seq=2),
        event(0, id="c", source="a", seq=1), event(0, id="z", source="a"), event(0, id="é", source="a"),
    ]  # fmt: skip
    members = in_order(member_of(one, RULES) for one in made)
    assert [(one.time % 1000, one.source, one.seq, one.id) for one in members] == [
        (0, "a", 0, "z"), (0, "a", 0, "é"), (0, "a", 1, "c"), (0, "a", 2, "b"), (0, "b", 0, "a"), (1, "a", 0, "a"),
    ]  # fmt: skip
