"""The canonical event, the topics' table and times."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from eventlog.event import EVENT
from eventlog.log import partition_of
from eventlog.timestamps import format_ms, parse_ms
from eventlog.topics import EVENTS, TOPICS, Topic, json_schema


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_each_topics_example_is_valid_and_its_schema_holds_it(topic: Topic) -> None:
    assert topic.value.validate_python(topic.example)
    schema = json_schema(topic)
    assert schema["examples"] == [topic.example]
    assert set(topic.example) <= set(schema["properties"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("occurred_at", "2026-11-24 10:15"),
        ("id", ""),
        ("id", "x" * 257),
        ("kind", "click"),
        ("user_id", ""),
        ("items", [{"product_id": "SKU-1", "price": 1.5}]),
        ("surprise", 1),
    ],
)
def test_what_the_event_does_not_allow_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        EVENT.validate_python({**EVENTS.example, field: value})
    assert caught.value.errors()[0]["loc"][0] == field


@given(st.integers(min_value=0, max_value=4_102_444_800_000))
def test_a_time_survives_writing_and_reading(at: int) -> None:
    assert parse_ms(format_ms(at)) == at


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-11-24T06:15:00+01:00", "2026-11-24T05:15:00.000Z"),
        ("2026-11-24T05:15:00", "2026-11-24T05:15:00.000Z"),
        ("2026-11-24T05:15:00.1239Z", "2026-11-24T05:15:00.123Z"),
        ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"),
    ],
)
def test_times_are_read_with_any_offset_and_floored(text: str, same: str) -> None:
    assert format_ms(parse_ms(text)) == same


def test_partitions_are_those_of_librdkafkas_consistent_partitioner() -> None:
    # CRC-32 of "123456789" is the checksum's published check value.
    assert partition_of(b"123456789", 12) == 0xCBF43926 % 12
