"""Consent: what the person allowed when the event happened, and whether the event may be kept."""

from __future__ import annotations

from eventlog.errors import FilteredReason
from eventlog.event import Consent


def with_signals(stated: Consent, gpc: bool, dnt: bool) -> Consent:
    """The event's own statement with the browser's signals."""
    consent: Consent = {**stated}
    if gpc:
        consent["gpc"] = True
    if dnt:
        consent["dnt"] = True
    return consent


def verdict(name: str, consent: Consent | None, required: bool, respect_dnt: bool) -> FilteredReason | None:
    """Why an event may not be kept; None if it may. A `consent` event is evidence and always kept."""
    if name == "consent":
        return None
    allowed = consent.get("analytics") if consent else None
    if allowed is None and respect_dnt and consent and consent.get("dnt"):
        return "dnt"
    if allowed is None:
        allowed = not required
    return None if allowed else "consent"
