"""Records of the log as rows of the Live page, personal data masked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import merge
from itertools import islice
from typing import Any, Final

import orjson
from typing_extensions import TypedDict

from eventlog.log import Record
from eventlog.timestamps import format_ms, parse_ms
from exporter.console.mask import mask_body, mask_source, mask_text, mask_within
from exporter.console.tail import Tails

STATUSES: Final = ("accepted", "rejected", "filtered", "duplicate", "poison")
# How much of a record is shown, in characters; a page holds a hundred.
SHOWN_CHARACTERS: Final = 8 * 1024
_SHOWN_OF_TEXT: Final = 120

Body = dict[str, Any]


class Row(TypedDict):
    """One record. `at` is received_at; texts that are absent are empty. `delay_ms`: received less occurred.

    `body` is the record's value, masked; where it is `cut`, the first SHOWN_CHARACTERS of its text. `size` in bytes.
    """

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
    cut: bool
    size: int


def decode(record: Record) -> Body | None:
    """The record's value, or None where it is no JSON object."""
    try:
        body = orjson.loads(record.value or b"")
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


# A record never becomes another, and a page that refreshes itself asks for the same ones again and again.
@lru_cache(maxsize=1024)
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


@lru_cache(maxsize=1024)
def outcome_row(record: Record) -> Row:
    """A record of the rejected topic."""
    body = decode(record)
    if body is None:
        return _unreadable(record)
    row = _row(record, body, _text(body.get("status")) or "rejected")
    row["about"] = _cut(_text(body.get("origin")))
    return row


def _row(record: Record, body: Body, status: str) -> Row:
    library = _part(body, "library")
    shown = mask_body(body)
    if isinstance(body.get("prefix"), str):
        shown["prefix"] = mask_source(body["prefix"])
    text = pretty(shown)
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
        "body": text[:SHOWN_CHARACTERS] if len(text) > SHOWN_CHARACTERS else shown,
        "cut": len(text) > SHOWN_CHARACTERS,
        "size": len(record.value or b""),
    }


def _unreadable(record: Record) -> Row:
    row = _row(record, {}, "poison")
    row["reason"] = "not_json"
    text = (record.value or b"").decode("utf-8", "replace")
    row["body"] = {"unreadable": mask_source(text[:SHOWN_CHARACTERS])}
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
    events = _passing(tails.events.records, wanted, "accepted")
    outcomes = _passing(tails.rejected.records, wanted, "")
    both = merge(
        ((record, event_row) for record in events),
        ((record, outcome_row) for record in outcomes),
        key=lambda pair: pair[0].timestamp,
        reverse=True,
    )
    return [make(record) for record, make in islice(both, limit)], len(events) + len(outcomes)


def _passing(records: Sequence[Record], wanted: Filter, status: str) -> Sequence[Record]:
    if wanted.is_empty:
        return records
    found = []
    for record in records:
        body = decode(record)
        if wanted.passes(body, status or str((body or {}).get("status"))):
            found.append(record)
    return found


def pretty(value: Any) -> str:
    """JSON for reading."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode()


def _part(body: Body, name: str) -> Body:
    part = body.get(name)
    return part if isinstance(part, dict) else {}


def _text(value: Any) -> str:
    return mask_within(value) if isinstance(value, str) else ""


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_OF_TEXT else text[: _SHOWN_OF_TEXT - 1] + "…"
