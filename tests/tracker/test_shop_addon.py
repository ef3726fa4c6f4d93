"""The add-on `shop`: what a page tells Google of its products becomes our events, and Google's tags notice nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.tracker.conftest import GRANTED, Note, Open
from tests.tracker.layers import GTAG, TAG_MANAGER, config_for, line, shown, table
from tests.tracker.recorder import Recorder
from tests.tracker.waiting import wait_until
from tests.trackway.processes import collecting, stored

pytestmark = [pytest.mark.browser, pytest.mark.browsers]
quick = pytest.mark.usefixtures("quick")

ITEM = {"item_id": "T-1", "item_name": "Tent 🏕", "price": 199.9, "quantity": 1}
PUSH = "([event, ecommerce]) => { dataLayer.push({event, ecommerce}) }"
SHOP = ("visit", "basket", "buy", "return", "favorite", "search", "itemclick", "searchclick")


@pytest.fixture
def shop(open_page: Open, recorder: Recorder) -> Open:
    """`shop(path, head)` opens a page with the add-on, and consent, after what stands in `head`."""
    recorder.addons = "shop"

    def shop(path: str = "/", head: str = GTAG) -> Page:
        recorder.head = f"<script>{head}</script>"
        return open_page(path, recorder.attributes or GRANTED)

    return shop


def told(recorder: Recorder) -> list[tuple[str, dict[str, Any]]]:
    return [(event["event"], event["properties"]) for event in recorder.events if event.get("event") in SHOP]


@quick
def test_the_history_and_what_is_pushed_later_each_once(shop: Open, recorder: Recorder) -> None:
    page = shop(head=f"{GTAG} dataLayer.push({{event: 'view_item', ecommerce: {{items: [{{item_id: 'T-1'}}]}}}})")
    recorder.wait(lambda: told(recorder))
    page.evaluate("""() => { document.body.onclick = () => {
      dataLayer.push({event: 'add_to_cart', ecommerce: {items: [{item_id: 'T-1', price: 9.5}]}});
      gtag('event', 'view_cart', {items: [{item_id: 'T-1'}]});
    }}""")
    page.click("h1")
    recorder.wait(lambda: len(told(recorder)) == 3)
    page.click("body", position={"x": 1, "y": 1})
    recorder.wait(lambda: len(told(recorder)) == 5)

    basket = ("basket", {"change": "add", "items": [{"item_id": "T-1", "price": 9.5}]})
    whole = ("basket", {"change": "whole", "items": [{"item_id": "T-1"}]})
    assert told(recorder) == [("visit", {"items": [{"item_id": "T-1"}]}), basket, whole, basket, whole]
    assert recorder.names[0] == "page"


@pytest.mark.parametrize("way", ["Tag Manager", "gtag"])
@quick
def test_every_name_of_the_page_is_what_the_page_says(way: str, shop: Open, recorder: Recorder) -> None:
    push = PUSH if way == "Tag Manager" else "([event, told]) => gtag('event', event, told)"
    page = shop()
    wanted: list[tuple[str, str | None]] = []
    for names, event in table("shop.md"):
        changes: list[str | None] = [part for part in event.split("`") if part in ("add", "remove", "whole")]
        for name, change in zip(names.replace("`", "").split(", "), changes or [None] * 3, strict=False):
            page.evaluate(push, [name, {"items": [ITEM], "search_term": "tent", "transaction_id": 7}])
            wanted.append((event.split("`")[1], change))
    page.evaluate(push, ["select_item", {"item_list_name": "Search results", "items": [ITEM]}])
    page.evaluate(push, ["select_item", {"items": [{**ITEM, "item_list_id": "site_search"}]}])
    page.evaluate(push, ["begin_checkout", {"items": [ITEM]}])
    page.evaluate(push, ["constructor", {"items": [ITEM]}])
    page.click("h1")
    wanted += [("searchclick", None)] * 2
    recorder.wait(lambda: len(told(recorder)) >= len(wanted))

    assert [(name, properties.get("change")) for name, properties in told(recorder)] == wanted
    assert all(properties["items"][0]["item_name"] == "Tent 🏕" for _, properties in told(recorder))
    assert {properties.get("order_id") for name, properties in told(recorder) if name in ("buy", "return")} == {7}


@quick
def test_tag_manager_and_the_array_are_as_they_would_be_without_us(shop: Open, recorder: Recorder) -> None:
    """The same page with the add-on and without: the same array, entries and `push`, and Tag Manager hears the same."""
    script = """
      window.first = dataLayer;
      const items = [{item_id: 'T-1'}];
      dataLayer.push({event: 'view_item', ecommerce: {items}});
      %s
      gtag('event', 'purchase', {transaction_id: 'A-1', items});
      gtag('consent', 'default', {analytics_storage: 'denied'});
    """
    look = """() => ({
      same: dataLayer === first, own: dataLayer.push === window.managed, heard,
      keys: Object.getOwnPropertyNames(dataLayer).filter((name) => isNaN(name)),
      plain: Object.getPrototypeOf(dataLayer) === Array.prototype && /native code/.test(Array.prototype.push),
      kinds: dataLayer.map((one) => Object.prototype.toString.call(one)),
      entries: JSON.stringify(dataLayer).replace(/"gtm.start":\\d+/, ''),
    })"""
    found = []
    # Tag Manager loads after the first pushes, and the tracker before or after it.
    for addons in ("shop,cmp", ""):
        recorder.addons = addons
        page = shop(head=GTAG + script % TAG_MANAGER)
        page.evaluate(PUSH, ["add_to_cart", {"items": [ITEM]}])
        page.click("h1")
        page.wait_for_timeout(400)
        found.append(page.evaluate(look))
        page.close()
    assert found[0] == found[1]
    assert [found[0][name] for name in ("same", "own", "plain")] == [True] * 3
    assert found[0]["heard"] == ["purchase", "default", "add_to_cart"]
    assert [name for name, _ in told(recorder)] == ["visit", "buy", "basket"]


@quick
def test_what_tag_manager_drops_and_what_a_page_begins_anew(shop: Open, recorder: Recorder) -> None:
    page = shop(head=GTAG + TAG_MANAGER)
    # The array is full, and each push moves all entries.
    page.evaluate("for (let at = 0; at < 400; at++) dataLayer.push({event: 'scroll ' + at})")
    for at in range(3):
        page.evaluate(PUSH, ["view_item", {"items": [{"item_id": f"full-{at}"}]}])
        page.evaluate("dataLayer.push({event: 'scroll'}, {event: 'scroll'})")
        page.click("h1")
        recorder.wait(lambda at=at: len(told(recorder)) == at + 1)  # type: ignore[misc]
    page.evaluate("""() => {
      const one = {event: 'view_item', ecommerce: {items: [{item_id: 'twice'}]}};
      window.dataLayer = [one, one];
    }""")
    page.click("h1")
    recorder.wait(lambda: len(told(recorder)) == 5)
    page.evaluate("dataLayer.push(dataLayer[0])")
    page.click("h1")
    recorder.wait(lambda: len(told(recorder)) == 6)
    page.evaluate("dataLayer = dataLayer.slice(1)")
    page.evaluate(PUSH, ["view_item", {"items": [{"item_id": "copied"}]}])
    page.click("h1")
    recorder.wait(lambda: len(told(recorder)) >= 7)

    seen = [properties["items"][0]["item_id"] for _, properties in told(recorder)]
    assert seen == ["full-0", "full-1", "full-2", "twice", "twice", "twice", "copied"]


@quick
def test_an_event_without_its_products_has_those_pushed_last(shop: Open, recorder: Recorder) -> None:
    page = shop()
    page.evaluate("""() => {
      dataLayer.push({ecommerce: {currency: 'EUR', items: [{item_id: 'T-1'}]}});
      dataLayer.push({event: 'view_item'});
      dataLayer.push({event: 'search', search_term: 'tent'});
      dataLayer.push({event: 'view_item', items: [{item_id: 'T-2'}]});
      dataLayer.push({ecommerce: null});
      dataLayer.push({event: 'view_cart'});
      gtag('event', 'view_cart');
    }""")
    page.click("h1")
    recorder.wait(lambda: len(told(recorder)) >= 5)
    assert told(recorder) == [
        ("visit", {"currency": "EUR", "items": [{"item_id": "T-1"}]}),
        ("search", {"search_term": "tent"}),
        ("visit", {"items": [{"item_id": "T-2"}]}),
        ("basket", {"change": "whole"}),
        ("basket", {"change": "whole"}),
    ]


@quick
def test_what_the_layer_knows_of_the_person_stays_there(shop: Open, recorder: Recorder) -> None:
    page = shop()
    page.evaluate("""() => {
      const person = {user_id: 'secret-1', user_data: {email: 'secret-2@example.org'}, email: 'secret-3@example.org'};
      dataLayer.push({event: 'purchase', ...person, ecommerce: {...person, transaction_id: 'A-1'}});
      gtag('event', 'refund', {...person, transaction_id: 'A-1'});
      gtag('set', 'user_data', person.user_data);
    }""")
    page.click("h1")
    recorder.wait(lambda: len(told(recorder)) >= 2)
    assert [(name, sorted(properties)) for name, properties in told(recorder)] == [
        ("buy", ["order_id"]),
        ("return", ["order_id"]),
    ]
    assert not any(b"secret" in body for body in recorder.raw)


@pytest.mark.parametrize(
    "before",
    ["", "window.dataLayer = {push() {}, length: 3}", "window.dataLayer = null", "window.dataLayer = 'text'"],
)
@quick
def test_whatever_stands_in_the_layer_nothing_is_thrown(before: str, shop: Open, recorder: Recorder) -> None:
    page = shop(head=before)
    page.evaluate("""() => {
      window.dataLayer = [];
      const nasty = {get event() { throw new Error('ours?') }};
      dataLayer.push(undefined, null, 0, 'event', Symbol('x'), 7n, function () {}, nasty, [], ['event']);
      dataLayer.push([[]], {event: {}});
      dataLayer.push({event: 'view_item', ecommerce: 'x'}, {event: 'view_cart', ecommerce: {items: 'no list'}});
      dataLayer.push({event: 'select_item', ecommerce: {items: [null]}}, Object.create(null));
      dataLayer.push({event: 'view_item', ecommerce: {items: [{item_id: 'last', get price() { throw nasty }}]}});
    }""")
    page.click("h1")
    recorder.wait(lambda: "last" in str(told(recorder)))
    assert [name for name, _ in told(recorder)] == ["visit", "basket", "itemclick", "visit"]


# What comes before a push, what after it, and how late it may be seen, in ms; None: when the page is left.
ANSWER = "(await fetch('/basket')).json()"
WAYS: dict[str, tuple[str, str, int | None]] = {
    "a click": ("", "", 500),
    "a click and 100 ms": ("await after(100)", "", 500),
    "an answer": (f"await after(1000); await {ANSWER}", "", 500),
    "an answer and 100 ms": (f"await after(1000); await {ANSWER}; await after(100)", "", 500),
    # As Google's tag does, which batches its hits.
    "a timer, before Google's hit": ("await after(1000)", "await after(500); navigator.sendBeacon('/g/collect')", 1500),
    "a timer alone": ("await after(1000)", "", None),
}


@pytest.mark.browsers
@pytest.mark.parametrize("way", WAYS)
def test_how_late_a_push_is_seen(way: str, shop: Open, recorder: Recorder, note: Note) -> None:
    before, afterwards, limit = WAYS[way]
    recorder.pages["/basket"] = "{}"
    page = shop()
    page.evaluate(f"""() => {{
      window.late = [];
      const after = (ms) => new Promise((done) => setTimeout(done, ms));
      trackway.on('event', ({{event}}) => event === 'visit' && late.push(Math.round(performance.now() - pushed)));
      document.body.onclick = async () => {{
        {before};
        window.pushed = performance.now();
        dataLayer.push({{event: 'view_item', ecommerce: {{items: [{{item_id: 'T-1'}}]}}}});
        {afterwards};
      }};
    }}""")
    times = 3 if limit else 1
    for at in range(1, times + 1):
        page.wait_for_timeout(1500)
        page.click("h1")
        if limit:
            wait_until(page, f"late.length === {at}", 5)
        else:
            page.wait_for_timeout(2500)
            assert page.evaluate("late") == []
    if limit:
        late = page.evaluate("late")
        note(f"after {way} a push is seen {late} ms later")
        assert max(late) < limit
    page.evaluate("dataLayer.push({event: 'purchase', ecommerce: {transaction_id: 'A-1'}}); location = '/thanks'")
    recorder.wait(lambda: "buy" in recorder.names)
    assert [name for name, _ in told(recorder)] == ["visit"] * times + ["buy"]


@pytest.mark.parametrize("has_navigation", [True, False])
@quick
def test_a_push_in_the_task_that_leaves_the_page_is_seen(
    has_navigation: bool, context: BrowserContext, shop: Open, recorder: Recorder
) -> None:
    if not has_navigation:
        context.add_init_script("Object.defineProperty(window, 'navigation', {value: undefined})")
    page = shop()
    page.wait_for_timeout(1000)
    page.evaluate("""() => {
      location = '/thanks';
      dataLayer.push({event: 'purchase', ecommerce: {transaction_id: 'A-1', items: [{item_id: 'T-1'}]}});
    }""")
    recorder.wait(lambda: "buy" in recorder.names)
    assert recorder.named("buy")[0]["properties"]["order_id"] == "A-1"


def test_an_idle_page_has_no_timer(context: BrowserContext, shop: Open, recorder: Recorder) -> None:
    context.add_init_script("""
      window.timers = 0;
      for (const name of ['setTimeout', 'setInterval', 'requestIdleCallback', 'requestAnimationFrame']) {
        const original = window[name];
        window[name] = (...values) => { timers++; return original.apply(window, values) };
      }
    """)
    page = shop()
    page.wait_for_timeout(1500)
    before = page.evaluate("timers")
    page.wait_for_timeout(3000)
    assert page.evaluate("timers") == before


@quick
def test_a_push_belongs_to_the_view_it_was_pushed_in(shop: Open, recorder: Recorder) -> None:
    page = shop()
    page.evaluate("""() => { document.body.onclick = () => {
      dataLayer.push({event: 'select_item', ecommerce: {items: [{item_id: 'T-1'}]}});
      history.pushState({}, '', '/product');
      dataLayer.push({event: 'view_item', ecommerce: {items: [{item_id: 'T-1'}]}});
    }}""")
    page.click("h1")
    recorder.wait(lambda: len(told(recorder)) == 2)
    views = [event["context"]["page"]["view_id"] for event in recorder.named("page")]
    click, visit = recorder.named("itemclick")[0], recorder.named("visit")[0]
    assert [one["context"]["page"]["view_id"] for one in (click, visit)] == views
    addresses = [one["context"]["page"]["url"] for one in (click, visit)]
    assert addresses == [recorder.url + "/", recorder.url + "/product"]


@quick
def test_another_array_and_a_tag_that_stands_twice(shop: Open, recorder: Recorder) -> None:
    recorder.attributes = f'{GRANTED} data-shop="shopLayer"'
    recorder.body = f"<h1>Page</h1>{recorder.tag()}"
    page = shop(head="window.dataLayer = []; window.shopLayer = []")
    page.evaluate(PUSH, ["view_item", {"items": [ITEM]}])
    page.evaluate("shopLayer.push({event: 'view_item', ecommerce: {items: [{item_id: 'ours'}]}})")
    page.click("h1")
    recorder.wait(lambda: told(recorder))
    page.wait_for_timeout(500)
    assert told(recorder) == [("visit", {"items": [{"item_id": "ours"}]})]


@quick
def test_before_consent_the_purchase_waits(shop: Open, recorder: Recorder) -> None:
    recorder.attributes = 'data-consent="required"'
    page = shop(head=f"{GTAG} gtag('event', 'purchase', {{transaction_id: 'A-1', items: [{{item_id: 'T-1'}}]}})")
    page.click("h1")
    page.wait_for_timeout(500)
    assert recorder.tries == []
    page.evaluate("trackway.consent('granted')")
    recorder.wait(lambda: told(recorder))
    assert told(recorder) == [("buy", {"order_id": "A-1", "items": [{"item_id": "T-1"}]})]


def test_what_the_docs_show_is_one_buy_with_three_items_in_a_collector(
    tmp_path: Path, context: BrowserContext, recorder: Recorder
) -> None:
    config = config_for(recorder.url, tmp_path)
    purchase, added = shown("shop.md")
    with collecting(config) as url:
        # From a collector, as the docs have it, but on another host than the page.
        tag = line("shop.md").replace('"/tw/', f'"{url}/tw/').replace("data-key", f"{GRANTED} data-key")
        recorder.pages["/thanks"] = (
            f"<!doctype html><title>Thanks</title><script>{GTAG}{purchase}</script>{tag}<h1>Thanks</h1>"
        )
        page = context.new_page()
        for _ in range(2):  # a reloaded page
            page.goto(recorder.url + "/thanks")
            page.wait_for_function("window.trackway && trackway.version")
            page.evaluate("trackway.on('event', ({event}) => event === 'basket' && (window.seen = true))")
            page.evaluate(added)
            page.click("h1")
            wait_until(page, "!!window.seen && trackway.status().then(({queued}) => !queued)")
        found = stored(config)

    names = sorted(event["name"] for event in found)
    assert names == ["basket", "basket", "buy", "pageview", "pageview"]
    (buy,) = [event for event in found if event["name"] == "buy"]
    assert buy["order"] == {
        "order_id": "A-1001", "value": "259.7", "currency": "EUR", "tax": "41.46", "shipping": "4.9",
        "coupon": "SUMMER",
    }  # fmt: skip
    assert buy["items"] == [
        {"product_id": "T-1", "name": "Tent", "brand": "Nordisk", "category_path": [["Camping", "Camping"]],
         "price": "199.9", "quantity": 1, "currency": "EUR"},
        {"product_id": "S-7", "name": "Stove", "price": "49.9", "quantity": 1, "currency": "EUR"},
        {"product_id": "C-3", "name": "Cup", "price": "4.95", "quantity": 2, "currency": "EUR"},
    ]  # fmt: skip
    basket = next(event for event in found if event["name"] == "basket")
    assert (basket["basket"], basket["items"][0]["product_id"]) == ({"change": "add"}, "S-7")
    assert buy["protocol"] == "trackway"
