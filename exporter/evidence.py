"""What the store holds of who is who: members by visitor, links, claims and aliases. Reads only.

identity.py says what has to be loaded for which question.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from exporter.identity import Owners, Root, owners
from exporter.marks import hash64, root_of, root_text
from exporter.member import Identifier, Member, OwnershipFact, decode_members
from exporter.rules import Rules
from exporter.store import rows_among

Visitors = dict[str, list[Member]]


class Evidence:
    """Questions to the store inside one transaction."""

    def __init__(self, connection: AsyncConnection, rules: Rules) -> None:
        self._connection = connection
        self._rules = rules
        # Read once: what is committed meanwhile leaves marks of its own.
        self._read: dict[int, list[Member]] = {}

    async def members(self, vids: Iterable[int]) -> Visitors:
        """All members of the visitors, by visitor's key."""
        wanted = set(vids)
        unread = wanted - self._read.keys()
        read: dict[int, list[Member]] = {vid: [] for vid in unread}
        for vid, body in await rows_among(self._connection, "SELECT vid, body FROM timeline", "vid", unread):
            read[vid] += decode_members(body)
        self._read |= read
        visitors: defaultdict[str, list[Member]] = defaultdict(list)
        for vid in wanted:
            for member in self._read[vid]:
                visitors[member.visitor_key or ""].append(member)
        return dict(visitors)

    async def linked(self, identifiers: Iterable[str]) -> dict[str, set[int]]:
        """The visitors that named each identifier (`kind:value`)."""
        found: defaultdict[str, set[int]] = defaultdict(set)
        for identifier, vid in await rows_among(
            self._connection, "SELECT identifier, vid FROM link", "identifier", identifiers
        ):
            found[identifier].add(vid)
        return dict(found)

    async def claims(self, identifiers: Iterable[str]) -> set[OwnershipFact]:
        """The latest fact of each e-mail or ruid (`kind:value`) and each user it was named with."""
        return await self._claims("identifier", identifiers)

    async def claims_of_users(self, users: Iterable[str]) -> set[OwnershipFact]:
        """The latest fact of each of the users and each e-mail or ruid."""
        return await self._claims("owner", users)

    async def aliases(self, anons: Iterable[str]) -> set[OwnershipFact]:
        """All that aliases said about these anonymous ids."""
        return await self._aliases("anon", anons)

    async def aliases_of_users(self, users: Iterable[str]) -> set[OwnershipFact]:
        """All that aliases said about anonymous ids being one of these users'."""
        return await self._aliases("owner", users)

    async def owners_named(self, identifiers: set[Identifier]) -> Owners:
        """Whose these e-mails, ruids and anonymous ids are."""
        anons = {value for kind, value in identifiers if kind == "anon"}
        facts = await self.claims(root_text(one) for one in identifiers if one[0] in ("email", "ruid"))
        aliases = await self.aliases(anons) if anons else set()
        # A user's other e-mails matter: only so many of them count.
        more = await self.claims_of_users({fact.user for fact in facts})
        more |= await self.claims({f"{fact.kind}:{fact.value}" for fact in more - facts})
        return owners(facts | more | aliases, self._rules)

    async def owners_for(self, members: Iterable[Member]) -> Owners:
        """Whose the identifiers are that these members name."""
        return await self.owners_named({one for member in members for one in named(member)})

    async def visitors_of(self, roots: Iterable[Root]) -> set[int]:
        """The visitors that may have events of these roots."""
        roots = set(roots)
        users = {value for kind, value in roots if kind == "user"}
        identifiers = {root_text(root) for root in roots if root[0] != "anon"}
        identifiers |= {f"{fact.kind}:{fact.value}" for fact in await self.claims_of_users(users)}
        vids = {vid for some in (await self.linked(identifiers)).values() for vid in some}
        vids |= {hash64(root_text(root).rpartition("#")[0]) for root in roots if root[0] == "anon"}
        return vids | {hash64(f"anon:{fact.value}") for fact in await self.aliases_of_users(users)}

    async def _claims(self, column: str, of: Iterable[str]) -> set[OwnershipFact]:
        rows = await rows_among(
            self._connection, "SELECT identifier, owner, at, source, seq, event_id FROM claim", column, of
        )
        return {
            OwnershipFact(*root_of(identifier), owner, (at, source, seq, event_id))
            for identifier, owner, at, source, seq, event_id in rows
        }

    async def _aliases(self, column: str, of: Iterable[str]) -> set[OwnershipFact]:
        rows = await rows_among(
            self._connection, "SELECT anon, owner, at, source, seq, event_id FROM alias", column, of
        )
        return {
            OwnershipFact("anon", anon, owner, (at, source, seq, event_id))
            for anon, owner, at, source, seq, event_id in rows
        }


def named(member: Member) -> set[Identifier]:
    """The e-mail, ruid and anonymous id a member names."""
    pairs = (("email", member.email), ("ruid", member.ruid), ("anon", member.anon))
    return {(kind, value) for kind, value in pairs if value is not None}


def all_members(visitors: Mapping[str, Sequence[Member]]) -> Iterable[Member]:
    """The members of all the visitors."""
    return (member for some in visitors.values() for member in some)
