"""Umami's tracker and its package for servers, unmodified: each event is in the log once. They send nothing again."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.sdks.conftest import ALIASES, Collector
from tests.sdks.running import node
from tests.sdks.visit import EMAIL, GIVEN, NAME, OWN, TEXT, USER, check_numbered, check_purchase, only

pytestmark = pytest.mark.sdks
CHECKS = ("identify", "purchase", "page", "text", "batch")
NODE = pytest.mark.sdk("@umami/node", "0.4.0", "Node.js", CHECKS)
BROWSER = pytest.mark.sdk("umami", "2.10.0", "browser", CHECKS)
WEBSITE = ALIASES[2]


def check_visit(events: list[dict[str, Any]]) -> None:
    assert len(events) == 4
    assert {event["protocol"] for event in events} == {"umami"}
    assert {event["anonymous_id"][:4] for event in events} == {"day-"}
    view = only(events, "pageview")
    assert (view["kind"], view["page"]["title"]) == ("page", TEXT)
    own = only(events, OWN)["properties"]
    assert (own["text"], own["n"]) == (TEXT, 2**53 - 1)
    identify = only(events, "identify")
    assert (identify["user_id"], identify["identifiers"]) == (USER, {"email": EMAIL})
    assert identify["traits"] == {"userId": USER, "email": EMAIL, "name": NAME}
    check_purchase(only(events, "buy"))


@NODE
def test_a_servers_visit_lands_once(collector: Collector) -> None:
    collector.new()
    sent = node("umami", {"url": collector.url, "website": WEBSITE, **GIVEN}, "send.mjs")
    assert sent == {"sent": 4, "failures": []}
    events = collector.new(4)
    check_visit(events)
    view = only(events, "pageview")
    assert view["page"]["url"] == "https://shop.example/zelte?utm_source=news"
    assert view["campaign"] == {"source": "news"}


@NODE
def test_250_events_of_a_server_land_once(collector: Collector) -> None:
    collector.new()
    sent = node("umami", {"url": collector.url, "website": WEBSITE, "count": 250, **GIVEN}, "send.mjs")
    assert sent == {"sent": 250, "failures": []}
    check_numbered(collector.new(250), 250)


def opened(context: BrowserContext, collector: Collector, path: str) -> Page:
    """A page with the tracker, of which the collector has nothing but its address."""
    page = context.new_page()
    script = "/sdk/umami/node_modules/umami/src/tracker/index.js"
    head = f'<script defer src="{script}" data-website-id="{WEBSITE}" data-host-url="{collector.url}"></script>'
    page.goto(collector.pages.put(path, head, TEXT))
    return page


VISIT = """async (given) => {
  await umami.track(given.own, {text: given.text, n: Number.MAX_SAFE_INTEGER});
  await umami.identify({userId: given.user, email: given.email, name: given.name});
  return umami.track('Purchase', given.order);
}"""


@BROWSER
def test_a_visit_in_a_browser_lands_once(context: BrowserContext, collector: Collector) -> None:
    collector.new()
    page = opened(context, collector, "/umami")
    # What is answered comes back as a header with the next event.
    assert page.evaluate(VISIT, GIVEN) == '{"cache":"trackway"}'
    events = collector.new(4)
    check_visit(events)
    assert {event["page"]["url"] for event in events} == {page.url}
    assert {event["client"]["screen"] for event in events} == {"1280x720"}
    assert context.cookies() == []


@BROWSER
def test_250_events_of_a_browser_land_once(context: BrowserContext, collector: Collector) -> None:
    collector.new()
    # The same view of the same visitor within two seconds is one.
    page = opened(context, collector, "/umami-again")
    page.evaluate("Promise.all(Array.from({length: 250}, (_, n) => umami.track('Read', {n})))")
    check_numbered(collector.new(251), 250)
