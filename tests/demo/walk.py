"""A visit to the demo shop as somebody makes it in a browser: used on the shop alone and on whole installations."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Page, Request

from tests.tracker.waiting import wait_until

NAME, EMAIL, USER_ID = "Grace Example", "grace@example.com", "44634639"

# Canonical events in the order they happen; the buy of the reloaded page is no second one.
EVENTS = (
    "pageview", "consent",           # the front page
    "pageview",                      # coffee
    "pageview", "visit",             # the kettle
    "pageview", "basket",            # one of it
    "pageview", "basket",            # two of it
    "pageview", "search",            # for a lantern
    "pageview", "visit",             # the lantern
    "pageview", "basket",            # both
    "pageview",                      # who are you?
    "pageview", "identify",          # checkout
    "pageview", "buy",               # thank you
    "pageview",                      # thank you, reloaded
    "pageview", "contentvisit",      # an article
    "reset",                         # signed out
    "pageview",                      # the front page, somebody new
)  # fmt: skip

KETTLE = {
    "product_id": "LF-101", "name": "Harbour kettle", "category_path": [["10", "Coffee"], ["11", "Brewing"]],
    "brand": "Larkfield", "price": "64.00", "currency": "EUR",
}  # fmt: skip
LANTERN = {
    "product_id": "LF-202", "name": "Storm lantern", "category_path": [["20", "Light"], ["22", "Lanterns"]],
    "brand": "Nordkamp", "price": "45.00", "currency": "EUR",
}  # fmt: skip


@dataclass(frozen=True)
class Walk:
    """What was done: the events it must have made, in order, and who made them.

    `visitor` is the anonymous id up to the reset, `next_visitor` the one after it; `items` are those of the order as
    events carry them, `revenue` its goods in EUR.
    """

    visitor: str
    next_visitor: str
    order_id: str
    events: tuple[str, ...] = EVENTS
    user_id: str = USER_ID
    name: str = NAME
    email: str = EMAIL
    items: tuple[dict[str, Any], ...] = (
        {**KETTLE, "quantity": 2, "subtotal": "128.00"},
        {**LANTERN, "quantity": 1, "subtotal": "45.00"},
    )
    revenue: str = "173.00"


@dataclass
class _Watch:
    """What a page must not do, noted while it does it."""

    base_url: str
    sent: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def on_request(self, request: Request) -> None:
        if request.method == "POST" and "/tw/" in request.url:
            self.sent.append(request.url)
        if urlsplit(request.url)[:2] != urlsplit(self.base_url)[:2]:
            self.complaints.append(f"external request: {request.url}")


def walk_through(page: Page, base_url: str) -> Walk:
    """Click through the shop at `base_url`, from nothing before consent to signing out, until all is delivered.

    `page` belongs to a context of its own, without cookies or storage. AssertionError: something was sent or stored
    before consent, a console error, an external request.
    """
    watch = _Watch(base_url)
    page.on("request", watch.on_request)
    page.on("console", lambda told: watch.complaints.append(told.text) if told.type == "error" else None)
    page.on("pageerror", lambda error: watch.complaints.append(str(error)))

    _look_around_before_consent(page, base_url, watch)
    page.click("text=Accept")
    visitor = _status(page)["anonymousId"]
    _fill_the_basket(page)
    order_id = _buy(page)
    _click(page, "nav >> text=Journal", "/article/501")
    _click(page, "text=Sign out", "/")
    _until_delivered(page)
    assert watch.complaints == []
    return Walk(visitor=visitor, next_visitor=_status(page)["anonymousId"], order_id=order_id)


def _look_around_before_consent(page: Page, base_url: str, watch: _Watch) -> None:
    page.goto(base_url + "/")
    _click(page, "nav >> text=Light", "/category/light")
    _click(page, "text=Beeswax pillars", "/product/LF-203")
    _click(page, "text=Larkfield", "/")
    page.wait_for_selector("#state >> text=not asked yet")
    # Each of the pages was left, which is when whatever waits goes out.
    assert watch.sent == []
    assert page.evaluate("Object.keys(localStorage).length + Object.keys(sessionStorage).length") == 0
    assert page.context.cookies() == []


def _fill_the_basket(page: Page) -> None:
    _click(page, "nav >> text=Coffee", "/category/coffee")
    _click(page, "text=Harbour kettle", "/product/LF-101")
    _click(page, "text=Add to basket", "/basket")
    page.select_option("select[name=quantity]", "2")
    with page.expect_navigation():
        page.click("text=Update")
    page.fill("#q", "lantern")
    _click(page, "header >> role=button[name='Search']", "/search?q=lantern")
    _click(page, "text=Storm lantern", "/product/LF-202")
    _click(page, "text=Add to basket", "/basket")


def _buy(page: Page) -> str:
    _click(page, "text=Checkout", "/login?then=checkout")
    page.fill("#name", NAME)
    page.fill("#email", EMAIL)
    _click(page, "main >> role=button[name='Sign in']", "/checkout")
    _click(page, "role=button[name=/^Buy for/]", "/thanks")
    order_id = page.inner_text("#order")
    # The page tells of it again when it is loaded again; whichever came first would count.
    wait_until(page, "trackway.status().then(({queued}) => !queued)")
    page.reload()
    return order_id


def _click(page: Page, what: str, address: str) -> None:
    """Click and wait until the page at `address` has loaded, its scripts included."""
    page.click(what)
    page.wait_for_url(re.compile(rf"://[^/]+{re.escape(address)}$"))


def _status(page: Page) -> dict[str, Any]:
    status: dict[str, Any] = page.evaluate("trackway.status()")
    return status


def _until_delivered(page: Page) -> None:
    """Until the collector has answered for everything, also for what earlier pages left behind."""
    wait_until(page, "Object.keys(localStorage).every((key) => !key.startsWith('tw.q.'))")
