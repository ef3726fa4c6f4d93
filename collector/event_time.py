"""When an event happened: the sender's clock, corrected by what its sending time says of that clock."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from eventlog.event import TimeSource
from eventlog.timestamps import DAY_MS, MINUTE_MS, format_ms, parse_ms

# Clocks this close are left alone: some SDKs keep the first try's sending time, others cut it to whole seconds.
_LEFT_ALONE: Final = 10_000
_MAX_SKEW: Final = DAY_MS
_MAX_AHEAD: Final = 5 * MINUTE_MS
_MAX_AGE: Final = 400 * DAY_MS
# The first millisecond of the year 10000, which is not written with four digits.
_END: Final = 253_402_300_800_000
# Seconds since 1970 are smaller until the year 5138, milliseconds likewise than microseconds.
_MAX_SECONDS: Final = 10**11
_MAX_MILLISECONDS: Final = 10**14
# No time is written longer; what is, must not stay in memory for it.
_MAX_CHARACTERS: Final = 64


def event_time(client: int | None, sent_at: int | None, now: int, is_exact: bool) -> tuple[int, TimeSource]:
    """When the event happened and whose word that is. `client` is the time the sender states, `sent_at` its clock when
    it sent, `now` ours when it arrived; `is_exact` where the sender's clock is a server's. Milliseconds UTC.
    """
    if client is None:
        return now, "received"
    if is_exact:
        return (client, "exact") if client <= now + _MAX_AHEAD else (now, "received")
    if sent_at is None or abs(skew := now - sent_at) > _MAX_SKEW:
        return now, "received"
    source: TimeSource = "client" if abs(skew) <= _LEFT_ALONE else "corrected"
    occurred = client if source == "client" else client + skew
    return (occurred, source) if now - _MAX_AGE <= occurred <= now + _MAX_AHEAD else (now, "received")


def read_time(text: str | None) -> int | None:
    """A time as the sender wrote it, in milliseconds UTC; None if it is none, or cannot be written with four digits of
    a year after 1970."""
    return _read(text) if text is not None and len(text) <= _MAX_CHARACTERS else None


# The events of a batch share their sending time, and often their own.
@lru_cache(maxsize=256)
def _read(text: str) -> int | None:
    try:
        at = parse_ms(text)
    except (ValueError, OverflowError):
        return None
    return at if 0 <= at < _END else None


def from_epoch(value: object) -> str | None:
    """A time in words (RFC 3339) from seconds, milliseconds or microseconds since 1970, whichever its size says it is,
    as a number or as text of one; other text as it is; None if it is none."""
    if isinstance(value, str):
        if len(value) > _MAX_CHARACTERS:
            return None
        try:
            value = float(value)
        except ValueError:
            return str(value).strip() or None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if value <= _MAX_SECONDS:
        # Binary fractions of a second are a bit off, either way.
        value = round(value * 1000) if value >= 0 else -1
    elif value > _MAX_MILLISECONDS:
        value //= 1000
    # NaN is no smaller than anything.
    return format_ms(int(value)) if 0 <= value < _END else None
