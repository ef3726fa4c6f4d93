"""The click-through in a real browser: its events, exactly, in a real collector's log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from tests.demo.serving import demo_site
from tests.demo.walk import KETTLE, LANTERN, Walk, walk_through
from tests.trackway.processes import stored

pytestmark = pytest.mark.browser


def test_a_visit_becomes_exactly_its_events(chromium: str, tmp_path: Path) -> None:
    with demo_site(tmp_path) as (url, config), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        walk = walk_through(browser.new_page(), url)
        browser.close()
    events = sorted(stored(config), key=lambda event: (event["occurred_at"], event["client"]["seq"]))
    assert tuple(event["name"] for event in events) == walk.events
    check_goods(events, walk)
    check_identity(events, walk)


def named(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [event for event in events if event["name"] == name]


def check_goods(events: list[dict[str, Any]], walk: Walk) -> None:
    """Items, basket, order, search and content say what was clicked."""
    seen = [event["items"] for event in named(events, "visit")]
    assert seen == [[{**KETTLE, "in_stock": True}], [{**LANTERN, "in_stock": True}]]

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
