"""How many events a write key and an address may send: a token bucket each, kept as the time it is full again. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Hashable
from functools import lru_cache
from typing import Final

from collector.statuses import Overload

# How many buckets one kind remembers: of the addresses a flood comes from, the oldest are forgotten first.
_REMEMBERED: Final = 100_000
_MAX_WAIT: Final = 60.0


class Rate:
    """Token buckets by name. A bucket that is not empty lets a whole request through, which may leave it in debt: so
    the largest batch gets through at last, whatever the rate, and the rate holds all the same."""

    def __init__(self, per_second: float, burst_seconds: float, what: str) -> None:
        self._gap = 1.0 / per_second if per_second else 0.0
        self._burst = burst_seconds
        self._what = what
        # When each bucket would be full again, in two generations: what is in neither is full.
        self._full_at: dict[Hashable, float] = {}
        self._older: dict[Hashable, float] = {}

    def take(self, name: Hashable, events: int, now: float) -> None:
        """Take `events` from a bucket at `now` (seconds, of a clock that never goes back). Raises Overload."""
        if not self._gap:
            return
        full_at = self._full_at.get(name) or self._older.get(name, 0.0)
        if full_at < now:
            full_at = now
        wait = full_at - now - self._burst
        if wait >= 0:
            self._full_at[name] = full_at  # whoever is refused is not forgotten meanwhile
            self._forget()
            raise Overload("rate_limited", f"more events than {self._what} may send", min(max(wait, 1.0), _MAX_WAIT))
        self._full_at[name] = full_at + events * self._gap
        self._forget()

    def _forget(self) -> None:
        if len(self._full_at) > _REMEMBERED // 2:
            self._full_at, self._older = {}, self._full_at

    def __len__(self) -> int:
        return len(self._full_at) + len(self._older)


@lru_cache(maxsize=16_384)
def limited_as(address: str) -> str | None:
    """Under which name an address is limited: an IPv6 one by its /64, which is one household. None where it is not:
    addresses of private networks and of this machine are the operator's own, often of a proxy nobody named."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip
    if ip.is_private or ip.is_loopback or ip.is_link_local:
        return None
    return ip.exploded[:19] if ip.version == 6 else str(ip)
