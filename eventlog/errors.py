"""The kinds of failure: the sender's (Rejected), ours for now (Unavailable), a record the log cannot take or hold.

A record in the log that nobody can read or fold is no exception but a status: poison, with a reason.
"""

from __future__ import annotations

from typing import Final, Literal

# Why one event of a batch was refused. Receipts, the rejected topic and docs use these words.
RejectedReason = Literal[
    "not_an_object",
    "unknown_type",
    "missing_field",
    "wrong_type",
    "bad_value",
    "not_a_number",
    "too_long",
    "too_deep",
    "too_many_keys",
    "too_large",
    # A whole request refused: one record a second for each (key, origin, reason).
    "unknown_key",
    "origin_not_allowed",
    "server_key_in_browser",
    # Acknowledged from our own disk, and refused by Kafka later.
    "undeliverable",
]
FilteredReason = Literal["consent", "dnt", "bot"]
PoisonReason = Literal["not_json", "not_an_event", "fold_failed", "not_storable"]

DEFAULT_RETRY_AFTER: Final = 5.0


class Rejected(Exception):  # noqa: N818 - a verdict on the sender's data, not a fault of ours
    """The sender's fault: what (`reason`), where (`path`, as `batch[3].properties.price`), what to do (`message`)."""

    def __init__(self, reason: RejectedReason, path: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.path = path
        self.message = message


class Unavailable(Exception):  # noqa: N818
    """Ours, for now: nothing was promised, the sender should try again in `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float = DEFAULT_RETRY_AFTER) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Misconfigured(Unavailable):
    """Ours, and waiting does not help: a topic is missing, or we may not write to it."""


class NoSpace(Exception):  # noqa: N818
    """The disk is full: nothing was promised, and it takes more than waiting."""


class RecordTooLarge(Exception):  # noqa: N818
    """A record over the log's limit; nothing of its append was stored."""
