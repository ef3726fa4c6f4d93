"""When an event happened: the sender's clock, corrected by what its sending time says of that clock."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from collector.sent import Parsed, Sent
from eventlog.event import Channel, TimeSource
from eventlog.timestamps import DAY_MS, MINUTE_MS, parse_ms

# Clocks this close are left alone: some SDKs keep the first try's sending time, others cut it to whole seconds.
_LEFT_ALONE: Final = 10_000
_MAX_SKEW: Final = DAY_MS
_MAX_AHEAD: Final = 5 * MINUTE_MS
_MAX_AGE: Final = 400 * DAY_MS


class Times(NamedTuple):
    """Milliseconds UTC; `client` is what the sender stated, `sent` when it said it sent."""

    occurred: int
    received: int
    client: int | None
    sent: int | None
    source: TimeSource


def event_time(sent: Sent, parsed: Parsed, channel: Channel, now: int) -> Times:
    """The event's time by the rules of its channel."""
    client, sent_at = _read(sent.client_time), _read(parsed.sent_at)
    if client is None:
        return Times(now, now, None, sent_at, "received")
    if channel in ("server", "import") or sent.exact_time:
        if client > now + _MAX_AHEAD:
            return Times(now, now, client, sent_at, "received")
        return Times(client, now, client, sent_at, "exact")
    if sent_at is None or abs(skew := now - sent_at) > _MAX_SKEW:
        return Times(now, now, client, sent_at, "received")
    source: TimeSource = "client" if abs(skew) <= _LEFT_ALONE else "corrected"
    occurred = client if source == "client" else client + skew
    if occurred > now + _MAX_AHEAD or occurred < now - _MAX_AGE:
        return Times(now, now, client, sent_at, "received")
    return Times(occurred, now, client, sent_at, source)


# The events of a batch share their sending time, and often their own.
@lru_cache(maxsize=256)
def _read(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        at = parse_ms(text)
    except (ValueError, OverflowError):
        return None
    # Beyond these years a time cannot be written as four digits.
    return at if 0 <= at < 253_402_300_800_000 else None
