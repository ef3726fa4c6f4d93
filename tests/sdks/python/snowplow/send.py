"""Sends a visit, or so many events, by snowplow-tracker of whichever major; prints what the SDK says of it.

stdin: {"url", "key", "method", "count", …}; stdout: {"sent": events that the SDK says were sent, "failures": [text]}.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import snowplow_tracker
from snowplow_tracker import Emitter, SelfDescribingJson, Subject, Tracker

IS_OLD = not hasattr(snowplow_tracker, "StructuredEvent")
SHOP = "iglu:com.snowplowanalytics.snowplow.ecommerce"
OWN = "iglu:com.acme/Read/jsonschema/1-0-0"
SECONDS = 20


def main() -> None:
    given = json.load(sys.stdin)
    url = urlsplit(given["url"])
    # By id: what is sent again counts once.
    sent: set[str] = set()
    failed: set[str] = set()

    def on_success(events: list[dict[str, Any]]) -> None:
        sent.update(event["eid"] for event in events)

    def on_failure(count: int, events: list[dict[str, Any]]) -> None:
        failed.update(event["eid"] for event in events)

    size = {"buffer_size" if IS_OLD else "batch_size": given.get("size", 10)}
    emitter = Emitter(
        url.hostname, protocol="http", port=url.port, method=given.get("method", "post"),
        on_success=on_success, on_failure=on_failure, **size,
    )  # fmt: skip
    subject = Subject().set_user_id(given["user"]).set_domain_user_id("anon-1").set_lang("de-CH")
    of = {"emitters": emitter, "subject": subject, "namespace": "shop", "app_id": given["key"]}
    tracker = Tracker(**of)
    calls = many(tracker, given) if given.get("count") else visit(tracker, given)
    tracker.flush()
    until = time.monotonic() + SECONDS
    while len(sent) < calls and not IS_OLD and time.monotonic() < until:
        time.sleep(0.05)
    print(json.dumps({"sent": len(sent), "failures": sorted(failed - sent)}))


def described(
    tracker: Any, schema: str, data: dict[str, Any], contexts: list[SelfDescribingJson] | None = None
) -> None:
    event = SelfDescribingJson(schema, data)
    if IS_OLD:
        tracker.track_unstruct_event(event, context=contexts)
    else:
        tracker.track(snowplow_tracker.SelfDescribing(event, context=contexts))


def visit(tracker: Any, given: dict[str, Any]) -> int:
    page = given["page"]
    if IS_OLD:
        tracker.track_page_view(page, given["text"])
        tracker.track_struct_event("shop", given["own"], given["text"])
    else:
        tracker.track(snowplow_tracker.PageView(page, given["text"]))
        tracker.track(snowplow_tracker.StructuredEvent("shop", given["own"], given["text"]))
    described(tracker, OWN, {"text": given["text"], "n": 2**53 + 1})
    order = given["order"]
    if IS_OLD:
        items = [
            {"sku": one["product_id"], "currency": order["currency"],
             **{name: one[name] for name in ("price", "quantity", "name", "category") if name in one}}
            for one in order["products"]
        ]  # fmt: skip
        tracker.track_ecommerce_transaction(order["order_id"], order["total"], currency=order["currency"], items=items)
        return 4 + len(items)
    contexts = [
        SelfDescribingJson(f"{SHOP}/user/jsonschema/1-0-0", {"id": given["user"], "email": given["email"]}),
        SelfDescribingJson(
            f"{SHOP}/transaction/jsonschema/1-0-0",
            {"transaction_id": order["order_id"], "revenue": order["total"], "currency": order["currency"]},
        ),
        *(
            SelfDescribingJson(
                f"{SHOP}/product/jsonschema/1-0-0",
                {"id": one["product_id"], "currency": order["currency"],
                 **{name: one[name] for name in ("price", "quantity", "name", "category") if name in one}},
            )
            for one in order["products"]
        ),
    ]  # fmt: skip
    described(tracker, f"{SHOP}/snowplow_ecommerce_action/jsonschema/1-0-2", {"type": "transaction"}, contexts)
    return 4


def many(tracker: Any, given: dict[str, Any]) -> int:
    for n in range(given["count"]):
        described(tracker, OWN, {"n": n})
    return int(given["count"])


if __name__ == "__main__":
    main()
