"""The accounts: what the log holds (L) against what the store counted (S), minute by minute.

Law 1: for every minute of received_at, source and status, L = S, up to the offsets the store has reached.
Both are taken independently: L by reading the log from its own offsets, S from the store's counters.
"""

from __future__ import annotations

from eventlog.timestamps import MINUTE_MS

# received_at is the record's timestamp; records of one moment may stand a little out of order in the log.
_SLACK_MS = 10 * MINUTE_MS
# What the store says of a record in the events topic; the rest it says of the rejected topic.
_OF_EVENTS = {"accepted": "event", "unattributed": "event", "twin": "event", "poison": "event"}

Line = tuple[int, str, str]
