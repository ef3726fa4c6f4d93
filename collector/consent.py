"""Consent: what the person allowed when the event happened, and whether the event may be kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from eventlog.errors import FilteredReason
from eventlog.event import Consent

PURPOSES: Final = ("analytics", "personalization", "marketing_activation", "third_party_sharing")


def snapshot(stated: Mapping[str, Any], gpc: bool, dnt: bool) -> Consent:
    """The event's own statement with the browser's signals; unknown categories and non-booleans are left out."""
    if not stated and not gpc and not dnt:
        return {}
    found: dict[str, Any] = {purpose: stated[purpose] for purpose in PURPOSES if isinstance(stated.get(purpose), bool)}
    for name in ("text_version", "method"):
        if isinstance(stated.get(name), str) and stated[name]:
            found[name] = stated[name]
    if gpc:
        found["gpc"] = True
    if dnt:
        found["dnt"] = True
    return found  # type: ignore[return-value]


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
