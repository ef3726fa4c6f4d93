"""Times: integers of milliseconds UTC inside, RFC 3339 with milliseconds outside."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


def now_ms() -> int:
    """The wall clock, in milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def format_ms(at: int) -> str:
    """Milliseconds since 1970 as `2026-11-24T05:04:21.000Z`."""
    seconds, milliseconds = divmod(at, 1000)
    return f"{_second(seconds)}.{milliseconds:03d}Z"


# A stream of events has few seconds, each many times over.
@lru_cache(maxsize=4096)
def _second(number: int) -> str:
    return (_EPOCH + timedelta(seconds=number)).isoformat()[:19]


def parse_ms(text: str) -> int:
    """Milliseconds since 1970 of an ISO 8601 time, floored. Without an offset it is UTC.

    Raises ValueError where the text is no time.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MILLISECOND
