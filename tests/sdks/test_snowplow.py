"""Snowplow's SDKs, unmodified: each event is in the log once, as what it is, and the SDK knows that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.sdks.conftest import Collector
from tests.sdks.heads import bundle, snowplow
from tests.sdks.lossy import is_post, losing
from tests.sdks.running import node, python
from tests.sdks.shown import shown
from tests.sdks.visit import EMAIL, GIVEN, OWN, TEXT, USER, check_numbered, check_purchase, only

pytestmark = pytest.mark.sdks
CHECKS = ("identify", "purchase", "page", "text", "batch")
PAGE = "https://shop.example/tents?utm_source=news"


def is_pixel(method: str, target: str) -> bool:
    return method == "GET" and target.startswith("/i?")


class Server(NamedTuple):
    """An SDK for servers; `largest`: an integer its script sends; `calls`: of a visit."""

    language: str
    folder: str
    library: str
    version: str
    largest: int
    calls: int = 4
    method: str = "post"

    def send(self, url: str, **given: Any) -> dict[str, Any]:
        given = {"url": url, "key": "sk_shop", "page": PAGE, "method": self.method, **GIVEN, **given}
        if self.language == "Python":
            return python(self.folder, given, "../snowplow/send.py")
        return node(self.folder, given)


def server(name: str, sdk: Server, *more: str) -> Any:
    mark = pytest.mark.sdk(name, sdk.version, sdk.language, (*CHECKS, *more))
    return pytest.param(sdk, marks=mark, id=f"{sdk.folder}-{sdk.language}-{sdk.method}")


PYTHON = Server("Python", "snowplow", "snowplow-py", "1.1.0", 2**53 + 1)
OLD_PYTHON = Server("Python", "snowplow-0", "snowplow-py", "0.10.0", 2**53 + 1, 6)
JS = Server("Node.js", "snowplow", "snowplow-node", "4.8.0", 2**53 - 1)
SENDING_AGAIN = [
    server("snowplow-tracker", PYTHON, "retry"),
    server("@snowplow/node-tracker", JS, "retry"),
    server("@snowplow/node-tracker", JS._replace(method="get"), "retry"),
]
# Python's tracker forgets by `get` what failed before a request that did not, and before version 1 whatever failed.
SERVERS = [
    *SENDING_AGAIN,
    server("snowplow-tracker", PYTHON._replace(method="get")),
    server("snowplow-tracker", OLD_PYTHON),
]


@pytest.mark.parametrize("sdk", SERVERS)
def test_a_visit_lands_once_and_as_what_it_is(sdk: Server, collector: Collector) -> None:
    collector.new()
    assert sdk.send(collector.url) == {"sent": sdk.calls, "failures": []}
    events = collector.new(sdk.calls)
    assert len(events) == sdk.calls
    assert {(event["channel"], event["time_source"]) for event in events} == {("server", "exact")}
    assert {event["library"]["name"] for event in events} == {sdk.library}
    assert {(event["user_id"], event["anonymous_id"]) for event in events} == {(USER, "anon-1")}
    page = only(events, "pageview")
    assert (page["kind"], page["page"]["title"], page["campaign"]) == ("page", TEXT, {"source": "news"})
    assert only(events, OWN)["properties"] == {"category": "shop", "label": TEXT}
    own = only(events, "Read")
    assert (own["properties"]["text"], own["properties"]["n"]) == (TEXT, sdk.largest)
    bought = only(events, "buy")
    check_purchase(bought)
    if sdk is OLD_PYTHON:
        assert [one["name"] for one in events].count("transaction_item") == 2
    else:
        assert bought["identifiers"] == {"email": EMAIL}


@pytest.mark.parametrize("sdk", SERVERS)
def test_250_events_land_once_each(sdk: Server, collector: Collector) -> None:
    collector.new()
    assert sdk.send(collector.url, count=250) == {"sent": 250, "failures": []}
    check_numbered(collector.new(250), 250)


@pytest.mark.parametrize("sdk", SENDING_AGAIN)
def test_events_sent_again_count_once(sdk: Server, collector: Collector) -> None:
    collector.new()
    with losing(collector.url, is_pixel if sdk.method == "get" else is_post) as proxy:
        assert sdk.send(proxy.url, count=50, size=25) == {"sent": 50, "failures": []}
    assert [one.status for one in proxy.seen[:2]] == [503, 503]
    check_numbered(collector.new(50), 50)


# --- Browsers ---------------------------------------------------------------------------------------------------------


class Web(NamedTuple):
    """The SDK for browsers; `carries`: which of its requests carry events."""

    folder: str
    method: str
    carries: Callable[[str, str], bool]

    def open(self, context: BrowserContext, collector: Collector, url: str) -> Page:
        """A page with the SDK in it, and in `window.sent` and `window.failed` what it says of its requests."""
        script = snowplow(url, bundle(self.folder), self.method)
        page = context.new_page()
        page.goto(collector.pages.put("/snowplow", script))
        return page


WEBS = [
    pytest.param(
        Web(folder, method, carries), id=f"{version}-{method}",
        marks=pytest.mark.sdk("@snowplow/browser-tracker", version, "browser", (*CHECKS, "retry")),
    )
    for version, folder in (("4.10.1", "snowplow"), ("3.24.6", "snowplow-3"))
    for method, carries in (("post", is_post), ("get", is_pixel))
]  # fmt: skip

VISIT = """(given) => {
  const SHOP = 'iglu:com.snowplowanalytics.snowplow.ecommerce';
  const {order_id, total, currency, products} = given.order;
  const of = products.map(({product_id, ...more}) => ({id: product_id, currency, ...more}));
  const transaction = {transaction_id: order_id, revenue: total, currency};
  const user = {id: given.user, email: given.email};
  snowplow.trackPageView();
  snowplow.trackStructEvent({category: 'shop', action: given.own, label: given.text});
  snowplow.setUserId(given.user);
  if (snowplow.shop) {
    snowplow.shop.setEcommerceUser(user);
    snowplow.shop.trackTransaction({...transaction, payment_method: 'card', total_quantity: 3, products: of});
  } else {
    const entity = (name, data) => ({schema: `${SHOP}/${name}/jsonschema/1-0-0`, data});
    snowplow.trackSelfDescribingEvent({
      event: {schema: `${SHOP}/snowplow_ecommerce_action/jsonschema/1-0-2`, data: {type: 'transaction'}},
      context: [entity('user', user), entity('transaction', transaction), ...of.map((one) => entity('product', one))],
    });
  }
  const own = {schema: 'iglu:com.acme/Read/jsonschema/1-0-0', data: {text: given.text, n: Number.MAX_SAFE_INTEGER}};
  snowplow.trackSelfDescribingEvent({event: own});
}"""


@pytest.mark.parametrize("sdk", WEBS)
def test_a_visit_in_a_browser_lands_once(sdk: Web, context: BrowserContext, collector: Collector) -> None:
    collector.new()
    page = sdk.open(context, collector, collector.url)
    page.evaluate(VISIT, GIVEN)
    page.wait_for_function("sent === 4")
    assert page.evaluate("failed") == []
    events = collector.new(4)
    assert len(events) == 4
    assert {(event["channel"], event["client"]["ip"]) for event in events} == {("web", "127.0.0.0")}
    assert {event["library"]["name"] for event in events} == {"snowplow-js"}
    (visitor,) = {event["anonymous_id"] for event in events}
    (session,) = {event["client_session_id"] for event in events}
    (view,) = {event["page"]["view_id"] for event in events}
    assert visitor
    assert session
    assert view
    pageview = only(events, "pageview")
    assert (pageview["kind"], pageview["page"]["url"], pageview["page"]["title"]) == ("page", page.url, page.title())
    assert (pageview["time_source"], pageview["client"]["locale"]) == ("client", "de-CH")
    assert only(events, OWN)["properties"] == {"category": "shop", "label": TEXT}
    own = only(events, "Read")
    assert (own["user_id"], own["properties"]["text"], own["properties"]["n"]) == (USER, TEXT, 2**53 - 1)
    bought = only(events, "buy")
    assert (bought["user_id"], bought["identifiers"]) == (USER, {"email": EMAIL})
    check_purchase(bought)


MANY = """(count) => {
  const schema = 'iglu:com.acme/Read/jsonschema/1-0-0';
  for (let n = 0; n < count; n++) snowplow.trackSelfDescribingEvent({event: {schema, data: {n}}});
}"""


@pytest.mark.parametrize("sdk", WEBS)
def test_many_events_of_a_browser_sent_again_count_once(
    sdk: Web, context: BrowserContext, collector: Collector
) -> None:
    collector.new()
    # One after the other by `get`, which takes its time.
    count = 250 if sdk.method == "post" else 80
    with losing(collector.url, sdk.carries) as proxy:
        page = sdk.open(context, collector, proxy.url)
        page.evaluate(MANY, count)
        # It sends again what failed with what comes next.
        page.evaluate("setInterval(() => snowplow.flushBuffer(), 200)")
        page.wait_for_function(f"sent >= {count}")
        assert page.evaluate("failed") == []
        assert [one.status for one in proxy.seen[:2]] == [503, 503]
    check_numbered(collector.new(count), count)


# --- The docs ---------------------------------------------------------------------------------------------------------


def test_what_the_docs_show_works_in_browsers(context: BrowserContext, collector: Collector) -> None:
    collector.new()
    page = context.new_page()
    path = bundle("snowplow", shown("snowplow.md", "js\nimport { newTracker, trackPageView", collector))
    page.goto(collector.pages.put("/docs", f'<script src="{path}"></script>'))
    (event,) = collector.new(1)
    assert (event["name"], event["page"]["url"]) == ("pageview", page.url)
