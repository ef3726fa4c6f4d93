"""Whose an event is, rule by rule."""

from __future__ import annotations

from eventlog.event import Event
from exporter.identity import Root, profile_id, resolve
from exporter.member import member_of
from exporter.rules import Rules
from tests.rules.events import DAY, MINUTE, RULES, SECRET, by_visitor, event, owners_of, profiles_of

USER: Root = ("user", "u1")


def roots(*events: Event, rules: Rules = RULES) -> list[Root]:
    """The root of each event, in the order given."""
    members = [member_of(one, rules) for one in events]
    owners = owners_of(members, rules)
    found = {
        member.id: root for visitor in by_visitor(members).values() for member, root in resolve(visitor, owners, rules)
    }
    return [found[one["id"]] for one in events]


def test_what_a_visitor_did_before_the_login_becomes_the_users() -> None:
    assert roots(event(0, anon="a"), event(MINUTE, "identify", anon="a", user="u1"), event(DAY, anon="a")) == [USER] * 3


def test_a_login_reaches_back_thirty_days_and_no_further() -> None:
    login = event(30 * DAY, "identify", anon="a", user="u1")
    assert roots(event(0, anon="a"), event(-1, anon="a"), login) == [USER, ("anon", "a#0"), USER]


def test_a_logout_ends_what_is_the_users() -> None:
    events = [
        event(0, anon="a", user="u1"), event(1, anon="a"), event(2, "reset", anon="a"), event(3, anon="a"),
        event(4, anon="a", user="u2"), event(5, anon="a"), event(6, "reset", anon="a"), event(7, anon="a"),
    ]  # fmt: skip
    assert roots(*events) == [USER] * 3 + [("user", "u2")] * 4 + [("anon", "a#2")]


def test_a_second_user_takes_over_from_where_it_is_named() -> None:
    events = [event(0, anon="a", user="u1"), event(1, anon="a"), event(2, anon="a", user="u2"), event(3, anon="a")]
    assert roots(*events) == [USER, USER, ("user", "u2"), ("user", "u2")]


def test_an_email_belongs_to_the_user_last_seen_with_it_wherever_that_was() -> None:
    newsletter = event(0, anon="phone", email="E@x.no")
    crm = event(DAY, "identify", user="u1", email="e@x.no", channel="server")
    assert roots(newsletter, crm) == [USER, USER]
    taken_over = event(2 * DAY, "identify", user="u2", email="e@x.no", channel="server")
    assert roots(newsletter, crm, taken_over) == [("user", "u2"), USER, ("user", "u2")]


def test_an_email_without_a_user_is_a_person_of_its_own_and_displaces_no_user() -> None:
    email: Root = ("email", "e@x.no")
    assert roots(event(0, anon="a"), event(1, anon="a", email="e@x.no"), event(2, anon="a")) == [email] * 3
    known = [event(0, anon="a", user="u1"), event(1, anon="a", email="e@x.no"), event(2, anon="a")]
    assert roots(*known) == [USER] * 3


def test_of_a_users_emails_the_five_used_last_count() -> None:
    stated = [event(n, user="u1", email=f"e{n}@x.no", channel="server") for n in range(6)]
    visits = [event(DAY, anon=f"a{n}", email=f"e{n}@x.no") for n in range(6)]
    assert roots(*stated, *visits)[6:] == [("email", "e0@x.no")] + [USER] * 5
    back = event(DAY, user="u1", email="e0@x.no", channel="server")
    assert roots(*stated, back, *visits)[7:] == [USER, ("email", "e1@x.no")] + [USER] * 4


def test_an_alias_says_whose_an_anonymous_id_was_and_joins_no_users() -> None:
    alias = event(DAY, "alias", user="u1", previous="a", channel="server")
    assert roots(event(0, anon="a"), event(2 * DAY, anon="a"), alias) == [USER] * 3
    assert roots(event(0, user="u2"), event(DAY, "alias", user="u1", previous="u2")) == [("user", "u2"), USER]
    own = event(1, "alias", user="a", previous="a", anon="a")
    assert roots(event(0, anon="b"), own) == [("anon", "b#0"), ("user", "a")]


def test_a_back_end_that_is_not_trusted_does_not_say_whose_an_anonymous_id_is() -> None:
    server = {"channel": "server", "anon": "a", "user": "u1"}
    assert roots(event(0, anon="a"), event(1, **server)) == [("anon", "a#0"), USER]
    assert roots(event(0, anon="a"), event(1, **server, source="crm")) == [USER, USER]


def test_bots_and_latecomers_say_nothing_but_go_where_they_belong() -> None:
    for quirk in ({"bot": "GPTBot"}, {"late": True}):
        assert roots(event(0, anon="a"), event(1, anon="a", user="u1", **quirk)) == [("anon", "a#0"), USER]
        assert roots(event(0, anon="a", user="u1"), event(1, anon="a", **quirk)) == [USER, USER]
        assert roots(event(0, anon="b", email="e@x.no"), event(1, user="u1", email="e@x.no", **quirk))[0][0] == "email"


def test_a_visitor_faster_than_people_is_a_bot_on_that_day_only() -> None:
    rules = Rules(bot_events_per_minute=3)
    rush = [event(n * 10_000, anon="a") for n in range(4)]
    profile = profiles_of([*rush, event(DAY, anon="a")], rules)[("anon", "a#0")].profile
    assert profile["counts"] == {"events": 5, "events_bot": 4, "sessions": 1, "orders": 0, "names": {"pageview": 1}}
    known = [event(n * 10_000, user="u1") for n in range(4)]
    assert "events_bot" not in profiles_of(known, rules)[USER].profile["counts"]
    three = [event(n * 10_000, anon="a") for n in range(3)]
    assert "events_bot" not in profiles_of(three, rules)[("anon", "a#0")].profile["counts"]


def test_two_users_are_never_one_person() -> None:
    events = [event(n, anon="a", user=f"u{n % 2}", email="e@x.no") for n in range(6)]
    assert {root: one.profile["identifiers"]["user"] for root, one in profiles_of(events).items()} == {
        ("user", "u0"): ["u0"],
        ("user", "u1"): ["u1"],
    }


def test_ids_of_profiles_are_stable_and_do_not_tell_an_email() -> None:
    assert profile_id(USER, SECRET) == profile_id(USER, b"another") == "53ba0fd1-7127-532b-b9e3-14a59513571e"
    assert profile_id(("email", "e@x.no"), SECRET) != profile_id(("email", "e@x.no"), b"another")
    assert profile_id(("anon", "u1#0"), SECRET) != profile_id(("anon", "u1#1"), SECRET)
