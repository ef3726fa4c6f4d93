"""The rules once more, slow and naive: every question is asked of the whole set of events, sentence by sentence.

It shares no code with the implementation but the normalising of identifiers and the naming of currencies' decimals.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from eventlog.event import Event
from eventlog.identifiers import normalise
from eventlog.timestamps import DAY_MS, format_ms, parse_ms
from exporter.rules import Rules

Root = tuple[str, str]


@dataclass(eq=False)
class Happening:
    """One event and what can be said of it alone."""

    event: Event
    time: int
    order: tuple[int, str, int, str]
    user: str | None
    email: str | None
    ruid: str | None
    anon: str | None
    web: bool
    trusted: bool
    late: bool
    bot: bool  # by its user agent
    busy: bool = False  # by its visitor's rate
    root: Root | None = None

    @property
    def name(self) -> str:
        return self.event["name"]

    @property
    def key(self) -> str | None:
        for kind, value in (("anon", self.anon), ("user", self.user), ("ruid", self.ruid), ("email", self.email)):
            if value is not None:
                return f"{kind}:{value}"
        return None

    @property
    def machine(self) -> bool:
        return self.bot or self.busy

    @property
    def says_who(self) -> bool:
        """A fact of its anonymous id: web/app events, server events of trusted sources; never bots, too late ones."""
        return (self.web or self.trusted) and not self.machine and not self.late


def happening(event: Event, rules: Rules) -> Happening:
    time = parse_ms(event["occurred_at"])
    named = event.get("identifiers", {})
    email = normalise("email", named.get("email")) or normalise("email", event.get("traits", {}).get("email"))
    return Happening(
        event=event,
        time=time,
        order=(time, event["source"], event.get("client", {}).get("seq", 0), event["id"]),
        user=normalise("user", event.get("user_id")),
        email=email,
        ruid=normalise("ruid", named.get("ruid")),
        anon=normalise("anon", event.get("anonymous_id")),
        web=event["channel"] in ("web", "app"),
        trusted=event["source"] in rules.trusted_sources,
        late=event["channel"] != "import" and parse_ms(event["received_at"]) - time > rules.late_after * 1000,
        bot="bot" in event.get("client", {}),
    )


class Oracle:
    """Everything that follows from `events`."""

    def __init__(self, events: list[Event], rules: Rules, secret: bytes, now: int) -> None:
        self.rules, self.secret, self.now = rules, secret, now
        kept: dict[tuple[str, str], Happening] = {}
        for event in events:
            kept.setdefault((event["source"], event["id"]), happening(event, rules))
        everything = sorted(kept.values(), key=lambda one: one.order)
        self.unattributed = [one for one in everything if one.key is None]
        self.all = [one for one in everything if one.key is not None]
        for one in self.all:
            one.busy = self._busy(one)
        self.emails = self._owned("email")
        self.ruids = self._owned("ruid")
        for one in self.all:
            one.root = self.root(one)

    def _busy(self, one: Happening) -> bool:
        if not one.web or one.key is None or one.key.startswith("user:"):
            return False
        day = one.time // DAY_MS
        minutes = Counter(
            other.time // 60_000
            for other in self.all
            if other.key == one.key and other.web and other.time // DAY_MS == day
        )
        return max(minutes.values()) > self.rules.bot_events_per_minute

    def _owned(self, kind: str) -> dict[str, str]:
        """The user of the latest event carrying both. (A visitor's rate does not take these facts back.)"""
        latest: dict[str, Happening] = {}
        for one in self.all:
            value = one.email if kind == "email" else one.ruid
            untrusted = one.anon is not None and not one.web and not one.trusted
            if value is not None and one.user is not None and not (one.bot or one.late or untrusted):
                latest[value] = one
        owned = {value: one.user for value, one in latest.items() if one.user is not None}
        if kind == "ruid":
            return owned
        counting = {}
        for value, user in owned.items():
            own = sorted((other for other in owned if owned[other] == user), key=lambda other: latest[other].order)
            if value in own[-self.rules.emails_per_user :]:
                counting[value] = user
        return counting

    def user_of(self, one: Happening) -> str | None:
        if one.user is not None:
            return one.user
        if one.ruid is not None and one.ruid in self.ruids:
            return self.ruids[one.ruid]
        return self.emails.get(one.email) if one.email is not None else None

    @staticmethod
    def bare(one: Happening) -> Root | None:
        if one.ruid is not None:
            return "ruid", one.ruid
        return ("email", one.email) if one.email is not None else None

    def epoch(self, anon: str | None, order: tuple[int, str, int, str]) -> int:
        return sum(
            1 for one in self.all if one.anon == anon and one.name == "reset" and one.says_who and one.order < order
        )

    def facts(self, of: Happening) -> list[tuple[tuple[int, str, int, str], str | None, Root | None]]:
        """(order, user or None, root without a user or None) in `of`'s epoch."""
        found: list[tuple[tuple[int, str, int, str], str | None, Root | None]] = []
        epoch = self.epoch(of.anon, of.order)
        for one in self.all:
            if one.anon == of.anon and one.says_who and self.epoch(of.anon, one.order) == epoch:
                user = self.user_of(one)
                bare = self.bare(one) if user is None else None
                if user is not None or bare is not None:
                    found.append((one.order, user, bare))
            previous = normalise("anon", one.event.get("previous_id")) if one.event["kind"] == "alias" else None
            untrusted = one.anon is not None and not one.web and not one.trusted
            aliasing = previous == of.anon and one.user not in (None, previous)
            if aliasing and not (one.bot or one.late or untrusted) and self.epoch(of.anon, one.order) == epoch:
                found.append((one.order, one.user, None))
        return sorted(found)

    def root(self, one: Happening) -> Root:
        user = self.user_of(one)
        if user is not None:
            return "user", user
        bare = self.bare(one)
        if one.anon is None:
            assert bare is not None
            return bare
        facts = self.facts(one)
        users_before = [user for order, user, _ in facts if order <= one.order and user is not None]
        if users_before:
            return "user", users_before[-1]
        if bare is not None:
            return bare
        return self._owner_without_user(one, facts)

    def _owner_without_user(self, one: Happening, facts: list[Any]) -> Root:
        before = [root for order, _, root in facts if order <= one.order and root is not None]
        if before:
            return before[-1]  # type: ignore[no-any-return]
        limit = one.time + self.rules.backstitch_days * DAY_MS
        later = [fact for fact in facts if fact[0] > one.order]
        users = [fact for fact in later if fact[1] is not None]
        if users and users[0][0][0] <= limit:
            return "user", users[0][1]
        bare = [fact for fact in later if fact[2] is not None]
        if bare and bare[0][0][0] <= limit:
            return bare[0][2]  # type: ignore[no-any-return]
        return "anon", f"{one.anon}#{self.epoch(one.anon, one.order)}"

    # Sessions

    def sessions(self) -> list[list[Happening]]:
        found: list[list[Happening]] = []
        for key in sorted({one.key for one in self.all if one.key is not None}):
            begin: Happening | None = None
            previous: Happening | None = None
            for one in self.all:
                if one.key != key or not one.web or one.machine or one.late:
                    continue
                if (
                    begin is None
                    or previous is None
                    or one.time - previous.time >= self.rules.session_gap * 1000
                    or one.time - begin.time >= self.rules.session_max * 1000
                    or previous.name == "reset"
                    or one.root != previous.root
                ):
                    begin = one
                    found.append([])
                found[-1].append(one)
                previous = one
        return found

    def session_facts(self, session: list[Happening]) -> dict[str, Any]:
        first, last = session[0], session[-1]
        assert first.root is not None
        namespace = uuid5(NAMESPACE_URL, "urn:trackway:session")
        duration = last.time - first.time
        views = sum(1 for one in session if one.name in ("pageview", "screen"))
        engaged = duration > 10_000 or views >= 2 or any(one.name == "buy" for one in session)
        age = self.now - last.time
        state = "open" if age <= 1_800_000 else "closed" if age <= 1_800_000 + 259_200_000 else "final"
        facts: dict[str, Any] = {
            "id": str(uuid5(namespace, f"{first.key}|{first.event['source']}|{first.event['id']}")),
            "profile_id": self.profile_id(first.root),
            "key": first.key,
            "start": format_ms(first.time),
            "end": format_ms(last.time),
            "duration_ms": duration,
            "state": state,
            "counts": dict(Counter(one.name for one in session)),
            "views": views,
            "engaged": engaged,
            "bounce": not engaged,
        }
        urls = [one.event["page"]["url"] for one in session if "url" in one.event.get("page", {})]
        if urls:
            facts["landing"], facts["exit"] = urls[0], urls[-1]
        return facts

    # Profiles

    def profile_id(self, root: Root) -> str:
        kind, value = root
        if kind == "email":
            value = hmac.new(self.secret, value.encode(), hashlib.sha256).hexdigest()
        return str(uuid5(uuid5(NAMESPACE_URL, "urn:trackway:profile"), f"{kind}:{value}"))

    def roots(self) -> set[Root]:
        return {one.root for one in self.all if one.root is not None}

    def profile(self, root: Root) -> dict[str, Any]:
        own = [one for one in self.all if one.root == root]
        people = [one for one in own if not one.machine]
        web = [one for one in people if one.web]
        orders, money = self._money(people)
        sessions = [session for session in self.sessions() if session[0].root == root]
        counts: dict[str, Any] = {"events": len(own), "sessions": len(sessions), "orders": orders}
        if len(own) > len(people):
            counts["events_bot"] = len(own) - len(people)
        profile: dict[str, Any] = {
            "id": self.profile_id(root),
            "root": {"kind": root[0], "value": root[1]},
            "counts": counts,
            "identifiers": self._identifiers(root, people),
        }
        if people:
            counts["names"] = dict(Counter(one.name for one in people))
            profile["first_seen"], profile["last_seen"] = format_ms(people[0].time), format_ms(people[-1].time)
        if web:
            profile["first_visit"], profile["last_visit"] = format_ms(web[0].time), format_ms(web[-1].time)
        traits = self._traits(people)
        if traits:
            profile["traits"] = traits
        if money:
            profile["money"] = money
        return profile

    def _identifiers(self, root: Root, people: list[Happening]) -> dict[str, set[str]]:
        kind, value = root
        found: dict[str, set[str]] = {kind: {value.split("#")[0] if kind == "anon" else value}}
        owner = value if kind == "user" else None
        for one in people:
            if one.email is not None and self.emails.get(one.email) == owner:
                found.setdefault("email", set()).add(one.email)
            if one.ruid is not None and self.ruids.get(one.ruid) == owner:
                found.setdefault("ruid", set()).add(one.ruid)
            if one.anon is not None and (one.web or one.trusted):
                found.setdefault("anon", set()).add(one.anon)
        return found

    @staticmethod
    def _traits(people: list[Happening]) -> dict[str, Any]:
        traits: dict[str, Any] = {}
        for one in people:
            if one.event["kind"] == "identify":
                traits.update(one.event.get("traits", {}))
        return {key: value for key, value in traits.items() if value is not None}

    @staticmethod
    def _money(people: list[Happening]) -> tuple[int, dict[str, dict[str, Any]]]:
        """Orders whose events all have items with prices in euros."""
        lines: dict[tuple[str, str, int], Decimal] = {}
        refunds = Decimal(0)
        for one in people:
            if one.name not in ("buy", "return"):
                continue
            seen: Counter[str] = Counter()
            for item in one.event["items"]:
                product = item["product_id"]
                value = Decimal(item["price"]).quantize(Decimal("0.01"), ROUND_HALF_UP)
                order = one.event["order"].get("order_id") or f"{one.event['source']}/{one.event['id']}"
                if one.name == "return":
                    refunds += value
                else:
                    lines.setdefault((order, product, seen[product]), value)
                seen[product] += 1
        if not lines and not refunds:
            return 0, {}
        totals: dict[str, Decimal] = {}
        for (order, _, _), value in lines.items():
            totals[order] = totals.get(order, Decimal(0)) + value
        euros: dict[str, Any] = {}
        if totals:
            euros["revenue"], euros["orders"] = str(sum(totals.values())), len(totals)
            euros["min_order"], euros["max_order"] = str(min(totals.values())), str(max(totals.values()))
        if refunds:
            euros["refunds"] = str(refunds)
        return len(totals), {"EUR": euros}
