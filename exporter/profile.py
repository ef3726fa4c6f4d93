"""Profiles: what all events of one root say together, and the sessions that go with them.

Each part of a profile is a function of the root's events in order. Windows, top lists, basket and channels would be
further parts of `_body`; they need no more than the members hold or may come to hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from eventlog.timestamps import format_ms
from exporter.identity import Owners, Root, profile_id, resolve
from exporter.member import TRUSTED, WEB, Identifier, Member, consent_of, in_order, order_of
from exporter.money import Sale, Sales, money_text
from exporter.rules import Rules
from exporter.session import SessionFacts, cut, largest_names, session_dict

# A profile names this many of its identifiers of one kind, those seen last.
MAX_IDENTIFIERS: Final = 200
MANY_IDENTIFIERS: Final = "many_identifiers"

_PURPOSES: Final = ("analytics", "personalization", "marketing_activation", "third_party_sharing")
# What a browser's "do not sell or share" signal withdraws.
_GPC_PURPOSES: Final = ("marketing_activation", "third_party_sharing")


@dataclass(frozen=True, slots=True)
class Setting:
    """What assembling needs besides events: the rules, the tenant's secret (for ids), the time in ms."""

    rules: Rules
    secret: bytes
    now: int


class Assembled(NamedTuple):
    """A profile (`eventlog.profile.Profile`) and its sessions (`Session`, by start), all without `revision`."""

    profile: dict[str, Any]
    sessions: list[dict[str, Any]]


@dataclass(slots=True)
class _Share:
    """What one root owns."""

    members: list[Member]
    sessions: list[SessionFacts]


def assemble(
    root: Root, visitors: Mapping[str, Sequence[Member]], owners: Owners, setting: Setting
) -> Assembled | None:
    """Everything `root` owns of the events of `visitors` (visitor key -> all its members, in any order); None if it
    owns nothing. identity.py says which visitors and owners have to be there; more do no harm."""
    return assemble_all([root], visitors, owners, setting)[root]


def assemble_all(
    roots: Iterable[Root], visitors: Mapping[str, Sequence[Member]], owners: Owners, setting: Setting
) -> dict[Root, Assembled | None]:
    """`assemble` for several roots at once, resolving each visitor only once."""
    shares = {root: _Share([], []) for root in roots}
    for members in visitors.values():
        resolved = resolve(members, owners, setting.rules)
        if not any(root in shares for _, root in resolved):
            continue
        for member, root in resolved:
            if root in shares:
                shares[root].members.append(member)
        for session in cut(resolved, setting.rules):
            if session.root in shares:
                shares[session.root].sessions.append(session)
    return {root: _assembled(root, share, owners, setting) for root, share in shares.items()}


def owned(root: Root, visitors: Mapping[str, Sequence[Member]], owners: Owners, rules: Rules) -> list[Member]:
    """The events `root` owns among those of `visitors`, in order."""
    return in_order(
        member for members in visitors.values() for member, owner in resolve(members, owners, rules) if owner == root
    )


def _assembled(root: Root, share: _Share, owners: Owners, setting: Setting) -> Assembled | None:
    if not share.members:
        return None
    share.members.sort(key=order_of)
    share.sessions.sort(key=lambda session: order_of(session.members[0]))
    own_id = profile_id(root, setting.secret)
    sales = _sales_by_session(share.sessions)
    sessions = [
        session_dict(session, sale, own_id, setting.now, setting.rules)
        for session, sale in zip(share.sessions, sales, strict=True)
    ]
    body = _body(root, share, owners, setting.rules)
    return Assembled({"id": own_id, "root": {"kind": root[0], "value": root[1]}, **body}, sessions)


def _body(root: Root, share: _Share, owners: Owners, rules: Rules) -> dict[str, Any]:
    people = [member for member in share.members if not member.bot]
    visits = [member for member in people if member.web]
    orders, money = _money(people)
    identifiers, flags = _identifiers(root, people, owners)
    counts: dict[str, Any] = {"events": len(share.members), "sessions": len(share.sessions), "orders": orders}
    if len(people) < len(share.members):
        counts["events_bot"] = len(share.members) - len(people)
    if people:
        counts["names"] = largest_names(Counter(member.name for member in people))
    parts = {
        "identifiers": identifiers,
        "traits": _traits(people, rules),
        "consents": _consents(people),
        "first_seen": format_ms(people[0].time) if people else None,
        "last_seen": format_ms(people[-1].time) if people else None,
        "first_visit": format_ms(visits[0].time) if visits else None,
        "last_visit": format_ms(visits[-1].time) if visits else None,
        "counts": counts,
        "money": money,
        "flags": flags,
    }
    return {name: part for name, part in parts.items() if part or name == "identifiers"}


