"""RudderStack's SDKs, unmodified: each message is in the log once, as what it is, and the SDK knows that."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.sdks.conftest import Collector
from tests.sdks.lossy import losing
from tests.sdks.segment_visit import ALL, Server, check_retries, check_visit
from tests.sdks.shown import check_shown, shown
from tests.sdks.visit import EMAIL, GIVEN, GROUP, NAME, OWN, TEXT, USER, check_numbered, check_purchase, only

pytestmark = pytest.mark.sdks
SERVERS = [
    pytest.param(Server("rudderstack", "analytics-python", 2**53 + 1, "rudderstack.analytics.client"), id="python",
                 marks=pytest.mark.sdk("rudder-sdk-python", "2.1.9", "Python", ALL)),
    pytest.param(Server("rudderstack", "analytics-node", 2**53 - 1), id="node",
                 marks=pytest.mark.sdk("@rudderstack/rudder-sdk-node", "3.0.13", "Node.js", ALL)),
]  # fmt: skip
_BROWSER = pytest.mark.sdk("@rudderstack/analytics-js", "3.34.1", "browser", ALL)
WAYS: list[Any] = [
    pytest.param({}, marks=_BROWSER, id="one-each"),
    pytest.param({"queueOptions": {"batch": {"enabled": True, "flushInterval": 300}}}, marks=_BROWSER, id="batch"),
    pytest.param({"useBeacon": True, "beaconQueueOptions": {"flushQueueInterval": 300}}, marks=_BROWSER, id="beacon"),
]


@pytest.mark.parametrize("sdk", SERVERS)
def test_a_visit_lands_once_and_as_what_it_is(sdk: Server, collector: Collector) -> None:
    check_visit(sdk, collector, "rudderstack")


@pytest.mark.parametrize("sdk", SERVERS)
def test_a_batch_of_250_sent_again_counts_once(sdk: Server, collector: Collector) -> None:
    check_retries(sdk, collector)


def opened(context: BrowserContext, collector: Collector, url: str, options: dict[str, Any]) -> Page:
    """A page with the SDK in it, whose settings come from the collector too."""
    settings = {"configUrl": url, "logLevel": "ERROR", **options}
    bundle = "/sdk/rudderstack/node_modules/@rudderstack/analytics-js/dist/npm/modern/bundled/umd/index.js"
    head = f"""
    <script src="{bundle}"></script>
    <script>
      window.rudder = new rudderanalytics.RudderAnalytics();
      rudder.load('wk_shop', '{url}', {json.dumps(settings)});
    </script>"""
    page = context.new_page()
    page.goto(collector.pages.put("/rudderstack", head))
    return page


VISIT = """(given) => {
  rudder.page('Shop', given.text);
  rudder.track(given.own, {text: given.text, n: Number.MAX_SAFE_INTEGER});
  rudder.alias(given.user, 'earlier-1');
  rudder.identify(given.user, {email: given.email, name: given.name});
  rudder.group(given.group, {plan: 'pro'});
  rudder.track('Order Completed', given.order);
}"""


@pytest.mark.parametrize("options", WAYS)
def test_a_visit_in_a_browser_lands_once(
    options: dict[str, Any], context: BrowserContext, collector: Collector
) -> None:
    collector.new()
    page = opened(context, collector, collector.url, options)
    page.evaluate(VISIT, GIVEN)
    events = collector.new(6)
    assert len(events) == 6
    assert {(event["channel"], event["protocol"]) for event in events} == {("web", "rudderstack")}
    view = only(events, "pageview")
    visitor = view["anonymous_id"]
    assert (view["page"]["url"], view["properties"]["name"], view["page"]["title"]) == (page.url, TEXT, page.title())
    assert {event["anonymous_id"] for event in events} == {visitor}
    own = only(events, OWN)
    assert (own["properties"]["text"], own["properties"]["n"], "user_id" in own) == (TEXT, 2**53 - 1, False)
    alias = only(events, "alias")
    assert (alias["user_id"], alias["previous_id"]) == (USER, "earlier-1")
    identify = only(events, "identify")
    assert (identify["user_id"], identify["traits"]) == (USER, {"email": EMAIL, "name": NAME})
    group = only(events, "group")
    assert (group["group_id"], group["traits"]) == (GROUP, {"plan": "pro"})
    check_purchase(only(events, "buy"))


@pytest.mark.parametrize(("options", "count"), [(WAYS[0].values[0], 20), (WAYS[1].values[0], 250)])
@_BROWSER
def test_events_of_a_browser_sent_again_count_once(
    options: dict[str, Any], count: int, context: BrowserContext, collector: Collector
) -> None:
    collector.new()
    with losing(collector.url) as proxy:
        page = opened(context, collector, proxy.url, options)
        page.evaluate("(count) => { for (let n = 0; n < count; n++) rudder.track('Read', {n}) }", count)
        check_numbered(collector.new(count, 60), count)
    assert [one.status for one in proxy.seen].count(503) == 2


def test_what_the_docs_show_for_pages_works(context: BrowserContext, collector: Collector) -> None:
    bundle = "/sdk/rudderstack/node_modules/@rudderstack/analytics-js/dist/npm/modern/bundled/umd/index.js"
    collector.new()
    page = context.new_page()
    head = f'<script src="{bundle}"></script>' + shown("rudderstack.md", "html", collector)
    page.goto(collector.pages.put("/rudderstack-docs", head))
    page.evaluate("rudder.track('Product Viewed', {product_id: 'SKU-1', price: 89.9, currency: 'EUR'})")
    check_shown(only(collector.new(1), "visit"))
