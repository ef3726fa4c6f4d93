"""A member: the compact form of one accepted event, holding what sessions, identity and profiles read of it.

Members are kept in the store for as long as events are, so the encoding names its version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, NamedTuple, cast

import orjson

from eventlog.event import Campaign, Event
from eventlog.identifiers import email_in_ruid, normalise
from eventlog.timestamps import parse_ms
from exporter.money import Line, OrderKey, lines_of
from exporter.rules import Rules

# (kind, value): kind is user, ruid, email or anon.
Identifier = tuple[str, str]
# (event time in ms, source, sequence number of the client, id): what "earlier" and "latest" mean everywhere.
Order = tuple[int, str, int, str]

VERSION: Final = 1

WEB: Final = 1  # channel web or app: makes sessions
BOT: Final = 2
LATE: Final = 4  # arrived too late for sessions and identity
TRUSTED: Final = 8

_SHOPPING: Final = frozenset({"visit", "basket", "buy"})
_TRADES: Final = frozenset({"buy", "return"})
_SIGNALS: Final = ("analytics", "personalization", "marketing_activation", "third_party_sharing", "gpc", "dnt")


class Member(NamedTuple):
    """One event. The first four fields are its order; `source` and `id` are its identity. None = absent."""

    time: int
    source: str
    seq: int
    id: str
    name: str
    flags: int
    anon: str | None = None
    url: str | None = None
    device: str | None = None
    signals: int | None = None  # the consent snapshot: see `consent_of`
    user: str | None = None
    email: str | None = None
    referrer: str | None = None
    campaign: Campaign | None = None
    products: list[str] | None = None  # of visit, basket and buy
    category: str | None = None  # leaf of the first item with a path, of visit and buy
    lines: list[Line] | None = None  # of buy and return
    order_id: str | None = None
    traits: dict[str, Any] | None = None  # the person's, as are traits_once
    ruid: str | None = None
    client_session: str | None = None
    traits_once: dict[str, Any] | None = None
    previous: str | None = None  # the anonymous id an alias names
    consent_text: str | None = None  # version of the text that was consented to

    @property
    def order(self) -> Order:
        """What events are sorted by."""
        return self[:4]

    @property
    def web(self) -> bool:
        """Whether a browser or an app sent it."""
        return bool(self.flags & WEB)

    @property
    def bot(self) -> bool:
        """Whether a machine caused it: counted, and nothing else."""
        return bool(self.flags & BOT)

    @property
    def reset(self) -> bool:
        """Whether it ends its anonymous id's epoch: a sign-out."""
        return self.name == "reset"

    @property
    def in_sessions(self) -> bool:
        """Whether it belongs to a session."""
        return self.flags & (WEB | BOT | LATE) == WEB

    @property
    def makes_facts(self) -> bool:
        """Whether it says whose its anonymous id is."""
        return self.flags & (WEB | TRUSTED) != 0 and not self.flags & (BOT | LATE)

    @property
    def visitor_key(self) -> str | None:
        """The visitor it belongs to, as `anon:<id>`, `user:<id>`, `ruid:<id>` or `email:<address>`; None without any
        usable identifier. `anon` comes first, then the highest of the others."""
        for kind, value in (("anon", self.anon), ("user", self.user), ("ruid", self.ruid), ("email", self.email)):
            if value is not None:
                return f"{kind}:{value}"
        return None

    @property
    def order_key(self) -> OrderKey:
        """Which order a `buy` reports: one without an order id is an order of its own."""
        return (self.order_id,) if self.order_id is not None else (self.source, self.id)


class OwnershipFact(NamedTuple):
    """An event said at `order` that `value` is `user`'s. `kind` is `email`, `ruid`, or `anon` (an alias: `value` is the
    previous anonymous id). Of several facts on one e-mail or ruid and one user only the latest matters; of an
    anonymous id all do."""

    kind: str
    value: str
    user: str
    order: Order


order_of: Final = cast(Callable[[Member], Order], itemgetter(0, 1, 2, 3))


def in_order(members: Iterable[Member]) -> list[Member]:
    """The members sorted, one for each (source, id): of copies the earliest stays."""
    ordered = sorted(members, key=order_of)
    if len({member[3] for member in ordered}) == len(ordered):
        return ordered
    first: dict[tuple[str, str], Member] = {}
    for member in ordered:
        first.setdefault((member[1], member[3]), member)
    return list(first.values())


def member_of(event: Event, rules: Rules) -> Member:
    """The compact form of an accepted event. Blocked and unusable identifiers are left out."""
    time = _ms(event["occurred_at"])
    source = event["source"]
    channel = event["channel"]
    name = event["name"]
    client = event.get("client", {})
    flags = WEB if channel in ("web", "app") else 0
    if "bot" in client:
        flags |= BOT
    if channel != "import" and _ms(event["received_at"]) - time > rules.late_ms:
        flags |= LATE
    if source in rules.trusted_sources:
        flags |= TRUSTED
    user, ruid, email, anon = _identifiers(event, rules)
    page = event.get("page", {})
    consent = event.get("consent")
    # Those of a group are not the person's.
    is_of_person = event["kind"] != "group"
    products = category = lines = order_id = None
    if name in _SHOPPING and "items" in event:
        products, category = _goods(event)
    if name in _TRADES:
        lines = lines_of(event)
        order_id = event.get("order", {}).get("order_id", "").strip() or None
    return Member(
        time,
        source,
        client.get("seq", 0),
        event["id"],
        name,
        flags,
        anon,
        page.get("url"),
        client.get("device"),
        _signals(consent) if consent else None,
        user,
        email,
        page.get("referrer"),
        event.get("campaign"),
        products,
        category,
        lines,
        order_id,
        event.get("traits") if is_of_person else None,
        ruid,
        event.get("client_session_id"),
        event.get("traits_once") if is_of_person else None,
        _usable("anon", event["previous_id"], rules) if event["kind"] == "alias" and "previous_id" in event else None,
        consent.get("text_version") if consent else None,
    )


