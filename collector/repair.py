"""Rules that repair refused events: what a file of them says, and what they make of an event. Pure."""

from __future__ import annotations

import copy
import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, cast, get_args

from collector.casts import CannotCast, Type
from collector.casts import cast as cast_value
from collector.decode import NotANumber
from collector.pointers import ABSENT, EACH, Path, find, places, put, read_pointer, take, write_pointer
from eventlog.outcome import Outcome, cause_path

Verb = Literal["set", "rename", "cast", "remove"]
Place = tuple[str | int, ...]

# The keys of a rule beside its verb and `when`: which are needed, which may be.
_NEEDED: Final[dict[Verb, tuple[str, ...]]] = {"set": ("value",), "rename": ("to",), "cast": ("to",), "remove": ()}
_MORE: Final[dict[Verb, tuple[str, ...]]] = {"set": (), "rename": (), "cast": ("decimal",), "remove": ()}
_INT64: Final = 2**63
_WORDS: Final = ("reason", "source", "name", "path")
_IS: Final[dict[str, tuple[type, ...]]] = {
    "absent": (), "text": (str,), "number": (int, float), "flag": (bool,), "list": (list,), "object": (dict,),
    "null": (type(None),), "not_a_number": (NotANumber,),
}  # fmt: skip


class BadRules(Exception):  # noqa: N818 - a verdict on the file
    """Rules that cannot be used: where in the file (keys and indexes from the top), and what is wrong there."""

    def __init__(self, problems: list[tuple[Place, str]]) -> None:
        super().__init__("; ".join(text for _, text in problems))
        self.problems = problems


class CannotRepair(Exception):  # noqa: N818 - a verdict on the event
    """A rule that means the event cannot be applied to it. The text tells which and why, without any value."""


class Test(NamedTuple):
    """What must be true of the value at `path`: it equals `equals`, is of one of the types `is_`, matches."""

    path: Path
    equals: Any = ABSENT
    is_: tuple[str, ...] = ()
    matches: re.Pattern[str] | None = None


@dataclass(frozen=True)
class When:
    """Which events a rule means: each list that is not empty names what it may be; all `tests` must hold."""

    reason: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    name: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    tests: tuple[Test, ...] = ()


@dataclass(frozen=True)
class Rule:
    """One rule of the list, `number` counted from 1."""

    number: int
    verb: Verb
    path: Path
    to: Path = ()
    value: Any = None
    type: Type = "text"
    decimal: str = "."
    when: When = field(default_factory=When)


def read_rules(value: Any) -> list[Rule]:
    """The rules of a file's YAML. Raises BadRules with all that is wrong."""
    if not isinstance(value, list) or not value:
        raise BadRules([((), "must be a list of rules, each with set, rename, cast or remove")])
    problems: list[tuple[Place, str]] = []
    rules = [_Reading((at,), problems).rule(at + 1, one) for at, one in enumerate(value)]
    if problems:
        raise BadRules(problems)
    return [rule for rule in rules if rule is not None]


def repair(event: Any, outcome: Outcome, rules: Sequence[Rule]) -> tuple[Any, list[int]]:
    """The event with the rules applied one after the other, and the numbers of those that changed it. The event given
    stays as it is. Raises CannotRepair."""
    repaired = copy.deepcopy(event)
    applied = []
    for rule in rules:
        if _is_meant(rule.when, repaired, outcome) and _apply(rule, repaired):
            applied.append(rule.number)
    return repaired, applied


def name_of(event: Any) -> str:
    """The event's name as its sender wrote it; of a message without one, its type."""
    for key in ("event", "name", "type"):
        if isinstance(event, dict) and isinstance(event.get(key), str) and event[key].strip():
            return str(event[key]).strip()
    return ""


def _is_meant(when: When, event: Any, outcome: Outcome) -> bool:
    stated: Mapping[str, Any] = outcome
    for key in ("reason", "source"):
        wanted = getattr(when, key)
        if wanted and stated.get(key) not in wanted:
            return False
    if when.name and name_of(event) not in when.name:
        return False
    if when.path and cause_path(outcome.get("path", "")) not in when.path:
        return False
    return all(_holds(test, event) for test in when.tests)


