"""How many partitions each topic had when Kafka last told: so that a collector can start, and spool, without Kafka.

<data>/partitions.json      {"trackway.events.v1": 12, ...}
"""

from __future__ import annotations

import os
from pathlib import Path

import orjson

_FILE = "partitions.json"


def known_partitions(data: Path) -> dict[str, int]:
    """What was noted last; nothing if nothing was."""
    try:
        noted = orjson.loads((data / _FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return {str(name): int(count) for name, count in noted.items()}


def note_partitions(data: Path, counts: dict[str, int]) -> None:
    """Note it for the next start."""
    if known_partitions(data) == counts:
        return
    draft = data / f"{_FILE}.{os.getpid()}.new"
    try:
        draft.write_bytes(orjson.dumps(counts))
        draft.replace(data / _FILE)
    except OSError:
        # A full disk; it is needed only where Kafka is away at the next start.
        draft.unlink(missing_ok=True)
