"""Records of the log as values: what each of them is, before the store is asked what it knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

import orjson
from pydantic import ValidationError

from eventlog.errors import PoisonReason
from eventlog.event import EVENT
from eventlog.log import Outgoing, Record
from eventlog.outcome import MAX_PREFIX_CHARACTERS, Outcome
from eventlog.timestamps import format_ms
from eventlog.topics import MAX_MESSAGE_BYTES
from exporter.heard import Heard, heard_of_event, heard_of_outcome
from exporter.marks import hash64
from exporter.member import Member, member_of
from exporter.rules import Rules

EVENTS_TOPIC, REJECTED_TOPIC = 0, 1
# What an outcome holds beside the poison record's value is smaller.
_BESIDE: Final = 64 * 1024

# What code of ours raises about a value it was not made for.
BUGS: Final = (ValueError, ArithmeticError, LookupError, TypeError, AttributeError, AssertionError, RecursionError)

# What the store counts: the first four of the events topic, the last four and poison of the rejected topic.
Status = Literal["accepted", "unattributed", "twin", "poison", "rejected", "filtered", "duplicate", "unknown"]
_OUTCOMES: Final[dict[str, Status]] = {
    "rejected": "rejected",
    "filtered": "filtered",
    "duplicate": "duplicate",
    "poison": "poison",
}


@dataclass(slots=True)
class Folded:
    """One record. `member` is what profiles are made of: None where the record is no event. `id_hash` and `key_hash`
    stand for the id and for the identity (source, id). `heard` is what our tracker's numbers say, whatever the
    record is."""

    record: Record
    topic: int
    source: str
    event_id: str
    status: Status
    reason: str | None = None
    member: Member | None = None
    heard: Heard | None = None

    id_hash: int = field(init=False)
    key_hash: int = field(init=False)

    def __post_init__(self) -> None:
        self.id_hash = hash64(self.event_id)
        self.key_hash = hash64(f"{self.source}\0{self.event_id}")

    @property
    def is_poison(self) -> bool:
        """Whether it is one that cannot be folded (not the word of the rejected topic about such a one)."""
        return self.topic == EVENTS_TOPIC and self.status == "poison"

    @property
    def seen(self) -> bool:
        """Whether its identity was accepted by it."""
        return self.topic == EVENTS_TOPIC and self.status in ("accepted", "unattributed")


def fold_record(record: Record, topic: int, rules: Rules) -> Folded:
    """What the record is, as far as it tells itself. What cannot be read or folded is `poison`, never an exception."""
    if topic == REJECTED_TOPIC:
        return _outcome(record)
    value = value_of(record)
    if value is None:
        return _poison(record, value, "not_json")
    try:
        event = EVENT.validate_python(value)
        member = member_of(event, rules)
    except ValidationError:
        return _poison(record, value, "not_an_event")
    except BUGS:
        # A bug of ours must not stop the log: the record is set aside and counted.
        return _poison(record, value, "fold_failed")
    heard = heard_of_event(event, event["source"])
    return Folded(record, topic, event["source"], event["id"], _status(member), member=member, heard=heard)


def fold_again(folded: Folded) -> Folded:
    """As before the store was asked, which may have found that it is a twin."""
    if folded.member is not None:
        folded.status = _status(folded.member)
    return folded


def as_poison(folded: Folded, reason: PoisonReason) -> Folded:
    """The same record as one that is set aside."""
    return Folded(folded.record, folded.topic, folded.source, folded.event_id, "poison", reason, heard=folded.heard)


def poison_outcome(folded: Folded) -> Outcome:
    """What the rejected topic tells of a poison record."""
    record = folded.record
    outcome: Outcome = {
        "status": "poison",
        "reason": folded.reason or "fold_failed",
        "received_at": format_ms(record.timestamp),
        "topic": record.partition.topic,
        "partition": record.partition.number,
        "offset": record.offset,
    }
    value = record.value or b""
    if value_of(record) is not None and len(value) <= MAX_MESSAGE_BYTES - _BESIDE:
        # Byte for byte, so that nothing is lost should it be replayed.
        outcome["event"] = orjson.Fragment(value)
    else:
        outcome["prefix"] = value.decode("utf-8", "replace")[:MAX_PREFIX_CHARACTERS] or " "
    if folded.source:
        outcome["source"] = folded.source
    if folded.event_id:
        outcome["id"] = folded.event_id
    return outcome


def header(record: Record | Outgoing, name: str) -> str:
    """A header's text; "" where the record has none."""
    return next((value.decode("utf-8", "replace") for key, value in record.headers if key == name), "")


def source_of(record: Record | Outgoing, value: Any) -> str:
    """The source a record is counted under: its value's, else its header's, else ""."""
    stated = value.get("source") if isinstance(value, dict) else None
    return stated if isinstance(stated, str) and stated else header(record, "ce_source")


def value_of(record: Record | Outgoing) -> Any:
    """The record's JSON; None where it is none."""
    try:
        return orjson.loads(record.value or b"")
    except orjson.JSONDecodeError:
        return None


def _status(member: Member) -> Status:
    return "accepted" if member.visitor_key is not None else "unattributed"


def _poison(record: Record, value: Any, reason: PoisonReason) -> Folded:
    event_id = value.get("id") if isinstance(value, dict) else None
    known = event_id if isinstance(event_id, str) else header(record, "ce_id")
    source = source_of(record, value)
    return Folded(record, EVENTS_TOPIC, source, known, "poison", reason, heard=heard_of_event(value, source))


def _outcome(record: Record) -> Folded:
    value = value_of(record)
    told = value if isinstance(value, dict) else {}
    event_id, reason, source = told.get("id"), told.get("reason"), source_of(record, value)
    return Folded(
        record,
        REJECTED_TOPIC,
        source,
        event_id if isinstance(event_id, str) else "",
        _OUTCOMES.get(str(told.get("status")), "unknown"),
        reason if isinstance(reason, str) else None,
        heard=heard_of_outcome(told, source),
    )
