"""What the rejected topic gets of a record of the events topic that cannot be folded: all that a replay needs."""

from __future__ import annotations

import orjson

from eventlog.log import Partition, Record
from eventlog.outcome import OUTCOME
from exporter.fold import EVENTS_TOPIC, fold_record, poison_outcome
from exporter.rules import Rules


def outcome_of(value: bytes) -> dict[str, object]:
    record = Record(Partition("trackway.events.v1", 3), 17, b"0123456789abcdef", value, (), 1_795_435_018_000)
    folded = fold_record(record, EVENTS_TOPIC, Rules())
    assert folded.status == "poison"
    told: dict[str, object] = orjson.loads(orjson.dumps(poison_outcome(folded)))
    OUTCOME.validate_python(told)
    return told


def test_json_that_is_no_event_is_kept_whole_byte_for_byte() -> None:
    value = b'{"id":"p","source":"shop","kind":"click","properties":{"n":123456789012345678901234567890}}'
    record = Record(Partition("trackway.events.v1", 3), 17, b"0123456789abcdef", value, (), 1_795_435_018_000)
    assert value in orjson.dumps(poison_outcome(fold_record(record, EVENTS_TOPIC, Rules())))
    told = outcome_of(value)
    assert (told["reason"], told["id"], told["partition"], told["offset"]) == ("not_an_event", "p", 3, 17)
    assert "prefix" not in told


def test_of_what_is_no_json_or_too_large_the_beginning_is_kept() -> None:
    for value in (b"{" * 5000, b'{"id":"p","x":"%s"}' % (b"y" * 1_020_000)):
        told = outcome_of(value)
        assert told["prefix"] == value[:1024].decode()
        assert "event" not in told
