"""GA4: an SDK of the Measurement Protocol, unmodified, and pages that send as gtag.js does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from playwright.sync_api import BrowserContext

from tests.sdks.conftest import Collector
from tests.sdks.running import python
from tests.sdks.visit import (
    CURRENCY,
    EMAIL,
    GIVEN,
    NAME,
    ORDER,
    ORDER_ID,
    OWN,
    PRODUCTS,
    TEXT,
    TOTAL,
    USER,
    check_numbered,
    check_purchase,
    only,
)

pytestmark = pytest.mark.sdks
GA4MP = pytest.mark.sdk("ga4mp", "2.0.4", "Python", ("identify", "purchase", "page", "text", "batch"))
# A secret that no source has is passed over, and the measurement id counts.
KEYS = [("sk_shop", "G-SHOP1234"), ("a-secret-of-googles", "G-SHOP1234")]


@GA4MP
@pytest.mark.parametrize(("secret", "measurement"), KEYS, ids=["secret", "measurement-id"])
def test_a_visit_lands_once_and_as_what_it_is(secret: str, measurement: str, collector: Collector) -> None:
    collector.new()
    # The app has no id that a source knows.
    has_app = secret == "sk_shop"
    order = ORDER | {"order_id": f"A-{secret}"}
    keys = {"secret": secret, "measurement": measurement}
    sent = python("ga4", {"url": collector.url, **keys, **GIVEN, "order": order})
    assert sent == {"sent": 6, "failures": []} or (not has_app and "401" in sent["failures"][0])
    expected = {"pageview", OWN, "identify", "buy", "Later"} | ({"screen"} if has_app else set())
    events = collector.new(len(expected))
    assert {event["name"] for event in events} == expected
    assert len(events) == len(expected)
    assert {event["channel"] for event in events} == {"server"}
    assert {event["anonymous_id"] for event in events} <= {"1234567890.1700000000", "app-1"}
    page = only(events, "pageview")
    assert (page["page"]["title"], page["campaign"], "user_id" in page) == (TEXT, {"source": "news"}, False)
    assert page["client_session_id"]
    own = only(events, OWN)["properties"]
    assert (own["text"], own["n"]) == (TEXT, 2**53 + 1)
    identify = only(events, "identify")
    assert (identify["user_id"], identify["traits"]) == (USER, {"email": EMAIL, "name": NAME})
    assert identify["identifiers"] == {"email": EMAIL}
    assert (only(events, "Later")["time_source"], page["time_source"]) == ("exact", "received")
    bought = only(events, "buy")
    assert (bought["id"], bought["user_id"]) == (f"purchase-{order['order_id']}", USER)
    check_order(bought, f"A-{secret}")
    if has_app:
        assert only(events, "screen")["anonymous_id"] == "app-1"


@GA4MP
def test_250_events_land_once_each(collector: Collector) -> None:
    collector.new()
    given = {"url": collector.url, "secret": "sk_shop", "measurement": "G-SHOP1234", "count": 250, **GIVEN}
    assert python("ga4", given) == {"sent": 250, "failures": []}
    check_numbered(collector.new(250), 250)


def check_order(event: dict[str, Any], order_id: str) -> None:
    """Each test buys under a number of its own: the same is one purchase."""
    assert event["order"]["order_id"] == order_id
    check_purchase(event | {"order": event["order"] | {"order_id": ORDER_ID}})


# --- Pages that send as gtag.js does ----------------------------------------------------------------------------------

SHARED = {
    "v": "2", "tid": "G-SHOP1234", "sid": "1795435000", "sr": "1280x720", "ul": "de-ch", "_s": "1",
    "gcs": "G111", "dl": "https://shop.example/", "dt": TEXT,
}  # fmt: skip
PURCHASE = {"en": "purchase", "ep.transaction_id": "W-1", "epn.value": str(TOTAL), "cu": CURRENCY} | {
    f"pr{at}": f"id{one['product_id']}~nm{one['name']}~pr{one['price']}~qt{one['quantity']}"
    for at, one in enumerate(PRODUCTS, 1)
}
EVENTS = [{"en": "page_view"}, {"en": OWN, "ep.text": TEXT}, PURCHASE, {"en": "login", "uid": USER, "up.name": NAME}]


def encoded(fields: dict[str, str]) -> str:
    return urlencode(fields, quote_via=quote, safe="~")


SENDERS = {
    "fetch": "fetch(url + '?' + shared, {method: 'POST', body, keepalive: true, mode: 'no-cors'})",
    "fetch-cors": "fetch(url + '?' + shared, {method: 'POST', body, credentials: 'include'}).then((it) => it.text())",
    "beacon": "navigator.sendBeacon(url + '?' + shared, body)",
    "single": "events.map((one) => { fetch(url + '?' + shared + '&' + one, {method: 'POST', mode: 'no-cors'}); })",
    "image": "events.map((one) => { new Image().src = url + '?' + shared + '&' + one; })",
}


@pytest.mark.parametrize("way", SENDERS)
def test_hits_of_a_page_land_once(way: str, context: BrowserContext, collector: Collector) -> None:
    collector.new()
    page = context.new_page()
    page.goto(collector.pages.put("/gtag", ""))
    order, visitor = f"W-{way}", f"222.{way}"
    events = [encoded(one | ({"ep.transaction_id": order} if one is PURCHASE else {})) for one in EVENTS]
    given = {"url": f"{collector.url}/g/collect", "shared": encoded({**SHARED, "cid": visitor}), "events": events}
    page.evaluate(
        f"({{url, shared, events}}) => {{ const body = events.join('\\r\\n'); return {SENDERS[way]}; }}", given
    )
    found = collector.new(4)
    assert len(found) == 4
    assert {(one["channel"], one["anonymous_id"], one["client_session_id"]) for one in found} == {
        ("web", visitor, "1795435000")
    }
    assert only(found, "pageview")["page"]["title"] == TEXT
    assert only(found, OWN)["properties"] == {"text": TEXT}
    assert only(found, "identify")["user_id"] == USER
    bought = only(found, "buy")
    assert bought["id"] == f"purchase-{order}"
    check_order(bought, order)


def test_the_settings_the_docs_show_name_the_measurement_id(collector: Collector) -> None:
    shown = re.findall(r"gtag\('config', '(.*?)', (\{.*?\})\)", Path("docs/protocols/ga4.md").read_text())
    assert [name for name, _ in shown] == ["G-SHOP1234"]
    assert "server_container_url" in json.dumps(shown)
