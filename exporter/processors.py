"""What turns an item's fields, and a person's traits, into flat columns. Pure.

A field goes to the first field processor that supports it, by descending priority; its columns begin with
`field_<identifier>_`. The default one (priority -100) writes `id`, `type`, `language_code` and what the first
supporting value processor makes of the value; the default there is its text. Processors of users form a chain: each
may add to, or change, what the ones before it made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, Generic, NamedTuple, TypeVar

import orjson

Scalar = str | int | float | bool | None
Row = dict[str, Scalar]

DEFAULT_PRIORITY: Final = -100
_BIRTH_TRAITS: Final = ("date_of_birth", "dateOfBirth", "birthday", "birthdate", "dob")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a content or product item, as its source has it."""

    identifier: str
    type: str
    value: Any
    id: Scalar = None
    language_code: str | None = None
    definition: Mapping[str, Any] = field(default_factory=dict)


class FieldProcessor(NamedTuple):
    """`process` gives the columns of a field without their prefix."""

    supports: Callable[[Field], bool]
    process: Callable[[Field], Mapping[str, Scalar]]


class UserProcessor(NamedTuple):
    """`process` gives the row that follows from a person's traits and the row so far."""

    process: Callable[[Mapping[str, Any], Row], Row]


P = TypeVar("P", FieldProcessor, UserProcessor)


class Ranked(NamedTuple, Generic[P]):
    """A processor in its place: the higher goes first, of equals the one named first."""

    priority: int
    processor: P


@dataclass(frozen=True, slots=True)
class Processors:
    """The processors of one workflow, each list by descending priority."""

    fields: Sequence[FieldProcessor]
    users: Sequence[UserProcessor]

    def columns(self, fields: Iterable[Field]) -> Row:
        """The columns of an item's fields. Raises ValueError where two fields have one identifier."""
        row: Row = {}
        for one in fields:
            processor = next(candidate for candidate in self.fields if candidate.supports(one))
            for name, value in processor.process(one).items():
                column = f"field_{one.identifier}_{name}"
                if column in row:
                    raise ValueError(f"the field {one.identifier!r} is there twice")
                row[column] = value
        return row

    def person(self, traits: Mapping[str, Any], row: Row) -> Row:
        """The row of a user whose base row is `row`."""
        for processor in self.users:
            row = processor.process(traits, row)
        return row


def processors_of(named: Iterable[tuple[str, str, int]]) -> Processors:
    """The default processors and the ones of the settings, each as (use, field type, priority)."""
    fields: list[Ranked[FieldProcessor]] = []
    values: list[Ranked[FieldProcessor]] = []
    users: list[Ranked[UserProcessor]] = []
    for use, field_type, priority in named:
        match use:
            case "skip":
                fields.append(Ranked(priority, skipping(field_type)))
            case "json":
                values.append(Ranked(priority, json_text(field_type)))
            case "date_of_birth":
                users.append(Ranked(priority, UserProcessor(_with_date_of_birth)))
            case _:
                raise ValueError(f"there is no processor {use!r}")
    values.append(Ranked(DEFAULT_PRIORITY, CAST_TO_STRING))
    fields.append(Ranked(DEFAULT_PRIORITY, with_metadata(_in_order(values))))
    return Processors(_in_order(fields), _in_order(users))


def skipping(field_type: str) -> FieldProcessor:
    """Leaves out fields of this type, metadata and all."""
    return FieldProcessor(lambda one: one.type == field_type, lambda _: {})


def json_text(field_type: str) -> FieldProcessor:
    """A value processor: the value of a field of this type as JSON text."""
    return FieldProcessor(
        lambda one: one.type == field_type,
        lambda one: {"value": orjson.dumps(one.value, option=orjson.OPT_SORT_KEYS).decode()},
    )


def with_metadata(values: Sequence[FieldProcessor]) -> FieldProcessor:
    """Any field: its metadata, and its value by the first of `values` that supports it."""

    def process(one: Field) -> Mapping[str, Scalar]:
        processor = next(candidate for candidate in values if candidate.supports(one))
        return {"id": one.id, "type": one.type, "language_code": one.language_code, **processor.process(one)}

    return FieldProcessor(lambda _: True, process)


def cast_to_string(value: Any) -> str | None:
    """A value as text: words and numbers as they are, lists of them joined by commas, anything else as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
        return ", ".join(str(cast_to_string(one)) for one in value)
    return orjson.dumps(value).decode()


CAST_TO_STRING: Final = FieldProcessor(lambda _: True, lambda one: {"value": cast_to_string(one.value)})


def _with_date_of_birth(traits: Mapping[str, Any], row: Row) -> Row:
    """`date_of_birth` as Y-m-d; empty where it is absent or no date."""
    stated = next((traits[name] for name in _BIRTH_TRAITS if traits.get(name)), "")
    return {**row, "date_of_birth": _day(stated)}


def _day(stated: object) -> str:
    if not isinstance(stated, str):
        return ""
    try:
        return date.fromisoformat(stated.strip()).isoformat()
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(stated.strip()).date().isoformat()
    except ValueError:
        return ""


def _in_order(ranked: Iterable[Ranked[P]]) -> list[P]:
    return [one.processor for one in sorted(ranked, key=lambda one: -one.priority)]
