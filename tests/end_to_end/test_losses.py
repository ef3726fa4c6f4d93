"""A page load that loses two events, on whole installations: ledger and API tell, a rebuild agrees."""

from __future__ import annotations

import json
from typing import Any

import httpx2

from tests.end_to_end.installation import Installation, eventually
from tests.trackway.processes import trackway

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def message(page: str, seq: int, **more: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "event": "looked",
        "messageId": f"{page}-{seq}",
        "anonymousId": "v1",
        "seq": seq,
        "context": {"page": {"view_id": f"{page}.1"}},
    } | more


def post(installation: Installation, *messages: dict[str, Any]) -> list[str]:
    """As the tracker sends them; what became of each."""
    shared = {"consent": {"categoryPreferences": {"analytics": True}}}
    body = {"writeKey": "wk_shop", "context": shared, "batch": messages}
    headers = {"origin": installation.shop, "user-agent": FIREFOX}
    answer = httpx2.post(f"{installation.collector}/tw/e", json=body, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    return [one["status"] for one in answer.json()["receipts"]]


def test_what_two_page_loads_lost_is_told(installation: Installation) -> None:
    bought = {"event": "buy", "messageId": "an-order"}
    # Numbers 2 and 5 never come; 3 does, and is refused.
    assert post(installation, message("p1", 1), message("p1", 3, event=7)) == ["accepted", "rejected"]
    assert post(installation, message("p1", 6, **bought), message("p1", 4), message("p1", 1)) == [
        "accepted", "accepted", "duplicate"
    ]  # fmt: skip
    # The page of thanks is reloaded: the order has the same id, its number is another load's. An absurd number is none.
    assert post(installation, message("p2", 1), message("p2", 2, **bought)) == ["accepted", "duplicate"]
    assert post(installation, message("p3", 10**15), message("p4", -7), message("p5", 2**70)) == ["accepted"] * 3

    expected = {"source": "shop", "browser": "Firefox", "made": 8, "arrived": 6, "lost": 2}

    def told() -> Any:
        lines = installation.api("/api/v1/ledger/browsers?source=shop")["lines"]
        return lines if lines and lines[0]["arrived"] == 6 else None

    assert eventually(told, "the page loads to be told") == [expected]
    assert installation.api("/api/v1/ledger/browsers?source=blog")["lines"] == []
    printed = installation.ledger().stdout
    assert "shop    Firefox  8     6        2     25.00" in printed, printed
    lines = [json.loads(line) for line in trackway("ledger", "--json", config=installation.config).stdout.splitlines()]
    assert [line for line in lines if "browser" in line] == [expected]
    compared = trackway("rebuild", "--compare", config=installation.config)
    assert compared.returncode == 0, compared.stdout
