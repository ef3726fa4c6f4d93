"""The ids this collector has accepted lately: the first of two fences against counting an event twice."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection
from hashlib import blake2b


class Dedup:
    """Exact within its window: the newest `max_ids` of the last `seconds`. Ids are kept as 128-bit digests."""

    def __init__(self, seconds: float, max_ids: int) -> None:
        self._milliseconds = int(seconds * 1000)
        self._max_ids = max_ids
        self._known: set[bytes] = set()
        # In the order of arrival, side by side: a pair each would take half as much memory again.
        self._order: deque[bytes] = deque()
        self._times: deque[int] = deque()
        # Ids of appends under way: a copy that comes meanwhile shares the append, and its failure.
        self.in_flight: dict[bytes, asyncio.Future[None]] = {}

    @staticmethod
    def digest(source: str, event_id: str) -> bytes:
        return blake2b(f"{source}\0{event_id}".encode(), digest_size=16).digest()

    def knows(self, digest: bytes) -> bool:
        return digest in self._known

    def remember(self, digests: Collection[bytes], now: int) -> None:
        """Called once their events are durable, with ids not yet known. `now` in milliseconds."""
        self._known.update(digests)
        self._order.extend(digests)
        self._times.extend([now] * len(digests))
        oldest = now - self._milliseconds
        while self._times and (self._times[0] < oldest or len(self._times) > self._max_ids):
            self._times.popleft()
            self._known.discard(self._order.popleft())

    def window_seconds(self, now: int) -> float:
        """How far back ids are known at `now` (ms): the whole setting until the number of ids cuts it."""
        if len(self._times) < self._max_ids:
            return self._milliseconds / 1000
        return (now - self._times[0]) / 1000
