"""Records of the log as rows of the Live page, personal data masked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson
from typing_extensions import TypedDict

from eventlog.log import Record
from eventlog.timestamps import format_ms, parse_ms
from exporter.console.mask import mask_body, mask_emails, mask_source_text, mask_text
from exporter.console.tail import Tails

STATUSES: Final = ("accepted", "rejected", "filtered", "duplicate", "poison")
# What of a record that is no JSON is shown.
_SHOWN_OF_UNREADABLE: Final = 1024
_SHOWN_OF_TEXT: Final = 120

Body = dict[str, Any]


class Row(TypedDict):
    """One record. `at` is received_at; texts that are absent are empty. `delay_ms`: received less occurred."""

    key: str
    at: str
    status: str
    reason: str
    message: str
    path: str
    name: str
    source: str
    protocol: str
    library: str
    who: str
    about: str
    delay_ms: int | None
    id: str
    topic: str
    partition: int
    offset: int
    body: Any


def decode(record: Record) -> Body | None:
    """The record's value, or None where it is no JSON object."""
    try:
        body = orjson.loads(record.value or b"")
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def event_row(record: Record) -> Row:
    """A record of the events topic."""
    body = decode(record)
    if body is None:
        return _unreadable(record)
    row = _row(record, body, "accepted")
    row["about"] = _cut(_about(body))
    row["who"] = who_of(body)
    row["delay_ms"] = _delay(body)
    return row


def outcome_row(record: Record) -> Row:
    """A record of the rejected topic."""
    body = decode(record)
    if body is None:
        return _unreadable(record)
    prefix = body.pop("prefix", None)
    row = _row(record, body, _text(body.get("status")) or "rejected")
    if isinstance(prefix, str):
        row["body"]["prefix"] = mask_source_text(prefix)
    row["about"] = _cut(_text(body.get("origin")))
    return row


def _row(record: Record, body: Body, status: str) -> Row:
    library = _part(body, "library")
    return {
        "key": f"{record.partition.topic}-{record.partition.number}-{record.offset}",
        "at": format_ms(record.timestamp),
        "status": status,
        "reason": _text(body.get("reason")),
        "message": _text(body.get("message")),
        "path": _text(body.get("path")),
        "name": _cut(_text(body.get("name"))),
        "source": _text(body.get("source")),
        "protocol": _text(body.get("protocol")),
        "library": " ".join(part for part in (_text(library.get("name")), _text(library.get("version"))) if part),
        "who": "",
        "about": "",
        "delay_ms": None,
        "id": _text(body.get("id")),
        "topic": record.partition.topic,
        "partition": record.partition.number,
        "offset": record.offset,
        "body": mask_body(body),
    }


def _unreadable(record: Record) -> Row:
    row = _row(record, {}, "poison")
    row["reason"] = "not_json"
    start = (record.value or b"")[:_SHOWN_OF_UNREADABLE].decode("utf-8", "replace")
    row["body"] = {"unreadable": mask_source_text(start)}
    return row


def who_of(body: Body) -> str:
    """Whom an event is about, masked: the strongest identifier it names."""
    identifiers = _part(body, "identifiers")
    for label, value in (
        ("user", body.get("user_id")),
        ("ruid", identifiers.get("ruid")),
        ("e-mail", identifiers.get("email")),
        ("visitor", body.get("anonymous_id")),
    ):
        if isinstance(value, str) and value:
            return f"{label} {mask_text(value)}"
    return ""


def _about(body: Body) -> str:
    items = body.get("items")
    if isinstance(items, list) and items and isinstance(items[0], dict):
        first = _text(items[0].get("product_id"))
        return f"{first} and {len(items) - 1} more" if len(items) > 1 else first
    content, page = _part(body, "content"), _part(body, "page")
    return _text(content.get("content_id")) or _text(page.get("path")) or _text(page.get("url"))


def _delay(body: Body) -> int | None:
    try:
        return parse_ms(str(body["received_at"])) - parse_ms(str(body["occurred_at"]))
    except (KeyError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Filter:
    """What to show; an empty word lets all pass."""

    source: str = ""
    status: str = ""
    name: str = ""

    def passes(self, body: Body | None, status: str) -> bool:
        if body is None:
            return self.status in ("", "poison") and not self.source and not self.name
        return (
            (not self.status or self.status == status)
            and (not self.source or self.source == body.get("source"))
            and (not self.name or self.name == body.get("name"))
        )

    @property
    def is_empty(self) -> bool:
        return not (self.source or self.status or self.name)


def newest(tails: Tails, wanted: Filter, limit: int) -> tuple[list[Row], int]:
    """The newest `limit` rows that pass, newest first, and how many of what was read pass."""
    events = tails.events.records
    both = sorted((*events, *tails.rejected.records), key=_newest_first, reverse=True)
    topic = events[0].partition.topic if events else ""
    rows: list[Row] = []
    matched = 0
    for record in both:
        of_events = record.partition.topic == topic
        if not wanted.is_empty:
            body = decode(record)
            status = "accepted" if of_events else str((body or {}).get("status"))
            if not wanted.passes(body, status):
                continue
        matched += 1
        if len(rows) < limit:
            rows.append(event_row(record) if of_events else outcome_row(record))
    return rows, matched


def _newest_first(record: Record) -> tuple[int, str, int, int]:
    return record.timestamp, record.partition.topic, record.partition.number, record.offset


def pretty(value: Any) -> str:
    """JSON for reading."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode()


def _part(body: Body, name: str) -> Body:
    part = body.get(name)
    return part if isinstance(part, dict) else {}


def _text(value: Any) -> str:
    return mask_emails(value) if isinstance(value, str) else ""


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_OF_TEXT else text[: _SHOWN_OF_TEXT - 1] + "…"
