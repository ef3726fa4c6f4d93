"""A person's choices from the tracker's batch to the API: what was said, when, and of which text."""

from __future__ import annotations

import urllib.request
from email.message import Message
from typing import Any, Final

import orjson

from tests.end_to_end.installation import Installation, eventually

VISITOR: Final = "consent-visitor-1"
PURPOSES: Final = ("analytics", "personalization", "marketing_activation", "third_party_sharing")
AGENT: Final = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"


def choose(url: str, number: int, is_allowed: bool, cookie: str, **properties: str) -> tuple[dict[str, Any], Message]:
    """Tell a choice as the tracker does; its receipt and the answer's headers."""
    context = {"consent": {"categoryPreferences": dict.fromkeys(PURPOSES, is_allowed)}}
    message = {
        "type": "track", "event": "consent", "messageId": f"consent-page-{number}", "anonymousId": VISITOR,
        "properties": properties, "context": context, "seq": number, "timestamp": f"2026-11-25T08:00:0{number}.000Z",
    }  # fmt: skip
    body = orjson.dumps({"writeKey": "wk_shop", "sentAt": "2026-11-25T08:00:09.000Z", "batch": [message]})
    headers = {"origin": url, "content-type": "text/plain", "user-agent": AGENT, "cookie": cookie}
    with urllib.request.urlopen(urllib.request.Request(url + "/tw/e", body, headers), timeout=30) as answer:
        return orjson.loads(answer.read())["receipts"][0], answer.headers


def test_a_persons_choices_are_told_by_the_api(installation: Installation) -> None:
    url = installation.shop
    granted, headers = choose(url, 1, True, "", text_version="2026-11", method="banner")
    cookie = headers["set-cookie"].partition(";")[0]
    assert (granted["status"], granted["id"], cookie.split("=")[0]) == ("accepted", "consent-page-1", "tw_id")
    withdrawn, headers = choose(url, 2, False, f"{cookie}; tw_ack2=a", text_version="2026-12")
    assert (withdrawn["status"], withdrawn["id"]) == ("accepted", "consent-page-2")
    assert sorted(line.partition(";")[0] for line in headers.get_all("set-cookie", [])) == ["tw_ack2=", "tw_id="]

    def known() -> Any:
        profile = installation.profile_of("anon", VISITOR)
        return profile if profile and profile["counts"]["events"] == 2 else None

    profile = eventually(known, "the visitor's profile")
    assert profile["consents"]["analytics"] | {"time": ""} == {
        "value": False, "time": "", "source": "shop", "event": "consent-page-2", "text_version": "2026-12",
    }  # fmt: skip
    last, first = installation.api(f"/api/v1/profiles/{profile['id']}/consents")["consents"]
    assert (first["event"], first["text_version"]) == ("consent-page-1", "2026-11")
    assert first["consent"] == dict.fromkeys(PURPOSES, True)
    assert (last["event"], last["text_version"]) == ("consent-page-2", "2026-12")
    assert last["consent"] == dict.fromkeys(PURPOSES, False)
    assert first["time"] < last["time"]
    (newest,) = installation.api(f"/api/v1/profiles/{profile['id']}/consents?limit=1")["consents"]
    assert newest == last
