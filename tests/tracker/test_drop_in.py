"""A page made for another vendor whose one line is changed: the same facts in the log as from a page of ours."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import time
from collections.abc import Iterator
from typing import Any, Final

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from playwright.sync_api import Error as PlaywrightError

from tests.sdks import heads
from tests.sdks.conftest import Collector, collector_in
from tests.sdks.visit import GIVEN
from tests.tracker.watch import Watch, watched

pytestmark = pytest.mark.browsers

OURS: Final = '<script src="/tw/t.js" data-key="wk_shop" {}></script>'
_numbers = itertools.count()


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """One for all tests of the module, on the site's own origin."""
    with collector_in(tmp_path_factory.mktemp("drop-in")) as started:
        for path in ("/tw/t.js", "/tw/e"):
            started.pages.behind[path] = started.url
        yield started


@pytest.fixture
def context(browser: Browser, watch: Watch, collector: Collector) -> Iterator[BrowserContext]:
    collector.new()
    with watched(browser, watch, collector.pages.url, locale="de-CH") as context:
        yield context


def put(collector: Collector, head: str, path: str = "") -> str:
    """Serve the page at a path of its own; its URL."""
    return collector.pages.put(path or f"/drop-in-{next(_numbers)}", head)


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Leaves by path."""
    if isinstance(value, dict):
        return {leaf: found for name in value for leaf, found in flat(value[name], f"{path}.{name}").items()}
    if isinstance(value, list):
        return {leaf: found for at, one in enumerate(value) for leaf, found in flat(one, f"{path}[{at}]").items()}
    return {path[1:]: value}


# --- Segment ----------------------------------------------------------------------------------------------------------

# The calls of the page, which are the same whoever answers them.
_VISIT: Final = """async (given) => {
  const api = window.analytics ?? window.trackway;
  await api.track(given.own, {text: given.text, n: Number.MAX_SAFE_INTEGER, at: new Date(0), deep: {list: [1, 'two']}});
  await api.track('Product Viewed', given.order.products[0]);
  await api.track('Product Added', {cart_id: 'b-1', ...given.order.products[1], currency: given.order.currency});
  await api.track('Products Searched', {query: given.text});
  await api.alias(given.user, 'earlier-1');
  await api.identify(given.user, {email: given.email, name: given.name});
  await api.group(given.group, {plan: 'pro'});
  await api.track('Order Completed', given.order);
}"""
# Of each page load or request, and what only one of them tells. What else differs is a fault.
_BY_NATURE: Final = {
    "id", "protocol", "library.name", "library.version", "partition", "offset", "occurred_at", "sent_at", "received_at",
    "client_time", "time_source", "trace",
    # Ours says what the visitor has consented to, to which session and view an event belongs, and what may be lost.
    "consent.analytics", "consent.personalization", "consent.marketing_activation", "consent.third_party_sharing",
    "client_session_id", "page.view_id", "client.seq", "client.screen", "client.bot",
    # Another browser context is another visitor.
    "anonymous_id",
}  # fmt: skip


def test_a_page_with_segments_sdk_and_one_with_ours_tell_the_same(
    browser: Browser, watch: Watch, collector: Collector, context: BrowserContext
) -> None:
    pages = collector.pages
    for path in ("/v1/p", "/v1/t", "/v1/i", "/v1/g", "/v1/a", "/v1/projects/wk_shop/settings"):
        pages.behind[path] = collector.url
    # The page's address is the same, too: the second is put in place of the first.
    theirs = browser.new_context(locale="de-CH")
    page = theirs.new_page()
    page.goto(
        put(collector, heads.segment(pages.url) + "<script>analytics.page();</script>", "/shop") + "?utm_source=news"
    )
    page.evaluate(_VISIT, GIVEN)
    segments = collector.new(9)
    theirs.close()

    page = context.new_page()
    page.goto(put(collector, OURS.format('data-consent="granted"'), "/shop") + "?utm_source=news")
    page.wait_for_function("window.trackway && trackway.version")
    page.evaluate(_VISIT, GIVEN)
    ours = collector.new(9)

    assert len(ours) == len(segments) == 9
    for one in (ours, segments):
        assert len({event["anonymous_id"] for event in one}) == 1
        assert len({event["id"] for event in one}) == 9
    told: dict[str, Any] = {}
    for mine, other in zip(ours, segments, strict=True):
        left, right = flat(mine), flat(other)
        differ = {path for path in left.keys() | right.keys() if left.get(path) != right.get(path)} - _BY_NATURE
        told |= {f"{mine['name']}: {path}": (left.get(path), right.get(path)) for path in differ}
    # Segment's SDK says of a page view twice where it was.
    again = {f"pageview: properties.{name}": (None, segments[0]["page"].get(name)) for name in ("path", "title", "url")}
    assert told == again | {"pageview: properties.search": (None, "?utm_source=news")}, "ours and Segment's"
    assert [event["name"] for event in ours] == [
        "pageview", GIVEN["own"], "visit", "basket", "search", "alias", "identify", "group", "buy",
    ]  # fmt: skip


# --- Raptor -----------------------------------------------------------------------------------------------------------

# As Ibexa's templates have it: the queue that is there before any script, and the calls of a page. The one line that is
# changed loads our script instead of Raptor's.
_QUEUE: Final = """<script>
  window.raptor = {q: [{event: 'trackevent', params: {p1: 'pageview'}}], customerId: '12345'};
  raptor.push = (event, params, options) => raptor.q.push({event, params, options});
  raptor.push('setRuid', '%s');