def _identifiers(root: Root, people: Sequence[Member], owners: Owners) -> tuple[dict[str, list[str]], list[str]]:
    """The identifiers that stand for this root, those seen last first. A user's are its own e-mails and ruids, whoever
    else named them; those of a root without a user are the ones nobody owns."""
    kind, value = root
    last: dict[Identifier, None] = {(kind, value.rpartition("#")[0] if kind == "anon" else value): None}
    owner = value if kind == "user" else None
    for member in reversed(people):
        for identifier in (("ruid", member.ruid), ("email", member.email)):
            if identifier[1] is not None and owners.users.get((identifier[0], identifier[1])) == owner:
                last.setdefault((identifier[0], identifier[1]))
        # A back end may send one anonymous id for many people: such a one is nobody's.
        if member.anon is not None and member.flags & (WEB | TRUSTED):
            last.setdefault(("anon", member.anon))
    found: dict[str, list[str]] = {}
    for identifier in last:
        found.setdefault(identifier[0], []).append(identifier[1])
    many = any(len(values) > MAX_IDENTIFIERS for values in found.values())
    kinds = [name for name in ("user", "email", "ruid", "anon") if name in found]
    return {name: found[name][:MAX_IDENTIFIERS] for name in kinds}, [MANY_IDENTIFIERS] if many else []


def _traits(people: Iterable[Member], rules: Rules) -> dict[str, Any]:
    """Per top-level key the value of the highest (source priority, order). None deletes; what is to be set once holds
    where nothing else was set, and again after a deletion."""
    won: dict[str, tuple[tuple[int, Any], Any]] = {}
    once: dict[str, list[tuple[Any, Any]]] = {}
    for member in people:
        if member.traits is None and member.traits_once is None:
            continue
        rank = rules.source_priority.get(member.source, 0), order_of(member)
        for key, value in (member.traits or {}).items():
            if key not in won or won[key][0] < rank:
                won[key] = rank, value
        for key, value in (member.traits_once or {}).items():
            if value is not None:
                once.setdefault(key, []).append((order_of(member), value))
    traits = {key: value for key, (_, value) in won.items() if value is not None}
    for key, stated in once.items():
        if key not in traits:
            deleted = won[key][0][1] if key in won else None
            first = next((value for order, value in stated if deleted is None or order > deleted), None)
            if first is not None:
                traits[key] = first
    return dict(sorted(traits.items()))


def _consents(people: Iterable[Member]) -> dict[str, dict[str, Any]]:
    """Per purpose what was last stated and when. From the first GPC signal on, the purposes it withdraws stay denied
    until an explicit `consent` event that itself carries the signal grants them; then the signal says nothing new."""
    records: dict[str, tuple[bool, Member]] = {}
    signalled = False
    granted: set[str] = set()
    for member in people:
        if member.signals is None:
            continue
        stated = consent_of(member)
        gpc = stated.get("gpc", False)
        if gpc and not signalled:
            signalled = True
            for purpose in _GPC_PURPOSES:
                records[purpose] = False, member
        for purpose in _PURPOSES:
            if purpose not in stated:
                continue
            if signalled and purpose in _GPC_PURPOSES and purpose not in granted:
                if not (stated[purpose] and gpc and member.name == "consent"):
                    continue
                granted.add(purpose)
            records[purpose] = stated[purpose], member
    return {purpose: _record(*records[purpose]) for purpose in _PURPOSES if purpose in records}


def _record(value: bool, member: Member) -> dict[str, Any]:
    record = {"value": value, "time": format_ms(member.time), "source": member.source, "event": member.id}
    if member.consent_text is not None:
        record["text_version"] = member.consent_text
    return record


def _money(people: Iterable[Member]) -> tuple[int, dict[str, dict[str, Any]]]:
    """How many orders, and per currency: gross revenue, refunds, orders, the smallest and the largest order."""
    sales = Sales()
    for member in people:
        if not member.lines:
            continue
        if member.name == "buy":
            sales.buy(member.order_key, member.lines)
        else:
            sales.give_back(member.lines)
    sums: dict[str, list[int]] = {}
    for per_currency in sales.orders.values():
        for currency, minor in per_currency.items():
            sums.setdefault(currency, []).append(minor)
    money: dict[str, dict[str, Any]] = {}
    for currency in sorted(sums.keys() | sales.refunds.keys()):
        amounts: dict[str, Any] = {}
        if orders := sums.get(currency):
            amounts["revenue"] = money_text(sum(orders), currency)
            amounts["orders"] = len(orders)
            amounts["min_order"] = money_text(min(orders), currency)
            amounts["max_order"] = money_text(max(orders), currency)
        if refunds := sales.refunds[currency]:
            amounts["refunds"] = money_text(refunds, currency)
        money[currency] = amounts
    return len(sales.orders), money


def _sales_by_session(sessions: Sequence[SessionFacts]) -> list[Sale]:
    """The orders of each session. An order counts in the session that reported it first: a reload of its page in a
    later one adds nothing, and a back end's report takes nothing away."""
    sold = [Sale() for _ in sessions]
    buys = sorted(
        (order_of(member), place, member)
        for place, session in enumerate(sessions)
        for member in session.members
        if member.lines and member.name == "buy"
    )
    sales = Sales()
    for _, place, member in buys:
        sale = sales.buy(member.order_key, member.lines or ())
        sold[place].orders += sale.orders
        sold[place].revenue.update(sale.revenue)
    return sold
