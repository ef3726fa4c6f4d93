"""What identity.py says has to be loaded and what becomes dirty is enough, on random sets of events."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.event import Event
from exporter.identity import Root, candidate_roots, owners, roots_touched_by_facts, with_owners
from exporter.member import Identifier, Member, OwnershipFact, member_of, ownership_facts
from exporter.profile import Assembled, Setting, assemble
from exporter.rules import Rules
from tests.rules import strategies
from tests.rules.events import DAY, SECRET, START, by_visitor, profiles_of_members

NOW = START + 30 * DAY


class Shelf:
    """A store in memory that answers no more than it is asked."""

    def __init__(self, members: list[Member], rules: Rules) -> None:
        self.rules = rules
        self.visitors = by_visitor(members)
        latest: dict[tuple[str, str, str], OwnershipFact] = {}
        self.facts: set[OwnershipFact] = set()
        for member in members:
            for fact in ownership_facts(member):
                if fact.kind == "anon":
                    self.facts.add(fact)
                else:
                    latest[fact[:3]] = max(latest.get(fact[:3], fact), fact, key=lambda one: one.order)
        self.facts.update(latest.values())
        self.links = {(root, key) for key, visitor in self.visitors.items() for root in candidate_roots(visitor)}

    def facts_of_values(self, values: set[Identifier]) -> set[OwnershipFact]:
        return {fact for fact in self.facts if (fact.kind, fact.value) in values}

    def facts_of_users(self, users: set[str]) -> set[OwnershipFact]:
        return {fact for fact in self.facts if fact.user in users}

    def widened(self, facts: set[OwnershipFact]) -> set[OwnershipFact]:
        facts = facts | self.facts_of_users({fact.user for fact in facts})
        return facts | self.facts_of_values({(fact.kind, fact.value) for fact in facts if fact.kind != "anon"})

    def linked_to(self, root: Identifier) -> set[str]:
        return {key for linked, key in self.links if linked == root}

    def assemble(self, root: Root) -> Assembled | None:
        kind, value = root
        values = {(kind, value.rpartition("#")[0] if kind == "anon" else value)}
        if kind == "user":
            values = {(fact.kind, fact.value) for fact in self.facts_of_users({value})}
        keys = self.linked_to(root)
        for identifier in values:
            keys |= {f"anon:{identifier[1]}"} if identifier[0] == "anon" else self.linked_to(identifier)
        visitors = {key: self.visitors[key] for key in keys if key in self.visitors}
        named: set[Identifier] = set()
        for member in (member for visitor in visitors.values() for member in visitor):
            pairs = (("email", member.email), ("ruid", member.ruid), ("anon", member.anon))
            named |= {(kind, value) for kind, value in pairs if value is not None}
        known = owners(self.widened(self.facts_of_values(named)), self.rules)
        return assemble(root, visitors, known, Setting(self.rules, SECRET, NOW))

    def dirty_by(self, new: Member, before: Shelf) -> set[Root]:
        """The roots to be made anew because of `new`, which this shelf has and `before` had not."""
        dirty = candidate_roots(self.visitors[new.visitor_key or ""])
        facts = set(ownership_facts(new))
        values = {(fact.kind, fact.value) for fact in facts}
        known = before.facts_of_values(values)
        known |= before.facts_of_users({fact.user for fact in known | facts})
        known |= before.facts_of_values({(fact.kind, fact.value) for fact in known})
        for touched in roots_touched_by_facts(facts, known, self.rules):
            keys = {f"anon:{touched[1]}"} if touched[0] == "anon" else self.linked_to(touched)
            if touched[0] == "user":
                keys = set()
            if touched[0] != "anon":
                dirty.add(touched)
            dirty |= {root for root, key in self.links if key in keys}
        return with_owners(dirty, owners(self.facts, self.rules))


@settings(max_examples=150, deadline=None)
@given(strategies.events, strategies.all_rules)
def test_a_root_is_assembled_from_what_the_rules_say_to_load(events: list[Event], rules: Rules) -> None:
    members = [member_of(one, rules) for one in events]
    shelf = Shelf(members, rules)
    for root, expected in profiles_of_members(members, rules, NOW).items():
        assert shelf.assemble(root) == expected


@settings(max_examples=250, deadline=None)
@given(strategies.events | strategies.one_browser(), strategies.one_event(), strategies.all_rules)
def test_whatever_an_event_changes_is_dirty(events: list[Event], last: Event, rules: Rules) -> None:
    members = [member_of(one, rules) for one in events]
    new = member_of(last, rules)
    if new.visitor_key is None:
        return
    before, after = profiles_of_members(members, rules, NOW), profiles_of_members([*members, new], rules, NOW)
    changed = {root for root in before.keys() | after.keys() if before.get(root) != after.get(root)}
    assert changed <= Shelf([*members, new], rules).dirty_by(new, Shelf(members, rules))


@settings(max_examples=100, deadline=None)
@given(st.lists(strategies.one_event(), min_size=1, max_size=14), strategies.all_rules)
def test_of_the_facts_on_one_email_and_user_only_the_latest_is_needed(events: list[Event], rules: Rules) -> None:
    members = [member_of(one, rules) for one in events]
    everything = [fact for member in members for fact in ownership_facts(member)]
    assert owners(Shelf(members, rules).facts, rules) == owners(everything, rules)
