"""What Google's consent signals say of our purposes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.consent_ga4 import gtag_consent, measurement_protocol_consent

GRANTED = {"analytics": True, "marketing_activation": True, "third_party_sharing": True}
DENIED = dict.fromkeys(GRANTED, False)


@pytest.mark.parametrize(
    ("stated", "meant"),
    [
        (
            {"ad_user_data": "GRANTED", "ad_personalization": "GRANTED"},
            {"third_party_sharing": True, "marketing_activation": True},
        ),
        (
            {"ad_user_data": "DENIED", "ad_personalization": "GRANTED"},
            {"third_party_sharing": False, "marketing_activation": True},
        ),
        ({"ad_personalization": "denied"}, {"marketing_activation": False}),
        ({"ad_user_data": "MAYBE", "ad_personalization": True}, {}),
        ({}, {}),
        (None, {}),
        ("GRANTED", {}),
    ],
)
def test_the_measurement_protocol_states_two_purposes(stated: Any, meant: dict[str, bool]) -> None:
    assert measurement_protocol_consent(stated) == meant


def test_non_personalized_ads_deny_marketing_and_say_nothing_when_false() -> None:
    granted = {"ad_personalization": "GRANTED"}
    assert measurement_protocol_consent(granted, True) == {"marketing_activation": False}
    assert measurement_protocol_consent(granted, False) == {"marketing_activation": True}
    assert measurement_protocol_consent(None, False) == {}


@pytest.mark.parametrize(
    ("gcs", "gcd", "npa", "meant"),
    [
        # Advertising first, then analytics.
        ("G111", None, None, {"marketing_activation": True, "analytics": True}),
        ("G101", None, None, {"marketing_activation": False, "analytics": True}),
        ("G110", None, None, {"marketing_activation": True, "analytics": False}),
        ("G100", None, "0", {"marketing_activation": False, "analytics": False}),
        ("G1--", None, None, {}),
        ("G1-0", None, None, {"analytics": False}),
        # No consent mode: every hit has these.
        (None, "13l3l3l3l1", "0", {}),
        # Granted by default; denied, then granted; granted without a default; granted twice.
        (None, "11t1t1t1t5", None, GRANTED),
        (None, "13r3r3r2r5", None, GRANTED),
        (None, "13n3n3n2n5", None, GRANTED),
        (None, "13v3v3v2v5", None, GRANTED),
        # The same the other way round.
        (None, "11p1p1p1p5", None, DENIED),
        (None, "13q3q3q2q5", None, DENIED),
        (None, "13m3m3m2m5", None, DENIED),
        (None, "13u3u3u2u5l1", None, DENIED),
        # ad_storage, analytics_storage, ad_user_data, ad_personalization.
        (None, "13p3l3l3l1", None, {"marketing_activation": False}),
        (None, "13l3t3l3l1", None, {"analytics": True}),
        (None, "13l3l3t3l1", None, {"third_party_sharing": True}),
        (None, "13l3l3l3t1", None, {"marketing_activation": True}),
        # All signals of one purpose must be granted.
        (None, "13t3t3t3p1", None, GRANTED | {"marketing_activation": False}),
        ("G101", "13t3t3t3t1", None, GRANTED | {"marketing_activation": False}),
        ("G111", "13t3t3t3t1", "1", GRANTED | {"marketing_activation": False}),
        (None, None, "1", {"marketing_activation": False}),
        ("", "", "", {}),
        ("111", "13ttt", "yes", {}),
    ],
)
def test_gtag_states_up_to_three_purposes(
    gcs: str | None, gcd: str | None, npa: str | None, meant: dict[str, bool]
) -> None:
    assert gtag_consent(gcs, gcd, npa) == meant


words = st.none() | st.text(max_size=12) | st.from_regex(r"(G1|1[13])([01lpqtrmnuv][0-9]?){0,5}", fullmatch=True)


@given(words, words, words)
def test_whatever_a_hit_says_no_purpose_is_granted_that_a_signal_denies(
    gcs: str | None, gcd: str | None, npa: str | None
) -> None:
    together, apart = (
        gtag_consent(gcs, gcd, npa),
        (gtag_consent(gcs, None), gtag_consent(None, gcd), gtag_consent(None, None, npa)),
    )
    for purpose in GRANTED:
        stated = [one[purpose] for one in apart if purpose in one]  # type: ignore[literal-required]
        assert together.get(purpose) == (all(stated) if stated else None)