</script>
%s
<script>%s</script>"""
_LINE: Final = OURS.format("")
_MAIL: Final = base64.b64encode(b"ada@mail.example").decode()
_ENABLE: Final = "document.dispatchEvent(new Event('enableTracking'));"
# What the calls are, as the parameters of the pixel that Raptor's script would have asked for.
_CALLS: Final = """
raptor.trackEvent('visit', 'S-1', 'Zelt Ærø', '25#Camping;402#Zelte', '', '', 'u-7', 'Nordisk');
raptor.trackEvent('contentvisit', 'C-9', 'Wie man zeltet', '7#Magazin');
raptor.push('trackEvent', {p1: 'basket', p2: 'S-1', p10: 'S-1:2;S-2:1', p11: 'b-1'});
raptor.push('trackevent', {p1: 'itemclick', p2: 'S-2'}, {moduleName: 'Similar'});
raptor.push('trackEvent', {p1: 'newsletterclick', p30: 'Gelesen 📚'});
"""
_FACTS: Final[list[dict[str, str]]] = [
    {"p1": "visit", "p2": "S-1", "p3": "Zelt Ærø", "p4": "25#Camping;402#Zelte", "p7": "u-7", "p8": "Nordisk"},
    {"p1": "contentvisit", "p2": "C-9", "p3": "Wie man zeltet", "p4": "7#Magazin"},
    {"p1": "basket", "p2": "S-1", "p10": "S-1:2;S-2:1", "p11": "b-1"},
    {"p1": "itemclick", "p2": "S-2", "am": "Similar"},
    {"p1": "newsletterclick", "p30": "Gelesen 📚"},
    {"p1": "setRuid", "ruid": _MAIL},
]
_BUYS: Final = [
    {"p1": "buy", "p2": "S-1", "p3": "Zelt", "p5": "19.80", "p12": "9.90", "p13": "2", "p21": "%s"},
    {"p1": "buy", "p2": "S-2", "p3": "Ofen", "p5": "100", "p12": "100", "p13": "1", "p21": "%s"},
]
# What a pixel carries beside what belongs to the request, the page and the browser.
_CARRIED: Final = (
    "name", "kind", "user_id", "identifiers", "properties", "items", "order", "basket", "favorites", "content",
    "search",
)  # fmt: skip


def buys(order: str) -> list[dict[str, str]]:
    return [{name: order if value == "%s" else value for name, value in one.items()} for one in _BUYS]


def carried(event: dict[str, Any]) -> dict[str, Any]:
    return {name: event[name] for name in _CARRIED if name in event}


def pixels(collector: Collector, facts: list[dict[str, str]], page: str) -> list[dict[str, Any]]:
    """What the collector makes of the requests that Raptor's script would have sent from the page."""
    collector.new()
    for one in facts:
        query = {**one, "coid": "6B29FC40-CA47-1067-B31D-00DD010662DA", "sid": "0F8FAD5B-D9CB-469F-A165-70867728950E"}
        answer = httpx2.get(f"{collector.url}/12345.rsa", params=query, headers={"referer": page}, timeout=30)
        assert answer.headers["content-type"] == "image/gif"
    return collector.new(len(facts))


