"""Segment's SDKs, unmodified: each message is in the log once, as what it is, and the SDK knows that."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.sdks.conftest import Collector
from tests.sdks.heads import segment
from tests.sdks.lossy import losing
from tests.sdks.segment_visit import ALL, Server, check_retries, check_visit
from tests.sdks.shown import check_shown, shown
from tests.sdks.visit import EMAIL, GIVEN, GROUP, NAME, OWN, TEXT, USER, check_numbered, check_purchase, only

pytestmark = pytest.mark.sdks
_SDK = pytest.mark.sdk
GZIPPED = {"gzip": True, "upload_size": 250}
SERVERS = [
    pytest.param(Server("segment", "analytics-python", 2**53 + 1, "segment.analytics", GZIPPED), id="python",
                 marks=_SDK("segment-analytics-python", "2.4.0", "Python", ALL)),
    pytest.param(Server("segment-old", "analytics-python", 2**53 + 1, "analytics"), id="python-old",
                 marks=_SDK("analytics-python", "1.4.0", "Python", ALL)),
    pytest.param(Server("segment", "@segment/analytics-node", 2**53 - 1), id="node",
                 marks=_SDK("@segment/analytics-node", "3.1.0", "Node.js", ALL)),
    pytest.param(Server("segment-old", "analytics-node", 2**53 - 1), id="node-old",
                 marks=_SDK("analytics-node", "6.2.0", "Node.js", ALL)),
]  # fmt: skip
NEXT = _SDK("@segment/analytics-next", "1.84.3", "browser", ALL)
# It takes a 503 for success.
OLD = _SDK("@segment/analytics-next", "1.53.0", "browser", ALL[:-1])
BROWSERS = [
    pytest.param("segment", "standard", marks=NEXT, id="1.84"),
    pytest.param("segment", "batching", marks=NEXT, id="1.84-batching"),
    pytest.param("segment-old", "standard", marks=OLD, id="1.53"),
]


@pytest.mark.parametrize("sdk", SERVERS)
def test_a_visit_lands_once_and_as_what_it_is(sdk: Server, collector: Collector) -> None:
    check_visit(sdk, collector, "segment")


@pytest.mark.parametrize("sdk", SERVERS)
def test_a_batch_of_250_sent_again_counts_once(sdk: Server, collector: Collector) -> None:
    check_retries(sdk, collector)


def opened(context: BrowserContext, collector: Collector, url: str, folder: str, strategy: str) -> Page:
    """A page with the SDK in it, whose settings come from the collector too."""
    page = context.new_page()
    page.goto(collector.pages.put("/segment", segment(url, folder, strategy)))
    return page


VISIT = """async (given) => {
  await analytics.page('Shop', given.text);
  await analytics.track(given.own, {text: given.text, n: Number.MAX_SAFE_INTEGER});
  await analytics.alias(given.user, 'earlier-1');
  await analytics.identify(given.user, {email: given.email, name: given.name});
  await analytics.group(given.group, {plan: 'pro'});
  await analytics.track('Order Completed', given.order);
}"""


@pytest.mark.parametrize(("folder", "strategy"), BROWSERS)
def test_a_visit_in_a_browser_lands_once(
    folder: str, strategy: str, context: BrowserContext, collector: Collector
) -> None:
    collector.new()
    page = opened(context, collector, collector.url, folder, strategy)
    page.evaluate(VISIT, GIVEN)
    events = collector.new(6)
    assert len(events) == 6
    assert {(event["channel"], event["protocol"]) for event in events} == {("web", "segment")}
    view = only(events, "pageview")
    visitor = view["anonymous_id"]
    assert (view["page"]["url"], view["properties"]["name"]) == (page.url, TEXT)
    assert {event["anonymous_id"] for event in events} == {visitor}
    own = only(events, OWN)
    assert (own["properties"], "user_id" in own) == ({"text": TEXT, "n": 2**53 - 1}, False)
    alias = only(events, "alias")
    assert (alias["user_id"], alias["previous_id"]) == (USER, "earlier-1")
    identify = only(events, "identify")
    assert (identify["user_id"], identify["traits"]) == (USER, {"email": EMAIL, "name": NAME})
    group = only(events, "group")
    assert (group["group_id"], group["traits"]) == (GROUP, {"plan": "pro"})
    check_purchase(only(events, "buy"))


@pytest.mark.parametrize(("folder", "strategy"), BROWSERS[:2])
def test_250_events_of_a_browser_sent_again_count_once(
    folder: str, strategy: str, context: BrowserContext, collector: Collector
) -> None:
    collector.new()
    with losing(collector.url) as proxy:
        page = opened(context, collector, proxy.url, folder, strategy)
        page.evaluate("async () => { for (let n = 0; n < 250; n++) analytics.track('Read', {n}) }")
        check_numbered(collector.new(250, 60), 250)
    assert [one.status for one in proxy.seen].count(503) == 2


@OLD
def test_250_events_of_an_older_browsers_sdk_land_once(context: BrowserContext, collector: Collector) -> None:
    collector.new()
    page = opened(context, collector, collector.url, "segment-old", "standard")
    page.evaluate("async () => { for (let n = 0; n < 250; n++) analytics.track('Read', {n}) }")
    check_numbered(collector.new(250, 60), 250)


def test_what_the_docs_show_for_pages_works(context: BrowserContext, collector: Collector) -> None:
    bundle = '<script src="/sdk/segment/node_modules/@segment/analytics-next/dist/umd/index.js"></script>'
    collector.new()
    page = context.new_page()
    page.goto(collector.pages.put("/segment-docs", bundle + shown("segment.md", "html", collector)))
    page.evaluate("analytics.track('Product Viewed', {product_id: 'SKU-1', price: 89.9, currency: 'EUR'})")
    check_shown(only(collector.new(1), "visit"))