def _holds(test: Test, event: Any) -> bool:
    """Of a pointer with `*`, whether it holds of any value there."""
    found = [find(event, place) for place in places(event, test.path)] or [ABSENT]
    return any(_holds_of(test, value) for value in found)


def _holds_of(test: Test, value: Any) -> bool:
    if test.equals is not ABSENT:
        return type(value) is type(test.equals) and bool(value == test.equals)
    if test.matches is not None:
        return isinstance(value, str) and test.matches.search(value) is not None
    for word in test.is_:
        if word == "absent" and value is ABSENT:
            return True
        if isinstance(value, _IS[word]) and (word != "number" or not isinstance(value, bool)):
            return True
    return False


def _apply(rule: Rule, event: Any) -> bool:
    """Whether it changed the event."""
    if rule.verb == "set":
        return _set(rule, event)
    # From the last entry of a list to the first: taking one out moves those behind it.
    found = list(places(event, rule.path))[::-1]
    if rule.verb == "remove":
        for place in found:
            take(event, place)
        return bool(found)
    if rule.verb == "rename":
        for place in found:
            _rename(rule, event, place)
        return bool(found)
    changed = [_cast(rule, event, place) for place in found]
    return any(changed)


def _set(rule: Rule, event: Any) -> bool:
    changed = False
    # The last part may be new, so the places are those of what is to hold it.
    for holder in list(places(event, rule.path[:-1])) if EACH in rule.path[:-1] else [rule.path[:-1]]:
        place = (*holder, rule.path[-1])
        before = find(event, place)
        if before is ABSENT or type(before) is not type(rule.value) or before != rule.value:
            if not put(event, place, copy.deepcopy(rule.value)):
                raise CannotRepair(f"rule {rule.number}: nothing can stand at {write_pointer(place)}")
            changed = True
    return changed


def _rename(rule: Rule, event: Any, place: Path) -> None:
    indexes = iter([part for part, meant in zip(place, rule.path, strict=True) if meant == EACH])
    to = tuple(next(indexes) if part == EACH else part for part in rule.to)
    if find(event, to) is not ABSENT:
        raise CannotRepair(f"rule {rule.number}: something stands at {write_pointer(to)} already")
    value = take(event, place)
    if not put(event, to, value):
        raise CannotRepair(f"rule {rule.number}: nothing can stand at {write_pointer(to)}")


def _cast(rule: Rule, event: Any, place: Path) -> bool:
    before = find(event, place)
    try:
        after = cast_value(before, rule.type, rule.decimal)
    except CannotCast as error:
        raise CannotRepair(f"rule {rule.number}: {write_pointer(place)}: {error}") from None
    if type(after) is type(before) and after == before:
        return False
    return put(event, place, after)