def by_name(events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    assert len({event["name"] for event in events}) == len(events), [event["name"] for event in events]
    return {event["name"]: event for event in events}


def test_a_page_with_raptors_calls_tells_what_its_pixels_would_have(
    collector: Collector, context: BrowserContext
) -> None:
    url = put(collector, _QUEUE % (_MAIL, _LINE, _CALLS))
    page = context.new_page()
    page.goto(url)
    page.wait_for_timeout(1500)
    assert collector.new() == [], "nothing before consent"
    assert page.evaluate("[document.cookie, localStorage.length]") == ["", 0]
    page.evaluate(_ENABLE)
    ours = collector.new(len(_FACTS) + 2)
    events = by_name([event for event in ours if event["name"] != "consent"])
    assert events.pop("pageview")["page"]["url"] == url, "the automatic one, once"
    theirs = by_name(pixels(collector, _FACTS, url))
    assert {name: carried(event) for name, event in events.items()} == {
        name: carried(event) for name, event in theirs.items()
    }
    assert {event["page"]["url"] for event in (*events.values(), *theirs.values())} == {url}
    assert {event["channel"] for event in (*events.values(), *theirs.values())} == {"web"}
    assert len({event["anonymous_id"] for event in ours}) == 1


def test_a_page_of_thanks_counts_once_however_often_it_is_seen(collector: Collector, context: BrowserContext) -> None:
    order = f"A-{next(_numbers)}"
    calls = "".join(f"raptor.push('trackEvent', {one!r});" for one in buys(order))
    thanks = put(collector, _QUEUE % (_MAIL, _LINE, calls + "setTimeout(() => {" + _ENABLE + "});"))
    elsewhere = put(collector, _LINE)
    page = context.new_page()
    page.goto(thanks)
    bought = [event for event in collector.new(5) if event["name"] == "buy"]
    seen_again(page, thanks, elsewhere)
    again = collector.new(3)
    assert "buy" not in {event["name"] for event in again}, "reloaded and restored"
    assert [event["page"]["url"] for event in again if event["name"] == "pageview"].count(thanks) == 2
    other = f"A-{next(_numbers)}"
    theirs = [event for event in pixels(collector, buys(other), thanks) if event["name"] == "buy"]
    theirs = json.loads(json.dumps(theirs).replace(f'"{other}"', f'"{order}"'))
    by_product = {event["items"][0]["product_id"]: carried(event) for event in theirs}
    assert {event["items"][0]["product_id"]: carried(event) for event in bought} == by_product
    assert len(bought) == 2


def test_a_purchase_by_our_own_call_counts_once_too(collector: Collector, context: BrowserContext) -> None:
    order = f"A-{next(_numbers)}"
    stub = "<script>trackway=window.trackway||function(){(trackway.q=trackway.q||[]).push(arguments)}</script>"
    properties = f"{{order_id: '{order}', items: [{{product_id: 'S-1', price: 9.9, quantity: 2}}]}}"
    call = f"<script>trackway('track', 'buy', {properties})</script>"
    line = OURS.format('data-consent="granted" async')
    thanks, elsewhere = put(collector, stub + call + line), put(collector, line)
    page = context.new_page()
    page.goto(thanks)
    assert [event["name"] for event in collector.new(2)].count("buy") == 1
    seen_again(page, thanks, elsewhere)
    again = collector.new(3)
    assert "buy" not in {event["name"] for event in again}
    assert [event["page"]["url"] for event in again if event["name"] == "pageview"].count(thanks) == 2


def seen_again(page: Page, thanks: str, elsewhere: str) -> None:
    """The page reloaded, and restored by the back button."""
    page.reload()
    page.wait_for_timeout(1500)
    page.evaluate("addEventListener('pageshow', (event) => { window.restored = event.persisted; })")
    page.goto(elsewhere)
    page.wait_for_timeout(1500)
    # Playwright's own way back waits for a load, which a restored page does not have.
    page.evaluate("setTimeout(() => history.back(), 100)")
    until = time.monotonic() + 30
    while not is_restored(page, thanks):
        assert time.monotonic() < until, f"{page.url} was not restored"
        page.wait_for_timeout(100)
    page.wait_for_timeout(1500)


def is_restored(page: Page, url: str) -> bool:
    with contextlib.suppress(PlaywrightError):  # asked of a page that is being left
        return bool(page.evaluate(f"location.href === '{url}' && window.restored === true"))
    return False
