"""The click-through in a real browser: its events, exactly, in a real collector's log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.demo.serving import demo_site
from tests.demo.walk import DRIPPER, IBEXA, KETTLE, LANTERN, PLAIN, SINGLE_PAGE, Form, Walk, walk_through
from tests.trackway.processes import stored

FRONT = "Good things for home and the road"

pytestmark = pytest.mark.browser


def test_a_visit_to_the_plain_pages_becomes_exactly_its_events(browser: Browser, tmp_path: Path) -> None:
    walk, events = walked(browser, tmp_path, PLAIN)
    assert seen_in(events) == [KETTLE, KETTLE, LANTERN, DRIPPER]
    check_goods(events, walk)
    check_identity(events, walk)
    (saved,) = named(events, "favorite")
    wished = {name: value for name, value in KETTLE.items() if name not in ("category_path", "brand")}
    assert (saved["items"], saved["favorites"]) == ([wished], {"change": "add"})


@pytest.mark.browsers
def test_a_visit_to_the_single_page_becomes_exactly_its_events(browser: Browser, tmp_path: Path) -> None:
    walk, events = walked(browser, tmp_path, SINGLE_PAGE)
    assert seen_in(events)[1:] == [KETTLE, LANTERN, DRIPPER]
    check_goods(events, walk)
    check_identity(events, walk)
    # One load of the page: each view names the one before, and nothing is missing between them.
    pages = [event["page"] for event in named(events, "pageview")]
    assert [page.get("referrer") for page in pages[1:]] == [page["url"] for page in pages[:-1]]
    assert len({page["view_id"] for page in pages}) == len(pages)
    assert [page["title"].partition(" ·")[0] for page in pages[-2:]] == ["Pour-over dripper", FRONT]
    # All but the second telling of the order.
    numbers = {event["client"]["seq"] for event in events}
    assert len(set(range(1, max(numbers) + 1)) - numbers) == 1


@pytest.mark.browsers
def test_a_visit_to_the_ibexa_pages_becomes_exactly_its_events(browser: Browser, tmp_path: Path) -> None:
    walk, events = walked(browser, tmp_path, IBEXA)
    assert seen_in(events) == [KETTLE, LANTERN, DRIPPER]
    assert {event["anonymous_id"] for event in events} == {walk.visitor}
    mailed, both = named(events, "identify")
    assert (mailed["identifiers"], mailed.get("user_id")) == ({"email": walk.email}, None)
    assert (both["identifiers"], both["user_id"]) == ({"email": walk.email}, walk.user_id)

    baskets = named(events, "basket")
    assert [[(one["product_id"], one["quantity"]) for one in event["items"]] for event in baskets] == [
        [("LF-101", 1)],
        [("LF-101", 2)],
        [("LF-101", 2), ("LF-202", 1)],
    ]
    assert {event["basket"]["change"] for event in baskets} == {"whole"}
    lines = named(events, "buy")
    assert [event["items"] for event in lines] == [[item] for item in walk.items]
    assert {event["order"]["order_id"] for event in lines} == {walk.order_id}
    assert {event["user_id"] for event in lines} == {walk.user_id}
    (click,) = named(events, "itemclick")
    assert (click["items"], click["properties"]["module_name"]) == ([{"product_id": "LF-102"}], "in-this-story")


def walked(browser: Browser, folder: Path, form: Form) -> tuple[Walk, list[dict[str, Any]]]:
    """The walk, and its events as they stand in the log."""
    with demo_site(folder) as (url, config):
        context = browser.new_context()
        walk = walk_through(context.new_page(), url, form)
        context.close()
    events = sorted(stored(config), key=lambda event: (event["occurred_at"], event["client"]["seq"]))
    assert tuple(event["name"] for event in events) == walk.events
    return walk, events


def named(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [event for event in events if event["name"] == name]


def seen_in(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The products that were looked at, all of them in stock."""
    items = [item for event in named(events, "visit") for item in event["items"]]
    assert all(item.pop("in_stock") for item in items)
    return items


def check_goods(events: list[dict[str, Any]], walk: Walk) -> None:
    """Basket, order, search, content and the click on a recommendation say what was clicked."""
    kettle, lantern = walk.items
    baskets = named(events, "basket")
    assert [event["items"] for event in baskets] == [
        [{**kettle, "quantity": 1, "subtotal": "64.00"}],
        [kettle],
        [kettle, lantern],
    ]
    assert {event["basket"]["change"] for event in baskets} == {"whole"}
    assert len({event["basket"]["basket_id"] for event in baskets}) == 1

    (buy,) = named(events, "buy")
    assert buy["items"] == list(walk.items)
    assert buy["order"] == {
        "order_id": walk.order_id,
        "subtotal": walk.revenue,
        "total": walk.revenue,
        "shipping": "0.00",
        "currency": "EUR",
    }
    assert [event["search"] for event in named(events, "search")] == [{"query": "lantern", "results": 1}]
    section = [["40", "Journal"], ["41", "Coffee"]]
    content = {"content_id": "501", "name": "Four minutes of patience", "category_path": section}
    assert [event["content"] for event in named(events, "contentvisit")] == [content]
    (click,) = named(events, "itemclick")
    assert (click["items"], click["properties"]["module_name"]) == ([{"product_id": "LF-102"}], "in-this-story")


def check_identity(events: list[dict[str, Any]], walk: Walk) -> None:
    """One visitor until the reset, known from the sign-in on; then another, unknown one."""
    assert {event["anonymous_id"] for event in events[:-1]} == {walk.visitor}
    assert events[-1]["anonymous_id"] == walk.next_visitor != walk.visitor
    (identify,) = named(events, "identify")
    assert (identify["user_id"], identify["identifiers"]) == (walk.user_id, {"email": walk.email})
    assert identify["traits"] == {"email": walk.email, "name": walk.name}
    known = events.index(identify)
    assert {event.get("user_id") for event in events[:known]} == {None}
    assert {event.get("user_id") for event in events[known:-1]} == {walk.user_id}
    assert "user_id" not in events[-1]
    assert all(event["consent"]["analytics"] for event in events)
