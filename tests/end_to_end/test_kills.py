"""The aggregator is killed in the middle of its work, again and again: nothing is lost, nothing counts twice."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from typing import Any

import httpx2
import pytest

from tests.end_to_end.installation import Installation, eventually

EVENTS, BATCH, KILLS = 10_000, 50, 5
# So few that all their profiles fit one answer of the API.
VISITORS = 100


def messages(first: int) -> list[dict[str, Any]]:
    """A batch of page views, sign-ins and orders; every hundredth message is sent twice."""
    made: list[dict[str, Any]] = []
    for number in range(first, first + BATCH):
        visitor = number % VISITORS
        message: dict[str, Any] = {"messageId": f"m-{number}", "anonymousId": f"visitor-{visitor}", "type": "page"}
        if number % 10 == 3:
            message |= {"type": "identify", "userId": f"user-{visitor}"}
        elif number % 10 == 7:
            order = {"order_id": f"o-{number}", "currency": "EUR", "products": [{"product_id": "p", "price": 1}]}
            message |= {"type": "track", "event": "Order Completed", "properties": order}
        made.append(message)
    return made


def post_all(url: str, receipts: Counter[str]) -> None:
    with httpx2.Client(base_url=url, auth=("sk_shop", ""), timeout=30) as client:
        for first in range(0, EVENTS, BATCH):
            for body in (messages(first), messages(first)[:1]):
                answer = client.post("/v1/batch", json={"batch": body})
                assert answer.status_code == 200, answer.text
                receipts.update(receipt["status"] for receipt in answer.json()["receipts"])


@pytest.mark.timeout(240)
def test_the_counts_are_exact_when_the_aggregator_is_killed_five_times(installation: Installation) -> None:
    receipts: Counter[str] = Counter()
    posting = threading.Thread(target=post_all, args=(installation.collector, receipts))
    posting.start()
    chance = random.Random(3)
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.3, 1.5))
        installation.kill_aggregator()
    posting.join()
    assert receipts == Counter(accepted=EVENTS, duplicate=EVENTS // BATCH)

    def counted() -> Any:
        lines = installation.api("/api/v1/ledger")["lines"]
        counts: Counter[str] = Counter()
        for line in lines:
            counts[line["status"]] += line["count"]
        return counts if sum(counts.values()) >= sum(receipts.values()) else None

    assert eventually(counted, "every event to be counted", 120) == receipts
    done = installation.ledger()
    assert done.returncode == 0, done.stdout + done.stderr

    def folded() -> Any:
        found = installation.api("/api/v1/profiles?limit=200")["profiles"]
        return found if sum(one["counts"]["events"] for one in found) == EVENTS else None

    profiles = eventually(folded, "every profile", 60)
    assert sum(one["counts"]["orders"] for one in profiles) == EVENTS // 10
    assert sum(float(one["money"]["EUR"]["revenue"]) for one in profiles if "money" in one) == EVENTS / 10
