"""Whose profiles may differ because of what marks tell, as far as the store says. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from exporter.evidence import Evidence, all_members
from exporter.identity import Root, candidate_roots, with_owners
from exporter.marks import Mark, hash64, root_of
from exporter.member import Identifier
from exporter.rules import Rules


async def affected_roots(evidence: Evidence, marks: Iterable[Mark], rules: Rules) -> set[Root]:
    """Every root whose profile may be another one because of the marks."""
    of: dict[str, set[str]] = {kind: set() for kind in ("visitor", "pair", "claim", "alias", "root")}
    for mark in marks:
        of[mark.kind].add(mark.value)
    roots = {root_of(value) for value in of["root"]}
    vids = {hash64(key) for key in of["visitor"]} | {hash64(f"anon:{anon}") for anon in of["alias"]}
    roots |= {("user", fact.user) for fact in await evidence.aliases(of["alias"])}
    touched = await _touched_identifiers(evidence, of["pair"], of["claim"], rules)
    if touched:
        roots |= {root_of(one) for one in touched}
        roots |= {("user", fact.user) for fact in await evidence.claims(touched)}
        vids |= {vid for some in (await evidence.linked(touched)).values() for vid in some}
    candidates = candidate_roots(all_members(await evidence.members(vids)))
    identifiers: set[Identifier] = {
        ("anon", value.rpartition("#")[0]) if kind == "anon" else (kind, value) for kind, value in candidates
    }
    return roots | with_owners(candidates, await evidence.owners_named(identifiers))


async def _touched_identifiers(evidence: Evidence, pairs: set[str], claims: set[str], rules: Rules) -> set[str]:
    """The e-mails and ruids whose user may be another one now."""
    facts = await evidence.claims(pairs | claims)
    theirs = await evidence.claims_of_users({fact.user for fact in facts})
    emails = Counter(fact.user for fact in theirs if fact.kind == "email")
    crowded = {f"{fact.kind}:{fact.value}" for fact in theirs if emails[fact.user] > rules.emails_per_user}
    users = Counter(f"{fact.kind}:{fact.value}" for fact in facts)
    # Named with the one user it ever had, once more: nothing changes.
    return pairs | crowded | {one for one in claims if users[one] > 1}
