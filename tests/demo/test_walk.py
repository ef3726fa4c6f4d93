"""The click-through in a real browser: its events, exactly, in a real collector's log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.demo.serving import demo_site
from tests.demo.walk import IBEXA, KETTLE, LANTERN, PLAIN, SINGLE_PAGE, Form, Walk, walk_through
from tests.trackway.processes import stored

pytestmark = pytest.mark.browser


def test_a_visit_to_the_plain_pages_becomes_exactly_its_events(browser: Browser, tmp_path: Path) -> None:
    walk, events = walked(browser, tmp_path, PLAIN)
    check_goods(events, walk)
    check_identity(events, walk)
    (saved,) = named(events, "favorite")
    assert (saved["items"], saved["favorites"]) == ([KETTLE | {"category_path": None}], {"change": "add"})


@pytest.mark.browsers
def test_a_visit_to_the_single_page_becomes_exactly_its_events(browser: Browser, tmp_path: Path) -> None:
    walk, events = walked(browser, tmp_path, SINGLE_PAGE)
    check_goods(events, walk, before=1)
    check_identity(events, walk)


@pytest.mark.browsers
def test_a_visit_to_the_ibexa_pages_becomes_exactly_its_events(browser: Browser, tmp_path: Path) -> None:
    walk, events = walked(browser, tmp_path, IBEXA)
    print(events, walk)


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


def check_goods(events: list[dict[str, Any]], walk: Walk, before: int = 0) -> None:
    """Items, basket, order, search and content say what was clicked; `before` visits came before consent."""
    seen = [event["items"] for event in named(events, "visit")][before:]
    assert [one for (one,) in seen if one["product_id"] == "LF-101"][-1] == {**KETTLE, "in_stock": True}
    assert seen[-1] == [{**LANTERN, "in_stock": True}]

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
