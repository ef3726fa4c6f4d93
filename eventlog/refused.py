"""Records that were acknowledged, and that Kafka refuses for good: kept for a person to look at, never deleted.

<data>/workers/0/refused.ndjson     one a line: when, why, topic, key, value, headers, timestamp
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from eventlog.event import Text
from eventlog.log import Outgoing
from eventlog.outcome import Outcome
from eventlog.slot import slot_folders
from eventlog.timestamps import format_ms, now_ms

_FILE = "refused.ndjson"


def refuse(slot_folder: Path, record: Outgoing, why: str) -> None:
    """Keep the record. Raises OSError where the disk does not take it."""
    line = {
        "refused_at": format_ms(now_ms()),
        "why": why,
        "topic": record.topic,
        "key": _text(record.key),
        "value": _text(record.value or b""),
        "headers": [[name, _text(value)] for name, value in record.headers],
        "timestamp": record.timestamp,
    }
    handle = os.open(slot_folder / _FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(handle, orjson.dumps(line) + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)


def refused(data: Path) -> Iterator[dict[str, Any]]:
    """All that were ever refused by the collectors of this data folder."""
    for folder in slot_folders(data):
        file = folder / _FILE
        if file.exists():
            for line in file.read_bytes().splitlines():
                yield orjson.loads(line)


def count_refused(slot_folder: Path) -> int:
    """How many there are in a slot."""
    file = slot_folder / _FILE
    return file.read_bytes().count(b"\n") if file.exists() else 0


def undeliverable(record: Outgoing, why: str) -> Outcome:
    """What the rejected topic tells of it."""
    headers = {name: value.decode(errors="replace") for name, value in record.headers}
    outcome: Outcome = {
        "status": "rejected",
        "reason": "undeliverable",
        "received_at": format_ms(record.timestamp),
        "message": f"acknowledged, but Kafka refuses the record ({why}); it is kept in the collector's {_FILE}",
    }
    names: dict[str, Text] = {"id": headers.get("ce_id", ""), "source": headers.get("ce_source", "")}
    if names["id"]:
        outcome["id"] = names["id"]
    if names["source"]:
        outcome["source"] = names["source"]
    return outcome


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(value).decode()
