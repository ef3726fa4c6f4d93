"""The ids this collector has accepted lately: the first of two fences against counting an event twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from hashlib import blake2s
from pathlib import Path

import structlog

from collector.id_table import IdTable

_log = structlog.get_logger(__name__)

FILE_NAME = "ids-seen"


class Dedup:
    """Exact within its window: the newest `max_ids` of the last `seconds`, whichever is less.

    With a `folder` (the process's own) what it knows outlives the process, however that ends.
    """

    def __init__(self, seconds: float, max_ids: int, now: int, folder: Path | None = None) -> None:
        self._milliseconds = int(seconds * 1000)
        self._off = not max_ids or not self._milliseconds
        self._table = self._opened(folder, max_ids, now)
        self.knows = self._table.knows
        # Ids of appends under way: a copy that comes meanwhile shares the append, and its failure.
        self.in_flight: dict[bytes, asyncio.Future[None]] = {}

    @staticmethod
    def digest(source: str, event_id: str) -> bytes:
        """Bytes that stand for the event's identity."""
        return blake2s(f"{source}\0{event_id}".encode()).digest()

    def remember(self, digests: Sequence[bytes], now: int) -> None:
        """Called once their events are durable, with ids not yet known. `now` in milliseconds."""
        if not self._off:
            self._table.add(digests, now)

    def window_seconds(self, now: int) -> float:
        """How far back every accepted id is known at `now` (ms): at most the setting, less while the process is young
        and has taken nothing over, and where the number of ids cuts it."""
        return 0.0 if self._off else max(0, min(self._milliseconds, now - self._table.since())) / 1000

    def __len__(self) -> int:
        """How many ids are known."""
        return len(self._table)

    def close(self) -> None:
        """Put it away for the next process."""
        self._table.close()

    def _opened(self, folder: Path | None, max_ids: int, now: int) -> IdTable:
        if folder is not None and not self._off:
            try:
                return IdTable(folder / FILE_NAME, max_ids, self._milliseconds, now)
            except OSError as error:
                # Counting an event once does not hang on it: the aggregator is the second fence.
                _log.warning("ids_seen_only_in_memory", error=error.strerror)
        return IdTable(None, max_ids, self._milliseconds, now)