def consent_of(member: Member) -> Mapping[str, bool]:
    """What the event's consent snapshot states; signals it does not state are missing."""
    return _stated(member.signals or 0)


def named_roots(member: Member) -> set[Identifier]:
    """The user, ruid and e-mail the event names: every root it may bring into play by itself."""
    named = (("user", member.user), ("ruid", member.ruid), ("email", member.email))
    return {(kind, value) for kind, value in named if value is not None}


def ownership_facts(member: Member) -> list[OwnershipFact]:
    """What the event says about whose an e-mail, a ruid or (alias) another anonymous id is.

    Bots, too late events and server events of untrusted sources that name an anonymous id say nothing.
    """
    user = member.user
    if user is None or member.flags & (BOT | LATE):
        return []
    if member.anon is not None and not member.flags & (WEB | TRUSTED):
        return []
    previous = member.previous if member.previous != user else None
    named = (("email", member.email), ("ruid", member.ruid), ("anon", previous))
    return [OwnershipFact(kind, value, user, member.order) for kind, value in named if value is not None]


def encode_members(members: Sequence[Member]) -> bytes:
    """Members as a compact JSON array."""
    rows: list[Any] = [VERSION]
    for member in members:
        row: list[Any] = list(member)
        if member.lines:
            row[_LINES] = [list(line) for line in member.lines]
        while row[-1] is None:
            row.pop()
        rows.append(row)
    return orjson.dumps(rows)


def decode_members(body: bytes) -> list[Member]:
    """The members of `encode_members`. Raises ValueError for another version."""
    version, *rows = orjson.loads(body)
    if version != VERSION:
        raise ValueError(f"members of version {version}, this program reads {VERSION}")
    width, absent, lines = len(_ABSENT), _ABSENT, _LINES
    members = []
    for row in rows:
        if len(row) > lines and row[lines]:
            row[lines] = [Line(*line) for line in row[lines]]
        members.append(Member._make(row + absent[len(row) :] if len(row) < width else row))
    return members


_ABSENT: Final[list[None]] = [None] * len(Member._fields)
_LINES: Final = Member._fields.index("lines")
_minute_ms = lru_cache(maxsize=8192)(parse_ms)
_normalise = lru_cache(maxsize=16384)(normalise)
_email_in_ruid = lru_cache(maxsize=4096)(email_in_ruid)


def _ms(text: str) -> int:
    # The canonical `2026-11-24T10:15:00.000Z`; its minutes repeat, so most of the parsing is remembered.
    return _minute_ms(text[:16]) + int(text[17:19]) * 1000 + int(text[20:23])


def _identifiers(event: Event, rules: Rules) -> tuple[str | None, str | None, str | None, str | None]:
    """User, ruid, e-mail and anonymous id. Of several e-mails the one among the identifiers counts, then the one in a
    ruid, then the one of the traits."""
    user = anon = ruid = email = None
    if "user_id" in event:
        user = _usable("user", event["user_id"], rules)
    if "anonymous_id" in event:
        anon = _usable("anon", event["anonymous_id"], rules)
    if "identifiers" in event:
        named = event["identifiers"]
        if "email" in named:
            email = _usable("email", named["email"], rules)
        if "ruid" in named:
            ruid = _usable("ruid", named["ruid"], rules)
            held = _email_in_ruid(ruid) if ruid is not None else None
            if held is not None:
                ruid = None
                email = email or _usable("email", held, rules)
    if email is None and "traits" in event:
        stated = event["traits"].get("email")
        if isinstance(stated, str):
            email = _usable("email", stated, rules)
    return user, ruid, email, anon


def _usable(kind: Any, value: str, rules: Rules) -> str | None:
    found = _normalise(kind, value)
    if found is not None and rules.blocked_ids:
        bare = found[1:-1] if len(found) > 1 and found[0] == found[-1] and found[0] in "'\"" else found
        if bare.lower() in rules.blocked_ids:
            return None
    return found


def _signals(consent: Any) -> int | None:
    """Two bits a signal: 0 not stated, 1 no, 2 yes."""
    packed = 0
    for place, name in enumerate(_SIGNALS):
        stated = consent.get(name)
        if stated is not None:
            packed |= (2 if stated else 1) << 2 * place
    return packed or None


@lru_cache(maxsize=4096)
def _stated(packed: int) -> Mapping[str, bool]:
    return {name: bool(packed >> 2 * place & 2) for place, name in enumerate(_SIGNALS) if packed >> 2 * place & 3}


def _goods(event: Event) -> tuple[list[str] | None, str | None]:
    """The products, and the leaf category of the first item that has a path (not of a basket)."""
    items = event["items"]
    products = [item["product_id"] for item in items if "product_id" in item]
    category = None
    if event["name"] != "basket":
        category = next((item["category_path"][-1][0] for item in items if item.get("category_path")), None)
    return products or None, category