class _Reading:
    """One rule of the file, its problems noted by their place."""

    def __init__(self, place: Place, problems: list[tuple[Place, str]]) -> None:
        self._place = place
        self._problems = problems

    def rule(self, number: int, value: Any) -> Rule | None:
        if not isinstance(value, dict):
            self._wrong((), "a rule is an object such as {remove: /properties/price}")
            return None
        verbs: list[Verb] = [verb for verb in get_args(Verb) if verb in value]
        if len(verbs) != 1:
            self._not_one_verb(verbs, value)
            return None
        verb = verbs[0]
        known = (*_NEEDED[verb], *_MORE[verb], "when")
        for key in value:
            if key != verb and key not in known:
                self._wrong((key,), f"unknown key{_nearest(key, known)}")
        missing = [key for key in _NEEDED[verb] if key not in value]
        for key in missing:
            self._wrong((verb,), f"`{verb}` needs `{key}`")
        path = self.pointer((verb,), value[verb])
        if verb == "set" and not missing:
            self._json_only(("value",), value["value"])
        when = self.when(value["when"]) if "when" in value else When()
        if path is None or missing:
            return None
        return self._made(Rule(number, verb, path, value=value.get("value"), when=when), value)

    def _made(self, rule: Rule, value: dict[str, Any]) -> Rule | None:
        given = {"number": rule.number, "verb": rule.verb, "path": rule.path, "value": rule.value, "when": rule.when}
        if rule.verb == "rename":
            to = self.pointer(("to",), value["to"])
            if to is None:
                return None
            if to.count(EACH) != rule.path.count(EACH):
                self._wrong(("to",), "must have as many `*` as the pointer that is renamed")
            if to[: len(rule.path)] == rule.path:
                self._wrong(("to",), "a value cannot be moved into itself")
            return Rule(**given, to=to)
        if rule.verb == "cast":
            types = get_args(Type)
            if value["to"] not in types:
                self._wrong(("to",), f"no such type{_nearest(value['to'], types)}; use {', '.join(types)}")
                return None
            decimal = value.get("decimal", ".")
            if decimal not in (".", ","):
                self._wrong(("decimal",), "must be `.` or `,`")
            return Rule(**given, type=value["to"], decimal=decimal)
        return rule

    def when(self, value: Any) -> When:
        if not isinstance(value, dict):
            self._wrong(("when",), "must be an object with reason, source, name, path or pointers")
            return When()
        words: dict[str, tuple[str, ...]] = {}
        tests: list[Test] = []
        for key, stated in value.items():
            texts = stated if isinstance(stated, list) else [stated]
            if isinstance(key, str) and key.startswith("/"):
                tests += self.test(key, stated)
            elif key not in _WORDS:
                self._wrong(("when", key), f"unknown key{_nearest(key, _WORDS)}")
            elif not all(isinstance(text, str) for text in texts):
                self._wrong(("when", key), "must be a text, or a list of texts")
            else:
                words[key] = tuple(cause_path(text) for text in texts) if key == "path" else tuple(texts)
        return When(**words, tests=tuple(tests))

    def test(self, key: str, value: Any) -> list[Test]:
        where = ("when", key)
        path = self.pointer(where, key)
        if path is None:
            return []
        if isinstance(value, list):
            self._wrong(where, "must be a value, or an object with `is` or `matches`")
        if not isinstance(value, dict):
            self._json_only(where, value)
            return [Test(path, equals=value)]
        for inner in value:
            if inner not in ("is", "matches"):
                self._wrong((*where, inner), f"unknown key{_nearest(inner, ('is', 'matches'))}")
        tests = []
        if "is" in value:
            words = value["is"] if isinstance(value["is"], list) else [value["is"]]
            for word in words:
                if word not in _IS:
                    self._wrong((*where, "is"), f"no such type{_nearest(word, tuple(_IS))}; use {', '.join(_IS)}")
            tests.append(Test(path, is_=tuple(cast("list[str]", words))))
        if "matches" in value:
            try:
                tests.append(Test(path, matches=re.compile(value["matches"])))
            except (re.error, TypeError):
                self._wrong((*where, "matches"), "is no regular expression")
        return tests

    def pointer(self, where: Place, value: Any) -> Path | None:
        try:
            if not isinstance(value, str):
                raise ValueError("must be a JSON pointer, such as /properties/price")
            return read_pointer(value)
        except ValueError as error:
            self._wrong(where, str(error))
            return None

    def _not_one_verb(self, verbs: Sequence[Verb], value: Mapping[Any, Any]) -> None:
        if verbs:
            self._wrong((), f"a rule does one thing; this one has {' and '.join(verbs)}")
            return
        strange = [key for key in value if key not in ("value", "to", "decimal", "when")]
        for key in strange:
            self._wrong((key,), f"unknown key{_nearest(key, get_args(Verb))}")
        if not strange:
            self._wrong((), "a rule has one of set, rename, cast, remove")

    def _json_only(self, where: Place, value: Any) -> None:
        """YAML has values that JSON does not: dates, .nan, keys that are no texts, integers beyond 64 bits."""
        if not _is_json(value):
            self._wrong(where, "is no value of JSON; write a date or a large number in quotes")

    def _wrong(self, where: Place, text: str) -> None:
        self._problems.append(((*self._place, *where), text))


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(inner) for key, inner in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return -_INT64 <= value < _INT64
    return value is None or isinstance(value, str | bool) or (isinstance(value, float) and math.isfinite(value))


def _nearest(word: Any, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(str(word), known, n=1)
    return f"; did you mean `{near[0]}`?" if near else ""
