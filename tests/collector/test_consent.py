"""Consent of a sender's own words: categories of a consent platform, a TCF string, and what beats what."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from collector.consent import CATEGORIES, PURPOSES, snapshot
from collector.sent import Choices
from collector.settings import DEFAULT_CONSENT_RULES, Source, Tcf
from tests.collector.parsing import parsed_of
from tests.collector.running import BROWSER_KEY, ORIGIN, SERVER_KEY, Running, running, settings_in

# Purposes 1, 8 and 9 by consent, 2 and 7 by legitimate interest; all eleven; none.
ANALYTICS_ONLY = "CQuPXIAQuPXIAAfABAENAwFAAIGAAEIAAAYgAAAAAAAA.IAAA"
ALL = "CQuPXIAQuPXIAAfABAENAwFgAP_gAEPgAAYgImQBIAAgAaABwBeYETARMgCQABAA0ADgC8wImAAA.YAAAAAAAAAAA"
NONE = "CQuPXIAQuPXIAAfABAENAwFgAAAAAAAAAAYgF5wAoAAgAEAvMC84AUAAQACAXmAA.YAAAAAAAAAAA"
ADVERTISING = {"personalization": False, "marketing_activation": False, "third_party_sharing": False}


def meant(categories: dict[str, bool], tcf: str | None = None, source: Source | None = None) -> dict[str, Any]:
    rules = source.consent_rules if source else DEFAULT_CONSENT_RULES
    return dict(snapshot(None, Choices(categories, tcf), rules, False, False))


@pytest.mark.parametrize(
    ("categories", "purposes"),
    [
        # OneTrust, as Segment's wrapper sends it.
        (
            {"C0001": True, "C0002": True, "C0003": False, "C0004": False, "C0005": True},
            {"analytics": True, **ADVERTISING},
        ),
        # Cookiebot.
        ({"necessary": True, "preferences": True, "statistics": False, "marketing": True},
         {"analytics": False, "personalization": True, "marketing_activation": True, "third_party_sharing": True}),
        # Segment's own examples.
        ({"Advertising": False, "Analytics": True, "Functional": True, "DataSharing": False},
         {"analytics": True, "personalization": True, "marketing_activation": False, "third_party_sharing": False}),
        # Google's consent mode.
        ({"ad_storage": True, "ad_personalization": False, "ad_user_data": True, "analytics_storage": True},
         {"analytics": True, "marketing_activation": False, "third_party_sharing": True}),
        # All of a purpose must be allowed, in whichever order they stand.
        ({"Marketing": True, "sale_of_data": False}, {"marketing_activation": True, "third_party_sharing": False}),
        ({"sale_of_data": False, "Marketing": True}, {"marketing_activation": True, "third_party_sharing": False}),
        ({"Newsletter": True, "": False}, {}),
    ],
)  # fmt: skip
def test_known_platforms_categories_mean_purposes(categories: dict[str, bool], purposes: dict[str, bool]) -> None:
    assert meant(categories) == purposes


def test_a_source_says_what_its_categories_mean() -> None:
    source = Source(
        consent_categories={"Reichweite ": ["analytics"], "MARKETING": ["marketing_activation"], "c0002": []}
    )
    assert meant({"reichweite": False, "Marketing": True, "C0002": True}, source=source) == {
        "analytics": False, "marketing_activation": True,
    }  # fmt: skip
    with pytest.raises(ValidationError):
        Source(consent_categories={"x": ["advertising"]})


def test_a_tcf_string_states_the_purposes_that_are_made_of_its_own() -> None:
    assert meant({}, ALL) == dict.fromkeys(PURPOSES, True)
    assert meant({}, NONE) == dict.fromkeys(PURPOSES, False)
    assert meant({}, ANALYTICS_ONLY) == {"analytics": True, **ADVERTISING}
    assert meant({}, "no string") == {}


def test_a_source_says_which_purposes_of_the_framework_it_goes_by() -> None:
    chosen = Source(tcf=Tcf(analytics=[1, 7], third_party_sharing=[]))
    assert meant({}, ANALYTICS_ONLY, chosen) == {
        "analytics": False, "personalization": False, "marketing_activation": False,
    }  # fmt: skip
    chosen = Source(tcf=Tcf(analytics=[1, 7], third_party_sharing=[], legitimate_interest=True))
    assert meant({}, ANALYTICS_ONLY, chosen)["analytics"] is True
    for number in (0, 25):
        with pytest.raises(ValidationError):
            Tcf(analytics=[number])


def test_a_stated_purpose_beats_a_category_which_beats_a_string() -> None:
    rules = DEFAULT_CONSENT_RULES
    choices = Choices({"statistics": False, "marketing": False}, ALL)
    assert snapshot({"analytics": True, "method": "banner"}, choices, rules, True, False) == {
        "analytics": True, "personalization": True, "marketing_activation": False, "third_party_sharing": False,
        "method": "banner", "gpc": True,
    }  # fmt: skip


@given(st.dictionaries(st.sampled_from(sorted(CATEGORIES)), st.booleans()))
def test_a_purpose_is_allowed_if_all_of_its_categories_are(categories: dict[str, bool]) -> None:
    found = meant(categories)
    for purpose in PURPOSES:
        stated = [allowed for name, allowed in categories.items() if purpose in CATEGORIES[name]]
        assert found.get(purpose) == (all(stated) if stated else None)


def track(event_id: str, consent: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "track", "event": "X", "messageId": event_id, "context": {"consent": consent}} | more


async def _outcomes(one: Running, *messages: dict[str, Any], key: str = SERVER_KEY) -> dict[str, tuple[str, str]]:
    headers = {"origin": ORIGIN} if key == BROWSER_KEY else {}
    answer = await one.post("/v1/batch", {"writeKey": key, "batch": list(messages)}, headers)
    assert answer.status_code == 200
    return {told["id"]: (told["status"], told.get("reason", "")) for told in answer.json()["receipts"]}


async def _send_choices(folder: Path) -> None:
    async with running(settings_in(folder)) as one:
        told = await _outcomes(
            one,
            track("own", {"categoryPreferences": {"analytics": True, "Advertising": False}, "text_version": "7"}),
            track("denied", {"categoryPreferences": {"C0002": False}}),
            track("tcf", {"tcf": ANALYTICS_ONLY}),
            track("tcf-denied", {"tcf": NONE}),
            track("tcf-overruled", {"tcf": NONE, "categoryPreferences": {"Analytics": True}}),
            track("malformed", {"tcf": "CQ!", "categoryPreferences": 7}),
            track("unknown", {"categoryPreferences": {"Newsletter": True}}),
            track("evidence", {"categoryPreferences": {"C0002": False}}, event="Segment Consent Preference Updated"),
            # Not an event, and not to be kept as one either.
            track("refused-denied", {"categoryPreferences": {"Statistics": False}}, properties=3),
            track("refused", {"categoryPreferences": {"Statistics": True}}, properties=3),
        )
        assert told == {
            **dict.fromkeys(("own", "tcf", "tcf-overruled", "malformed", "unknown", "evidence"), ("accepted", "")),
            **dict.fromkeys(("denied", "tcf-denied"), ("filtered", "consent")),
            **dict.fromkeys(("refused", "refused-denied"), ("rejected", "wrong_type")),
        }
        stored = {event["id"]: event.get("consent") for event in await one.stored()}
        kept = {outcome["id"] for outcome in await one.stored("rejected.v1") if "event" in outcome}
        consents = [event for event in await one.stored() if event["name"] == "consent"]
    assert stored == {
        "own": {
            "analytics": True, "marketing_activation": False, "third_party_sharing": False, "text_version": "7",
        },
        "tcf": {"analytics": True, **ADVERTISING},
        "tcf-overruled": {**ADVERTISING, "analytics": True},
        "malformed": None,
        "unknown": None,
        "evidence": {"analytics": False},
    }  # fmt: skip
    assert kept == {"refused"}
    assert [event["id"] for event in consents] == ["evidence"]


def test_choices_come_through_http(tmp_path: Path) -> None:
    asyncio.run(_send_choices(tmp_path))


async def _of_source(folder: Path) -> None:
    source = Source(
        browser_key=BROWSER_KEY, origins=[ORIGIN], server_key=SecretStr(SERVER_KEY), consent="required",
        consent_categories={"Messung": ["analytics"]},
    )  # fmt: skip
    async with running(settings_in(folder, sources={"shop": source})) as one:
        told = await _outcomes(
            one,
            track("yes", {"categoryPreferences": {"Messung": True}}),
            track("no", {"categoryPreferences": {"Messung": False}}),
            track("unsaid", {"categoryPreferences": {"Komfort": True}}),
            key=BROWSER_KEY,
        )
    assert told == {"yes": ("accepted", ""), "no": ("filtered", "consent"), "unsaid": ("filtered", "consent")}


def test_a_sources_own_categories_count_in_requests(tmp_path: Path) -> None:
    asyncio.run(_of_source(tmp_path))


def test_a_batchs_own_consent_counts_for_each_of_its_events() -> None:
    body = orjson.dumps({
        "batch": [{"type": "track", "event": "X"}, {"type": "track", "event": "X", "properties": 1}],
        "context": {"consent": {"tcf": ALL, "categoryPreferences": {"analytics": False, "C0003": True}}},
    })  # fmt: skip
    for event in parsed_of("/tw/e", body).events:
        assert event.choices == Choices({"C0003": True}, ALL)
