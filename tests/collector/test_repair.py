"""Rules of repair as functions of values: what a file may say, what rules make of an event."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from collector.casts import CannotCast, Type, cast
from collector.decode import NotANumber
from collector.pointers import find, places, put, read_pointer, take, write_pointer
from collector.repair import BadRules, CannotRepair, read_rules, repair
from eventlog.outcome import Outcome, cause_path

OUTCOME: Outcome = {
    "status": "rejected", "reason": "wrong_type", "source": "shop", "path": "batch[3].properties.products[1].price",
    "received_at": "2026-11-24T10:15:00.184Z",
}  # fmt: skip


def repaired(event: Any, rules: str, outcome: Outcome = OUTCOME) -> tuple[Any, list[int]]:
    before = repr(event)
    made = repair(event, outcome, read_rules(yaml.safe_load(rules)))
    assert repr(event) == before, "what is kept stays as it is"
    return made


def order(*prices: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Order Completed", "properties": {"products": [{"price": one} for one in prices]}}


def test_a_cast_of_each_entry_of_a_list() -> None:
    event, applied = repaired(
        order("1.299,50", 3, "4"), "[{cast: /properties/products/*/price, to: number, decimal: ','}]"
    )
    assert (event, applied) == (order(1299.5, 3, 4), [1])


def test_a_value_that_cannot_be_cast_leaves_the_event_refused_without_telling_the_value() -> None:
    with pytest.raises(CannotRepair) as refused:
        repaired(order("3", "secret"), "[{cast: /properties/products/*/price, to: number}]")
    assert str(refused.value) == "rule 1: /properties/products/1/price: it is no number"


def test_rules_see_what_those_before_them_made() -> None:
    rules = """
    - rename: /evnt
      to: /event
    - set: /properties/shop/country
      value: "NO"
    - remove: /properties/junk
    - set: /properties/late
      value: true
      when: {/event: Signed Up, /properties/junk: {is: absent}}
    - remove: /properties/late
      when: {/properties/junk: {is: [text, not_a_number]}}
    """
    event, applied = repaired({"evnt": "Signed Up", "properties": {"junk": NotANumber()}}, rules)
    assert event == {"properties": {"shop": {"country": "NO"}, "late": True}, "event": "Signed Up"}
    assert applied == [1, 2, 3, 4]


def test_renaming_keeps_each_value_in_its_entry_and_overwrites_nothing() -> None:
    rules = "[{rename: /items/*/cost, to: /items/*/price}]"
    event, _ = repaired({"items": [{"cost": 1}, {"name": "x"}, {"cost": 3}]}, rules)
    assert event == {"items": [{"price": 1}, {"name": "x"}, {"price": 3}]}
    with pytest.raises(CannotRepair, match="something stands at /items/0/price already"):
        repaired({"items": [{"cost": 1, "price": 2}]}, rules)


def test_setting_replaces_adds_to_a_list_and_refuses_where_nothing_can_stand() -> None:
    assert repaired({"a": [1, 2]}, "[{set: /a/0, value: x}, {set: /a/-, value: 3}]") == ({"a": ["x", 2, 3]}, [1, 2])
    assert repaired({"a": [{"b": 1}, {}]}, "[{set: /a/*/b, value: 1}]") == ({"a": [{"b": 1}, {"b": 1}]}, [1])
    assert repaired({"a": 1}, "[{set: /a, value: 1}]") == ({"a": 1}, [])
    for event in ({"a": 1}, {"a": [1]}, 7):
        with pytest.raises(CannotRepair, match="rule 1: nothing can stand at /a/b"):
            repaired(event, "[{set: /a/b, value: 1}]")


def test_removing_entries_of_a_list_removes_all_that_are_meant() -> None:
    assert repaired({"a": [1, 2, 3]}, "[{remove: /a/*}]") == ({"a": []}, [1])
    assert repaired({"a": [1, 2, 3]}, "[{remove: /b/*}]") == ({"a": [1, 2, 3]}, [])


@pytest.mark.parametrize(
    ("when", "is_meant"),
    [
        ("{reason: wrong_type}", True),
        ("{reason: [missing_field, wrong_type], source: shop}", True),
        ("{source: blog}", False),
        ("{name: Order Completed}", True),
        ("{name: [Signed Up]}", False),
        ("{path: 'properties.products[].price'}", True),
        ("{path: 'batch[0].properties.products[7].price'}", True),
        ("{path: properties.price}", False),
        ("{/properties/products/*/price: cheap}", True),
        ("{/properties/products/*/price: dear}", False),
        ("{/properties/products/*/price: {matches: '^ch'}}", True),
        ("{/properties/products/*/price: {is: number}}", True),
        ("{/properties/products/0/price: {is: [number, flag]}}", False),
        ("{/properties/products/0/price: {is: text, matches: '^x'}}", False),
        ("{/userId: {is: absent}}", True),
        ("{/properties/products/1/price: true}", False),
    ],
)
def test_when_says_which_events_are_meant(when: str, is_meant: bool) -> None:
    _, applied = repaired(order("cheap", 1), f"[{{set: /seen, value: 1, when: {when}}}]")
    assert bool(applied) is is_meant


@pytest.mark.parametrize(
    ("rules", "place", "text"),
    [
        ("a: 1", (), "must be a list of rules, each with set, rename, cast or remove"),
        ("[]", (), "must be a list of rules, each with set, rename, cast or remove"),
        ("[7]", (0,), "a rule is an object such as {remove: /properties/price}"),
        ("[{remove: /a}, {remvoe: /a}]", (1, "remvoe"), "unknown key; did you mean `remove`?"),
        ("[{to: number}]", (0,), "a rule has one of set, rename, cast, remove"),
        ("[{set: /a, value: 1, remove: /b}]", (0,), "a rule does one thing; this one has set and remove"),
        ("[{set: /a}]", (0, "set"), "`set` needs `value`"),
        ("[{set: /a, valeu: 1, value: 2}]", (0, "valeu"), "unknown key; did you mean `value`?"),
        ("[{remove: a.b}]", (0, "remove"), "a JSON pointer begins with a slash, such as /properties/price"),
        ("[{remove: /a~2}]", (0, "remove"), "in a JSON pointer ~ is written ~0, and / within a name ~1"),
        ("[{remove: 3}]", (0, "remove"), "must be a JSON pointer, such as /properties/price"),
        ("[{rename: /a/*/b, to: /c}]", (0, "to"), "must have as many `*` as the pointer that is renamed"),
        ("[{rename: /a, to: /a/b}]", (0, "to"), "a value cannot be moved into itself"),
        (
            "[{cast: /a, to: numbr}]",
            (0, "to"),
            "no such type; did you mean `number`?; use text, number, whole, flag, time",
        ),
        ("[{cast: /a, to: number, decimal: ';'}]", (0, "decimal"), "must be `.` or `,`"),
        (
            "[{set: /a, value: 2026-11-24}]",
            (0, "value"),
            "is no value of JSON; write a date or a large number in quotes",
        ),
        ("[{set: /a, value: [.nan]}]", (0, "value"), "is no value of JSON; write a date or a large number in quotes"),
        ("[{remove: /a, when: {resaon: x}}]", (0, "when", "resaon"), "unknown key; did you mean `reason`?"),
        ("[{remove: /a, when: {reason: 3}}]", (0, "when", "reason"), "must be a text, or a list of texts"),
        ("[{remove: /a, when: x}]", (0, "when"), "must be an object with reason, source, name, path or pointers"),
        ("[{remove: /a, when: {/b: {matches: '('}}}]", (0, "when", "/b", "matches"), "is no regular expression"),
        (
            "[{remove: /a, when: {/b: {mathces: x}}}]",
            (0, "when", "/b", "mathces"),
            "unknown key; did you mean `matches`?",
        ),
        ("[{remove: /a, when: {/b: [1]}}]", (0, "when", "/b"), "must be a value, or an object with `is` or `matches`"),
    ],
)
def test_what_is_wrong_with_rules_is_told_where_it_is(rules: str, place: tuple[Any, ...], text: str) -> None:
    with pytest.raises(BadRules) as refused:
        read_rules(yaml.safe_load(rules))
    assert refused.value.problems == [(place, text)]


@pytest.mark.parametrize(
    ("value", "to", "result"),
    [
        (" 12 ", "number", 12), ("1 299.50", "number", 1299.5), ("-3e2", "number", -300.0), (7, "number", 7),
        ("12.0", "whole", 12), (3, "text", "3"), (1.5, "text", "1.5"), (True, "text", "true"), ("Yes", "flag", True),
        (0, "flag", False), (1795000000, "time", "2026-11-18T11:06:40.000Z"),
        ("1795000000000", "time", "2026-11-18T11:06:40.000Z"), ("2026-11-18T12:06:40+01:00", "time",
                                                                "2026-11-18T11:06:40.000Z"),
    ],
)  # fmt: skip
def test_casts(value: Any, to: Type, result: Any) -> None:
    made = cast(value, to, ".")
    assert (made, type(made)) == (result, type(result))


@pytest.mark.parametrize(
    ("value", "to"),
    [("", "number"), ("1.2.3", "number"), ("9" * 30, "number"), ("1e999", "number"), (True, "number"), ([], "text"),
     ("2.5", "whole"), ("maybe", "flag"), (2, "flag"), ("soon", "time"), (10**18, "time"), (None, "time"),
     (NotANumber(), "number")],
)  # fmt: skip
def test_what_is_none_of_its_type_cannot_be_cast(value: Any, to: Type) -> None:
    with pytest.raises(CannotCast):
        cast(value, to, ".")


names = st.text(max_size=3) | st.sampled_from(("*", "0", "-", "a/b", "~", "~1"))
trees = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


def leaves(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if isinstance(value, dict):
        return [found for name, inner in value.items() for found in leaves(inner, (*path, name))]
    if isinstance(value, list):
        return [found for at, inner in enumerate(value) for found in leaves(inner, (*path, str(at)))]
    return [path] if path else []


@given(trees)
def test_every_value_is_found_changed_and_taken_by_its_pointer(tree: Any) -> None:
    for path in leaves(tree):
        assert read_pointer(write_pointer(path)) == path
        changed = copy.deepcopy(tree)
        mark = object()
        assert put(changed, path, mark)
        assert find(changed, path) is mark
        assert take(changed, path) is mark
        if "*" not in path:
            assert list(places(tree, path)) == [path]


def test_a_cause_is_told_by_its_path_without_what_differs() -> None:
    assert cause_path("batch[3].properties.products[12].price") == "properties.products[].price"
    assert cause_path("properties.price") == cause_path("batch[0].properties.price") == "properties.price"
    assert cause_path("batch[6]") == cause_path("data[6]") == cause_path("[6]") == ""
    assert cause_path("events[1].params.items[0].price") == "params.items[].price"
