"""Google's consent signals as our purposes: those of the Measurement Protocol, and those that gtag.js puts on its hits.

`ad_user_data` is about sending the person's data to others, so it is `third_party_sharing`; `ad_storage`,
`ad_personalization` and non-personalised ads are about advertising to the person, so they are `marketing_activation`;
`analytics_storage` is `analytics`. No signal of Google's hits is about `personalization` of the site itself. Of several
signals of one purpose all that are stated must be granted; what states nothing readable states nothing. Pure.

Source: the Measurement Protocol's reference; what of `gcs` and `gcd` is public knowledge, as Google documents neither.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from eventlog.event import Consent

_Purpose = Literal["analytics", "marketing_activation", "third_party_sharing"]

_WORDS: Final = {"GRANTED": True, "DENIED": False}
_DIGITS: Final = {"1": True, "0": False}
# A letter tells the default and the update of one signal; what counts is the update, else the default. `l` is neither.
_LETTERS: Final = dict.fromkeys("trnv", True) | dict.fromkeys("pqmu", False)
# G1, then ad_storage and analytics_storage; `-` where consent mode is not used.
_GCS: Final = re.compile(r"G1([01-])([01-])")
# The signals between digits, whose meaning does not matter; more may follow.
_GCD: Final = re.compile(r"1\d([a-z])\d([a-z])\d([a-z])\d([a-z])\d")
_SIGNALS_OF_GCD: Final[tuple[_Purpose, ...]] = (
    "marketing_activation", "analytics", "third_party_sharing", "marketing_activation",
)  # fmt: skip
_SIGNALS_OF_GCS: Final[tuple[_Purpose, ...]] = ("marketing_activation", "analytics")


def measurement_protocol_consent(stated: object, non_personalized_ads: object = None) -> Consent:
    """The purposes of a body's `consent`, `{"ad_user_data": "GRANTED" | "DENIED", "ad_personalization": …}`, and of its
    older `non_personalized_ads`; empty where nothing is stated."""
    consent: Consent = {}
    if isinstance(stated, dict):
        _put(consent, "third_party_sharing", _of(_WORDS, stated.get("ad_user_data")))
        _put(consent, "marketing_activation", _of(_WORDS, stated.get("ad_personalization")))
    if non_personalized_ads is True:
        consent["marketing_activation"] = False
    return consent


def gtag_consent(gcs: str | None, gcd: str | None, npa: str | None = None) -> Consent:
    """The purposes of a hit's `gcs` (`G111`), `gcd` (`13r3r3r2r5`) and `npa` (`1`); empty where nothing is stated."""
    consent: Consent = {}
    if gcd and (found := _GCD.match(gcd)):
        for purpose, letter in zip(_SIGNALS_OF_GCD, found.groups(), strict=True):
            _put(consent, purpose, _LETTERS.get(letter))
    if gcs and (found := _GCS.match(gcs)):
        for purpose, digit in zip(_SIGNALS_OF_GCS, found.groups(), strict=True):
            _put(consent, purpose, _DIGITS.get(digit))
    # Every hit carries npa=0, whatever the person said.
    if npa == "1":
        consent["marketing_activation"] = False
    return consent


def _of(words: dict[str, bool], value: object) -> bool | None:
    return words.get(value.strip().upper()) if isinstance(value, str) else None


def _put(consent: Consent, purpose: _Purpose, is_granted: bool | None) -> None:
    if is_granted is not None:
        consent[purpose] = is_granted and consent.get(purpose, True)
