"""Who an event belongs to: every event has one root, a user, a ruid, an e-mail or an epoch of an anonymous id.

All of it is a function of the set of events. What a caller has to load, for results that do not depend on what else
happens to be loaded:

**To assemble a root** (`profile.assemble`):

1. Its values: for `user:U` the value of every fact naming U; for `email:V` and `ruid:V` V itself; for `anon:A#n` A.
2. Its visitors: those linked to the root or to one of its e-mails and ruids (a visitor is linked to each of
   `candidate_roots(all its members)`), and the visitor `anon:A` of each of its anonymous ids.
3. All members of those visitors.
4. Facts for `owners(…)`: of every e-mail and ruid those members name, and of every anonymous id they have, all facts;
   then of every user those facts name, all facts; then of every e-mail and ruid those facts name, all facts. (The last
   two steps matter only for users with more e-mails than `emails_per_user`, but there they do.)

**Which roots new events make dirty**: `candidate_roots` of all members of each visitor they belong to, and, once the
facts are known, `with_owners` of those: an event that names only an e-mail may be the e-mail's user's. Facts of others
may be committed at the same moment, so take this last step when a dirty root is handled, not when it is noted.

**Which roots new facts make dirty**: `roots_touched_by_facts(new, known)`, where `known` holds, as stored before: all
facts of the new facts' values, all facts of every user that those or the new facts name, and all facts of those users'
values. Its users are dirty themselves; of its e-mails and ruids, the root itself and every root linked to a visitor
linked to it; of its anonymous ids (`("anon", A)`, without an epoch) every root linked to the visitor `anon:A`.
Reading "linked to" when the dirty value is handled, not when it is noted, keeps concurrent writers from missing
each other here too.

Of the facts on one (e-mail or ruid, user) only the latest is ever needed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from eventlog.timestamps import DAY_MS, MINUTE_MS
from exporter.member import BOT, WEB, Identifier, Member, Order, OwnershipFact, in_order, named_roots, order_of
from exporter.rules import Rules

# (kind, value) of the identifier a profile stands for; the value of an anonymous one is `<id>#<epoch>`.
Root = Identifier

_NAMESPACE: Final = uuid5(NAMESPACE_URL, "urn:trackway:profile")


@dataclass(frozen=True, slots=True)
class Owners:
    """Whose an e-mail or ruid is, and what aliases say about anonymous ids (each id's facts in order)."""

    users: Mapping[Identifier, str] = field(default_factory=dict)
    aliases: Mapping[str, Sequence[tuple[Order, str]]] = field(default_factory=dict)

    def user_of(self, member: Member) -> str | None:
        """The user the event names, else its ruid's, else its e-mail's."""
        if member.user is not None:
            return member.user
        if member.ruid is not None and (user := self.users.get(("ruid", member.ruid))) is not None:
            return user
        return self.users.get(("email", member.email)) if member.email is not None else None


NO_OWNERS: Final = Owners()


def owners(facts: Iterable[OwnershipFact], rules: Rules) -> Owners:
    """The user of each e-mail and ruid: that of its latest fact. Of the e-mails that would be a user's, only the
    `emails_per_user` with the latest facts are; the others have no user."""
    latest: dict[Identifier, tuple[Order, str]] = {}
    aliases: defaultdict[str, set[tuple[Order, str]]] = defaultdict(set)
    for kind, value, user, order in facts:
        if kind == "anon":
            aliases[value].add((order, user))
        else:
            latest[kind, value] = max(latest.get((kind, value), (order, user)), (order, user))
    emails: defaultdict[str, list[tuple[Order, str]]] = defaultdict(list)
    for (kind, value), (order, user) in latest.items():
        if kind == "email":
            emails[user].append((order, value))
    surplus = {
        ("email", value)
        for stated in emails.values()
        if len(stated) > rules.emails_per_user
        for _, value in sorted(stated, reverse=True)[rules.emails_per_user :]
    }
    return Owners(
        {identifier: user for identifier, (_, user) in latest.items() if identifier not in surplus},
        {anon: sorted(stated) for anon, stated in aliases.items()},
    )


def resolve(members: Iterable[Member], owners: Owners, rules: Rules) -> list[tuple[Member, Root]]:
    """The members of one visitor in order, each with its root. Copies of one event are left out; members of a visitor
    busier than people are come back marked as bots."""
    ordered = _mark_bots(in_order(members), rules)
    if not ordered:
        return []
    anon = ordered[0].anon
    if anon is None:
        return [(member, _own_root(member, owners)) for member in ordered]
    return _resolve_anonymous(anon, ordered, owners, rules)


def candidate_roots(members: Iterable[Member]) -> set[Root]:
    """Every root that events of these members' visitors may have by what the members themselves say: each identifier
    they name, and each epoch of their anonymous ids. Owners of those come on top: `with_owners`."""
    found: set[Root] = set()
    resets: dict[str, set[tuple[str, str]]] = {}
    for member in members:
        found |= named_roots(member)
        if member.anon is not None:
            ends = resets.setdefault(member.anon, set())
            if member.reset and member.makes_facts:
                ends.add((member.source, member.id))
    for anon, ends in resets.items():
        found.update(("anon", f"{anon}#{epoch}") for epoch in range(len(ends) + 1))
    return found


def with_owners(roots: Iterable[Root], owners: Owners) -> set[Root]:
    """`roots`, and the user of each e-mail and ruid among them, and of each anonymous id every user aliases name."""
    found = set(roots)
    for kind, value in list(found):
        if kind == "anon":
            stated = owners.aliases.get(value.rpartition("#")[0], ())
            found.update(("user", user) for _, user in stated)
        elif (owner := owners.users.get((kind, value))) is not None:
            found.add(("user", owner))
    return found


def roots_touched_by_facts(
    new: Iterable[OwnershipFact], known: Iterable[OwnershipFact], rules: Rules
) -> set[Identifier]:
    """The e-mails and ruids whose user changes by the `new` facts, the users they had and get, and the anonymous ids
    and users of new aliases. The module's text says what each of them makes dirty and what `known` must hold."""
    known, new = set(known), set(new)
    before = owners(known, rules).users
    now = owners(known | new, rules).users
    touched: set[Identifier] = set()
    for identifier in before.keys() | now.keys():
        users = {before.get(identifier), now.get(identifier)}
        if len(users) > 1:
            touched.add(identifier)
            touched.update(("user", user) for user in users if user is not None)
    for fact in new - known:
        if fact.kind == "anon":
            touched.update((("anon", fact.value), ("user", fact.user)))
    return touched


def profile_id(root: Root, secret: bytes) -> str:
    """The id of a root's profile. An e-mail enters it as an HMAC under `secret`, so that the id does not tell it."""
    kind, value = root
    if kind == "email":
        value = hmac.new(secret, value.encode(), hashlib.sha256).hexdigest()
    return str(uuid5(_NAMESPACE, f"{kind}:{value}"))


def _secondary(member: Member) -> Root | None:
    if member.ruid is not None:
        return "ruid", member.ruid
    return ("email", member.email) if member.email is not None else None


def _own_root(member: Member, owners: Owners) -> Root:
    user = owners.user_of(member)
    root = ("user", user) if user is not None else _secondary(member)
    if root is None:
        raise ValueError("an event without a usable identifier has no root")
    return root


@dataclass(slots=True)
class _Epoch:
    """What one epoch of an anonymous id has said so far: the first and the last user, ruid or e-mail named in it (the
    latter two where they have no user), with their times."""

    number: int
    user: str | None = None
    secondary: Root | None = None
    first_user: tuple[int, Root] | None = None
    first_secondary: tuple[int, Root] | None = None

    def hear(self, time: int, user: str | None, secondary: Root | None) -> None:
        if user is not None:
            self.user = user
            self.first_user = self.first_user or (time, ("user", user))
        elif secondary is not None:
            self.secondary = secondary
            self.first_secondary = self.first_secondary or (time, secondary)

    def root_before_names(self, anon: str, time: int, reach: int) -> Root:
        """Whose an event is that comes before all the epoch names: back-stitching. Guards that refuse it go here."""
        for first in (self.first_user, self.first_secondary):
            if first is not None and first[0] - time <= reach:
                return first[1]
        return "anon", f"{anon}#{self.number}"


def _resolve_anonymous(anon: str, ordered: list[Member], owners: Owners, rules: Rules) -> list[tuple[Member, Root]]:
    aliases = owners.aliases.get(anon, ())
    place = 0
    epoch = _Epoch(0)
    resolved: list[tuple[Member, Root]] = []
    # Events that nothing at or before them in their epoch identifies, to be filled in once the epoch is known.
    early: list[tuple[int, _Epoch]] = []
    for member in ordered:
        while place < len(aliases) and aliases[place][0] < order_of(member):
            epoch.hear(aliases[place][0][0], aliases[place][1], None)
            place += 1
        user = owners.user_of(member)
        secondary = _secondary(member) if user is None else None
        heard = member.makes_facts
        if heard and (user is not None or secondary is not None):
            epoch.hear(member.time, user, secondary)
        root: Root | None = None
        if user is not None:
            root = "user", user
        elif epoch.user is not None:
            root = "user", epoch.user
        else:
            root = secondary or epoch.secondary
        if root is None:
            early.append((len(resolved), epoch))
            root = "anon", anon
        resolved.append((member, root))
        if heard and member.reset:
            epoch = _Epoch(epoch.number + 1)
    if place < len(aliases):
        epoch.hear(aliases[place][0][0], aliases[place][1], None)
    for index, its_epoch in early:
        member = resolved[index][0]
        resolved[index] = member, its_epoch.root_before_names(anon, member.time, rules.backstitch_ms)
    return resolved


def _mark_bots(ordered: list[Member], rules: Rules) -> list[Member]:
    """Marks the browser events of each UTC day on which a minute holds more of them than people make."""
    most = rules.bot_events_per_minute
    if len(ordered) <= most or (ordered[0].visitor_key or "").startswith("user:"):
        return ordered
    minutes = Counter(member.time // MINUTE_MS for member in ordered if member.web)
    days = {minute * MINUTE_MS // DAY_MS for minute, n in minutes.items() if n > most}
    if not days:
        return ordered
    return [
        member._replace(flags=member.flags | BOT) if member.flags & WEB and member.time // DAY_MS in days else member
        for member in ordered
    ]
