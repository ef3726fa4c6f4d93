"""Consent: what the person allowed when the event happened, and whether the event may be kept. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from collector.sent import Choices
from collector.tcf import read_tcf
from eventlog.errors import FilteredReason
from eventlog.event import Consent

Purpose = Literal["analytics", "personalization", "marketing_activation", "third_party_sharing"]
PURPOSES: Final[frozenset[Purpose]] = frozenset(get_args(Purpose))

_ADVERTISING: Final[tuple[Purpose, ...]] = ("marketing_activation", "third_party_sharing")
# What common consent platforms call their categories, in lower case. C0001 to C0004 are OneTrust's; `statistics`,
# `preferences` and `marketing` Cookiebot's, Complianz' and WordPress'; those with `_storage` and `ad_` Google's.
# What is strictly necessary says nothing of our purposes, so it is not here.
CATEGORIES: Final[dict[str, tuple[Purpose, ...]]] = {
    **dict.fromkeys(("c0002", "analytics", "statistics", "performance", "analytics_storage"), ("analytics",)),
    **dict.fromkeys(
        ("c0003", "functional", "preferences", "personalization", "personalization_storage"), ("personalization",)
    ),
    **dict.fromkeys(("c0004", "advertising", "marketing", "targeting"), _ADVERTISING),
    **dict.fromkeys(("ad_storage", "ad_personalization"), ("marketing_activation",)),
    **dict.fromkeys(("ad_user_data", "data_sharing", "datasharing", "sale_of_data"), ("third_party_sharing",)),
}
# The framework's purposes that may rest on a legitimate interest.
_BY_INTEREST: Final = frozenset((2, 7, 8, 9, 10, 11))


@dataclass(frozen=True, slots=True)
class ConsentRules:
    """What a source takes categories and purposes of the TCF for: `categories` by their names in lower case; of each of
    our purposes the numbers of the framework's that are needed, and whether a legitimate interest will do for them."""

    categories: Mapping[str, tuple[Purpose, ...]]
    tcf: Mapping[Purpose, frozenset[int]]
    by_interest: bool = False

    def of_categories(self, stated: Mapping[str, bool]) -> Consent:
        """The purposes that categories state: of several for one purpose all must be allowed. Unknown ones are
        ignored."""
        consent: Consent = {}
        for name, is_allowed in stated.items():
            for purpose in self.categories.get(name.strip().lower(), ()):
                consent[purpose] = is_allowed and consent.get(purpose, True)
        return consent

    def of_tcf(self, text: str) -> Consent:
        """The purposes that a TCF string states; none where it is no such string."""
        consent: Consent = {}
        allowed = read_tcf(text)
        if allowed:
            numbers = allowed.consents
            if self.by_interest:
                numbers |= allowed.legitimate_interests & _BY_INTEREST
            for purpose, needed in self.tcf.items():
                if needed:
                    consent[purpose] = needed <= numbers
        return consent


def consent_rules(
    categories: Mapping[str, Iterable[Purpose]], tcf: Mapping[Purpose, Iterable[int]], by_interest: bool
) -> ConsentRules:
    """Rules with the known categories beside the given ones."""
    known = CATEGORIES | {name.strip().lower(): tuple(purposes) for name, purposes in categories.items()}
    return ConsentRules(known, {purpose: frozenset(numbers) for purpose, numbers in tcf.items()}, by_interest)


def split_preferences(preferences: Mapping[str, Any]) -> tuple[Consent, dict[str, bool]]:
    """Segment's `categoryPreferences`: what is stated of our purposes, under their names, and the other categories."""
    consent: Consent = {}
    categories: dict[str, bool] = {}
    for name, value in preferences.items():
        if isinstance(value, bool):
            if name in PURPOSES:
                consent[name] = value
            else:
                categories[name] = value
    return consent, categories


def chosen(choice: Any) -> Consent:
    """All purposes as a person has chosen: `granted` allows them, and so does an object those it names; nothing else
    does."""
    allowed: Consent = {}
    for purpose in PURPOSES:
        allowed[purpose] = choice == "granted" or (isinstance(choice, dict) and choice.get(purpose) is True)
    return allowed


def snapshot(stated: Consent | None, choices: Choices | None, rules: ConsentRules, gpc: bool, dnt: bool) -> Consent:
    """The event's own statement, completed by what the sender's categories, and then its TCF string, say of other
    purposes, with the browser's signals. Empty where there is nothing."""
    consent: Consent = {**stated} if stated else {}
    if choices:
        if choices.tcf:
            consent = {**rules.of_tcf(choices.tcf), **rules.of_categories(choices.categories), **consent}
        else:
            consent = {**rules.of_categories(choices.categories), **consent}
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
