"""Sessions: a visitor's events cut into visits, and what a visit says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import NAMESPACE_URL, uuid5

from eventlog.timestamps import format_ms
from exporter.identity import Root
from exporter.member import Member
from exporter.money import Sale, money_text
from exporter.rules import Rules

State = Literal["open", "closed", "final"]

_NAMESPACE: Final = uuid5(NAMESPACE_URL, "urn:trackway:session")
_VIEWS: Final = ("pageview", "screen")
_ENTRANCES: Final = ("visit", "buy")
# Names of events are the sender's: what a session or a profile counts by name stays this small.
MAX_NAMES: Final = 200
OTHER_NAMES: Final = "other"


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """One session: whose it is, and its events in order (at least one)."""

    root: Root
    members: Sequence[Member]

    @property
    def id(self) -> str:
        """Made of the visitor and the first event, so it stays while events are added behind the first."""
        first = self.members[0]
        return str(uuid5(_NAMESPACE, f"{first.visitor_key}|{first.source}|{first.id}"))

    @property
    def start(self) -> int:
        """Time of the first event, in ms."""
        return self.members[0].time

    @property
    def end(self) -> int:
        """Time of the last event, in ms."""
        return self.members[-1].time


def cut(resolved: Iterable[tuple[Member, Root]], rules: Rules) -> list[SessionFacts]:
    """The sessions of one visitor, from its events in order (as `identity.resolve` gives them).

    A session ends with a gap, after its longest time, with a reset, and where the owner changes; never at midnight.
    """
    gap, longest = rules.gap_ms, rules.max_ms
    sessions: list[SessionFacts] = []
    current: list[Member] = []
    owner: Root | None = None
    for member, root in resolved:
        if not member.in_sessions:
            continue
        if current:
            previous = current[-1]
            if (
                member.time - previous.time >= gap
                or member.time - current[0].time >= longest
                or previous.reset
                or root != owner
            ):
                sessions.append(_session(owner, current))
                current = []
        current.append(member)
        owner = root
    if current:
        sessions.append(_session(owner, current))
    return sessions


def _session(owner: Root | None, members: list[Member]) -> SessionFacts:
    if owner is None:
        raise ValueError("a session needs an owner")
    return SessionFacts(owner, members)


def flips(end: int, rules: Rules) -> tuple[int, int]:
    """The last moments (ms) at which a session that ends at `end` is still open, and still not final."""
    closed = end + rules.gap_ms
    return closed, closed + rules.late_ms


def state_at(end: int, now: int, rules: Rules) -> State:
    """The state at `now` (ms) of a session that ends at `end`: a closed one may still change, a final one will not."""
    last_open, last_closed = flips(end, rules)
    return "open" if now <= last_open else "closed" if now <= last_closed else "final"


def session_dict(session: SessionFacts, sale: Sale, profile_id: str, now: int, rules: Rules) -> dict[str, Any]:
    """The session as `eventlog.profile.Session`, without its revision. `sale` is what its orders come to."""
    members = session.members
    names = Counter(member.name for member in members)
    views = sum(names[name] for name in _VIEWS)
    duration = session.end - session.start
    engaged = duration > rules.engaged_after * 1000 or views >= 2 or any(name in names for name in rules.key_events)
    pages = [member.url for member in members if member.url is not None]
    categories = [member.category for member in members if member.category is not None and member.name in _ENTRANCES]
    products = {product for member in members for product in member.products or ()}
    facts: dict[str, Any] = {
        "id": session.id,
        "profile_id": profile_id,
        "key": members[0].visitor_key,
        "start": format_ms(session.start),
        "end": format_ms(session.end),
        "duration_ms": duration,
        "state": state_at(session.end, now, rules),
        "counts": largest_names(names),
        "views": views,
        "engaged": engaged,
        "bounce": not engaged,
        "landing": pages[0] if pages else None,
        "exit": pages[-1] if pages else None,
        "referrer": members[0].referrer,
        "campaign": next((member.campaign for member in members if member.campaign), None),
        "entry_category": categories[0] if categories else None,
        "exit_category": categories[-1] if categories else None,
        "products": len(products) or None,
        "orders": sale.orders or None,
        "revenue": {currency: money_text(minor, currency) for currency, minor in sorted(sale.revenue.items())} or None,
        "device": sorted({member.device for member in members if member.device is not None}) or None,
    }
    return {name: value for name, value in facts.items() if value is not None}


def largest_names(names: Mapping[str, int]) -> dict[str, int]:
    """Counts by event name, the names sorted. Beyond MAX_NAMES the least frequent are joined as `other`."""
    if len(names) <= MAX_NAMES:
        return dict(sorted(names.items()))
    by_size = sorted(names.items(), key=lambda pair: (-pair[1], pair[0]))
    kept = Counter(dict(by_size[: MAX_NAMES - 1]))
    kept[OTHER_NAMES] += sum(n for _, n in by_size[MAX_NAMES - 1 :])
    return dict(sorted(kept.items()))
