"""Canonical events for the rules' tests, and what the rules make of a set of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from eventlog.event import EVENT, Event
from eventlog.profile import PROFILE, SESSION
from eventlog.timestamps import DAY_MS, HOUR_MS, format_ms, parse_ms
from exporter.identity import Owners, Root, candidate_roots, owners, with_owners
from exporter.member import Member, member_of, ownership_facts
from exporter.profile import Assembled, Setting, assemble_all
from exporter.rules import Rules

START = parse_ms("2026-11-24T10:00:00.000Z")
MINUTE = 60_000
HOUR = HOUR_MS
DAY = DAY_MS
SECRET = b"a secret of tests"
RULES = Rules(trusted_sources=["crm"])

_numbers = itertools.count()


def event(at: int, name: str = "pageview", **fields: Any) -> Event:
    """A valid event `at` ms after START. `late=True` lets it arrive 73 h afterwards; None leaves a field out."""
    time = START + at
    kinds = {"identify": "identify", "alias": "alias", "pageview": "page"}
    received = time + (73 * HOUR if fields.pop("late", False) else 100)
    made: dict[str, Any] = {
        "id": f"n{next(_numbers)}",
        "name": name,
        "kind": kinds.get(name, "track"),
        "source": "shop",
        "channel": "web",
        "protocol": "segment",
        "occurred_at": format_ms(time),
        "received_at": format_ms(received),
        "time_source": "client",
    }
    words = {"anon": "anonymous_id", "user": "user_id", "previous": "previous_id"}
    for key, value in fields.items():
        if value is None:
            continue
        if key in ("email", "ruid"):
            made.setdefault("identifiers", {})[key] = value
        elif key in ("bot", "seq", "device"):
            made.setdefault("client", {})[key] = value
        elif key in ("url", "view_id"):
            made.setdefault("page", {})[key] = value
            if key == "view_id":
                made["protocol"] = "trackway"
        else:
            made[words.get(key, key)] = value
    return EVENT.validate_python(made)


def buy(at: int, order_id: str | None, *items: tuple[str, str], currency: str | None = "EUR", **fields: Any) -> Event:
    """A purchase of (product, price) items."""
    order = {key: value for key, value in (("order_id", order_id), ("currency", currency)) if value is not None}
    listed = [{"product_id": product, "price": price} for product, price in items]
    return event(at, fields.pop("name", "buy"), order=order, items=listed or None, **fields)


def by_visitor(members: Iterable[Member]) -> dict[str, list[Member]]:
    visitors: dict[str, list[Member]] = {}
    for member in members:
        if (key := member.visitor_key) is not None:
            visitors.setdefault(key, []).append(member)
    return visitors


def owners_of(members: Iterable[Member], rules: Rules = RULES) -> Owners:
    return owners((fact for member in members for fact in ownership_facts(member)), rules)


def profiles_of(events: Iterable[Event], rules: Rules = RULES, now: int = START + 400 * DAY) -> dict[Root, Assembled]:
    """Every profile of a set of events, each checked against the published shapes."""
    return profiles_of_members([member_of(one, rules) for one in events], rules, now)


def profiles_of_members(members: list[Member], rules: Rules, now: int) -> dict[Root, Assembled]:
    known = owners_of(members, rules)
    roots = with_owners(candidate_roots(members), known)
    return checked(assemble_all(roots, by_visitor(members), known, Setting(rules, SECRET, now)))


def checked(assembled: Mapping[Root, Assembled | None]) -> dict[Root, Assembled]:
    """Those that own something, after validation."""
    found = {root: one for root, one in assembled.items() if one is not None}
    for profile, sessions in found.values():
        PROFILE.validate_python({**profile, "revision": 1})
        for session in sessions:
            SESSION.validate_python({**session, "revision": 1})
    return found
