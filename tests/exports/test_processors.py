"""From fields and traits to columns."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.processors import Field, FieldProcessor, cast_to_string, processors_of, with_metadata
from exporter.rows import content_of, emptied, fault_in, padded


def title(value: Any = "Shoes", kind: str = "ibexa_string", identifier: str = "title") -> Field:
    return Field(identifier, kind, value, 901, "eng-GB")


def test_by_default_a_field_is_its_metadata_and_its_text() -> None:
    assert processors_of([]).columns([title()]) == {
        "field_title_id": 901,
        "field_title_type": "ibexa_string",
        "field_title_language_code": "eng-GB",
        "field_title_value": "Shoes",
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (1.0, "1.0"),
        (True, "true"),
        (None, None),
        (["a", 2, False], "a, 2, false"),
        ({"a": [1]}, '{"a":[1]}'),
        ([{"a": 1}], '[{"a":1}]'),
        ([], ""),
    ],
)
def test_the_text_of_a_value(value: Any, text: str | None) -> None:
    assert cast_to_string(value) == text


def test_skip_removes_the_whole_field_of_its_type_only() -> None:
    columns = processors_of([("skip", "image", 0)]).columns([title(), title(1, "image", "cover")])
    assert all(name.startswith("field_title_") for name in columns)


def test_json_writes_the_value_as_json_text() -> None:
    columns = processors_of([("json", "map", 0)]).columns([title({"b": 1, "a": "x"}, "map")])
    assert columns["field_title_value"] == '{"a":"x","b":1}'


def test_the_higher_priority_goes_first_and_below_the_default_nothing_is_reached() -> None:
    both = [("json", "map", 5), ("skip", "map", 10)]
    assert processors_of(both).columns([title({}, "map")]) == {}
    assert processors_of([("skip", "map", -101)]).columns([title({}, "map")])["field_title_value"] == "{}"


def test_a_field_processor_may_give_several_values() -> None:
    pair = FieldProcessor(lambda one: one.type == "range", lambda one: {"value_min": 1, "value_max": 2})
    assert with_metadata([pair]).process(title(None, "range")) == {
        "id": 901,
        "type": "range",
        "language_code": "eng-GB",
        "value_min": 1,
        "value_max": 2,
    }


def test_two_fields_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="'title' is there twice"):
        processors_of([]).columns([title(), title()])


@pytest.mark.parametrize(
    ("traits", "day"),
    [
        ({"date_of_birth": "2000-01-02"}, "2000-01-02"),
        ({"birthday": " 2000-01-02T23:30:00Z "}, "2000-01-02"),
        ({"dob": "2. January 2000"}, ""),
        ({"date_of_birth": 946771200}, ""),
        ({}, ""),
    ],
)
def test_the_date_of_birth(traits: dict[str, Any], day: str) -> None:
    row = processors_of([("date_of_birth", "", 0)]).person(traits, {"id": "u1"})
    assert row == {"id": "u1", "date_of_birth": day}


@pytest.mark.parametrize(
    ("row", "code", "column"),
    [
        ({}, "no_key", "id"),
        ({"id": ""}, "no_key", "id"),
        ({"id": None}, "no_key", "id"),
        ({"id": 1, "tags": ["a"]}, "not_simple", "tags"),
        ({"id": 1, "map": {"a": 1}}, "not_simple", "map"),
        ({"id": 1, "price": float("nan")}, "not_finite", "price"),
        ({"id": 1, "price": float("-inf")}, "not_finite", "price"),
        ({"id": 1, "big": 2**63}, "too_large", "big"),
        ({"id": 1, "text": "x" * 32769}, "too_long", "text"),
        ({"id": 1, "text": "\U0001f680" * 8193}, "too_long", "text"),
        ({"id": 1, "": "x"}, "bad_column", ""),
        ({"id": 1, "a\nb": "x"}, "bad_column", "a\nb"),
        ({"id": "1"}, "type_changed", "id"),
        ({"id": True}, "type_changed", "id"),
    ],
)
def test_what_may_not_stand_in_a_row(row: dict[str, Any], code: str, column: str) -> None:
    fault = fault_in(row, "id", {"id": "number"})
    assert fault is not None
    assert (fault.code, fault.column) == (code, column)


def test_what_may() -> None:
    row = {"id": 1, "text": "x" * 32768, "price": 1.5, "sold": False, "gone": None, "big": -(2**63) + 1}
    assert fault_in(row, "id", {"id": "number", "price": "number", "gone": "text"}) is None


def test_a_null_is_as_good_as_no_column_and_their_order_does_not_matter() -> None:
    assert content_of({"id": 1, "a": None, "b": "x"}) == content_of({"b": "x", "id": 1})
    assert content_of({"id": 1}) != content_of({"id": "1"})


def test_rows_name_every_column_of_the_stream_and_emptied_ones_only_their_key() -> None:
    row = padded(emptied({"id": 1, "name": "Ann"}, "id"), {"id": "number", "name": "text", "city": "text"})
    assert row == {"id": 1, "name": None, "city": None}
