"""Plausible's trackers, unmodified: each event is in the log once. They send one event a request and nothing again."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.sdks.conftest import Collector
from tests.sdks.heads import plausible_options
from tests.sdks.shown import shown
from tests.sdks.visit import GIVEN, OWN, TEXT, check_numbered, check_purchase, only

pytestmark = pytest.mark.sdks
CHECKS = ("purchase", "page", "text", "batch")
NEW = pytest.mark.sdk("@plausible-analytics/tracker", "0.4.6", "browser", CHECKS)
OLD = pytest.mark.sdk("plausible-tracker", "0.3.9", "browser", CHECKS)
_LOAD = {
    "new": """
  import { init, track } from '/sdk/plausible/node_modules/@plausible-analytics/tracker/plausible.js';
  init({options});
  window.tell = (name, props, revenue) =>
    new Promise((told) => track(name, { props, revenue, callback: (done) => told(done?.status ?? 'not sent') }));
""",
    "old": """
  import Plausible from '/sdk/plausible/node_modules/plausible-tracker/build/module/index.js';
  const plausible = Plausible({ domain: 'shop.example', apiHost: '{url}', trackLocalhost: true });
  plausible.trackPageview();
  // It has no word for revenue: that is one of the properties.
  window.tell = (name, props, revenue) =>
    new Promise((callback) =>
      plausible.trackEvent(name, { props: { ...props, total: revenue?.amount }, callback: () => callback(200) }));
""",
}
_VISIT = """async (given) => {
  const { products, total, currency, order_id } = given.order;
  return [
    await tell(given.own, {text: given.text, n: Number.MAX_SAFE_INTEGER}),
    await tell('Purchase', {order_id, products, currency}, {amount: total, currency}),
  ];
}"""
_number = itertools.count()
WAYS = [pytest.param("new", marks=NEW, id="new"), pytest.param("old", marks=OLD, id="old")]


def opened(context: BrowserContext, collector: Collector, way: str, load: str = "") -> Page:
    # A page of its own each time: the same view of the same visitor within two seconds is one.
    page = context.new_page()
    script = load or _LOAD[way].replace("{options}", plausible_options(collector.url)).replace("{url}", collector.url)
    page.goto(collector.pages.put(f"/plausible-{next(_number)}", f'<script type="module">{script}</script>'))
    return page


@pytest.mark.parametrize("way", WAYS)
def test_a_visit_lands_once(way: str, context: BrowserContext, collector: Collector) -> None:
    collector.new()
    page = opened(context, collector, way)
    page.wait_for_function("window.tell")
    assert page.evaluate(_VISIT, GIVEN) == [200, 200]
    events = collector.new(3)
    assert len(events) == 3
    assert {(event["protocol"], event["channel"]) for event in events} == {("plausible", "web")}
    assert {event["page"]["url"] for event in events} == {page.url}
    assert {event["anonymous_id"][:4] for event in events} == {"day-"}
    assert only(events, "pageview")["kind"] == "page"
    own = only(events, OWN)["properties"]
    assert (own["text"], own["n"]) == (TEXT, 2**53 - 1)
    check_purchase(only(events, "buy"))
    assert context.cookies() == []


@pytest.mark.parametrize("way", WAYS)
def test_250_events_land_once_each(way: str, context: BrowserContext, collector: Collector) -> None:
    collector.new()
    page = opened(context, collector, way)
    page.wait_for_function("window.tell")
    said: Any = page.evaluate("Promise.all(Array.from({length: 250}, (_, n) => tell('Read', {n})))")
    assert set(said) == {200}
    check_numbered(collector.new(251), 250)


def test_leaving_a_page_tells_how_it_was_read(context: BrowserContext, collector: Collector) -> None:
    collector.new()
    page = opened(context, collector, "new")
    page.wait_for_function("window.tell")
    page.wait_for_timeout(200)
    page.goto("about:blank")
    assert only(collector.new(2), "engagement")["properties"]["scroll_depth"] == 100


def test_what_the_docs_show_works(context: BrowserContext, collector: Collector) -> None:
    code = shown("plausible.md", "js", collector).replace(
        "'@plausible-analytics/tracker'", "'/sdk/plausible/node_modules/@plausible-analytics/tracker/plausible.js'"
    )
    collector.new()
    opened(context, collector, "", code.replace("endpoint:", "captureOnLocalhost: true, endpoint:"))
    events = collector.new(2)
    assert only(events, "pageview")
    bought = only(events, "buy")
    assert (bought["order"]["total"], bought["items"][0]["product_id"]) == ("89.9", "SKU-1")
