"""Jitsu's SDK, unmodified, on a server and in a browser: each message is in the log once, and the SDK knows that. It
sends one message a request and nothing again."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import BrowserContext

from tests.sdks.conftest import Collector
from tests.sdks.running import node
from tests.sdks.visit import EMAIL, GIVEN, GROUP, NAME, OWN, TEXT, USER, check_numbered, check_purchase, only

pytestmark = pytest.mark.sdks
CHECKS = ("identify", "purchase", "page", "group", "text", "batch")
NODE = pytest.mark.sdk("@jitsu/js", "1.11.0", "Node.js", CHECKS)
BROWSER = pytest.mark.sdk("@jitsu/js", "1.11.0", "browser", CHECKS)


def check_visit(events: list[dict[str, Any]], anonymous_id: str) -> None:
    assert len(events) == 5
    assert {event["protocol"] for event in events} == {"jitsu"}
    assert {event["library"]["name"] for event in events} == {"@jitsu/js"}
    assert {event["anonymous_id"] for event in events} == {anonymous_id}
    assert only(events, "pageview")["properties"]["name"] == TEXT
    own = only(events, OWN)
    assert (own["properties"]["text"], own["properties"]["n"], "user_id" in own) == (TEXT, 2**53 - 1, False)
    identify = only(events, "identify")
    assert (identify["user_id"], identify["traits"]) == (USER, {"email": EMAIL, "name": NAME})
    group = only(events, "group")
    assert (group["user_id"], group["group_id"], group["traits"]) == (USER, GROUP, {"plan": "pro"})
    bought = only(events, "buy")
    assert bought["user_id"] == USER
    check_purchase(bought)


@NODE
def test_a_servers_visit_lands_once(collector: Collector) -> None:
    collector.new()
    assert node("jitsu", {"url": collector.url, "key": "sk_shop", **GIVEN}, "send.mjs") == {"sent": 5, "failures": []}
    events = collector.new(5)
    assert {event["channel"] for event in events} == {"server"}
    check_visit(events, "anon-1")


@NODE
def test_250_events_of_a_server_land_once(collector: Collector) -> None:
    collector.new()
    sent = node("jitsu", {"url": collector.url, "key": "sk_shop", "count": 250, **GIVEN}, "send.mjs")
    assert sent == {"sent": 250, "failures": []}
    check_numbered(collector.new(250), 250)


LOAD = """
<script type="module">
  import {{ jitsuAnalytics }} from '/sdk/jitsu/node_modules/@jitsu/js/dist/jitsu.es.js';
  window.jitsu = jitsuAnalytics({{ host: '{url}', writeKey: 'wk_shop:' }});
</script>"""
VISIT = """async (given) => {
  const said = [
    await jitsu.page({name: given.text}),
    await jitsu.track(given.own, {text: given.text, n: Number.MAX_SAFE_INTEGER}),
    await jitsu.identify(given.user, {email: given.email, name: given.name}),
    await jitsu.group(given.group, {plan: 'pro'}),
    await jitsu.track('Order Completed', given.order),
  ];
  return [said.length, jitsu.user().anonymousId];
}"""


@BROWSER
def test_a_visit_in_a_browser_and_250_events_land_once(context: BrowserContext, collector: Collector) -> None:
    collector.new()
    page = context.new_page()
    page.goto(collector.pages.put("/jitsu", LOAD.format(url=collector.url)))
    page.wait_for_function("window.jitsu")
    count, visitor = page.evaluate(VISIT, GIVEN)
    assert count == 5
    events = collector.new(5)
    assert {event["channel"] for event in events} == {"web"}
    assert only(events, "pageview")["page"]["url"] == page.url
    check_visit(events, visitor)
    page.evaluate("async () => { for (let n = 0; n < 250; n++) await jitsu.track('Read', {n}) }")
    check_numbered(collector.new(250), 250)
