"""The ids this collector has accepted lately: the first of two fences against counting an event twice."""

from __future__ import annotations

import asyncio
from collections import deque
from hashlib import blake2b

from eventlog.log import Position


class Dedup:
    """Exact within its window: the newest `max_ids` of the last `seconds`. Ids are kept as 128-bit digests."""

    def __init__(self, seconds: float, max_ids: int) -> None:
        self._milliseconds = int(seconds * 1000)
        self._max_ids = max_ids
        self._known: set[bytes] = set()
        self._order: deque[tuple[int, bytes]] = deque()
        # A copy that arrives while the first is on its way shares its append, and its failure.
        self.in_flight: dict[bytes, asyncio.Future[Position]] = {}

    @staticmethod
    def digest(source: str, event_id: str) -> bytes:
        return blake2b(f"{source}\0{event_id}".encode(), digest_size=16).digest()

    def knows(self, digest: bytes) -> bool:
        return digest in self._known

    def remember(self, digest: bytes, now: int) -> None:
        """Called once the event is durable. `now` in milliseconds."""
        if digest not in self._known:
            self._known.add(digest)
            self._order.append((now, digest))
        oldest = now - self._milliseconds
        while self._order and (self._order[0][0] < oldest or len(self._order) > self._max_ids):
            self._known.discard(self._order.popleft()[1])

    def window_seconds(self, now: int) -> float:
        """How far back ids are known at `now` (ms): the whole setting until the number of ids cuts it."""
        if len(self._order) < self._max_ids:
            return self._milliseconds / 1000
        return (now - self._order[0][0]) / 1000
