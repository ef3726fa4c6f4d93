"""A visit to the demo shop as somebody makes it in a browser, in each of its forms: used on the shop alone and on whole
installations."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import Page, Request

from tests.tracker.waiting import wait_until

# A browser without a window says so, and so does one that is driven; what machines do makes no sessions. With these two
# it passes for a person's. (A context's own user agent would not do: what leaves with a page has the browser's.)
AGENT: Final = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
NOT_DRIVEN: Final = "Object.defineProperty(Navigator.prototype, 'webdriver', {get: () => false});"

KETTLE = {
    "product_id": "LF-101", "name": "Harbour kettle", "category_path": [["10", "Coffee"], ["11", "Brewing"]],
    "brand": "Larkfield", "price": "64.00", "currency": "EUR",
}  # fmt: skip
LANTERN = {
    "product_id": "LF-202", "name": "Storm lantern", "category_path": [["20", "Light"], ["22", "Lanterns"]],
    "brand": "Nordkamp", "price": "45.00", "currency": "EUR",
}  # fmt: skip
DRIPPER = {
    "product_id": "LF-102", "name": "Pour-over dripper", "category_path": [["10", "Coffee"], ["11", "Brewing"]],
    "brand": "Ostrand", "price": "28.00", "currency": "EUR",
}  # fmt: skip
ITEMS: Final[tuple[dict[str, Any], ...]] = (
    {**KETTLE, "quantity": 2, "subtotal": "128.00"},
    {**LANTERN, "quantity": 1, "subtotal": "45.00"},
)
REVENUE: Final = "173.00"


@dataclass(frozen=True)
class Form:
    """One form of the shop: the path its pages stand below, who visits it, and the canonical events of the visit in the
    order they happen."""

    base: str
    name: str
    email: str
    user_id: str
    events: tuple[str, ...]


# The buy of a page that is loaded or shown again is no second one.
PLAIN: Final = Form(
    "", "Grace Example", "grace@example.com", "44634639",
    (
        "pageview", "consent",           # the front page
        "pageview",                      # coffee
        "pageview", "visit",             # the kettle
        "favorite",                      # for later
        "pageview", "visit",             # the kettle, saved
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
        "itemclick",                     # the product it is about
        "pageview", "visit",
        "reset",                         # signed out
        "pageview",                      # the front page, somebody new
    ),
)  # fmt: skip
SINGLE_PAGE: Final = Form(
    "/spa", "Sam Example", "sam@example.com", "64353571",
    (
        "pageview",                      # the front page; it stays, and with it what waits for consent
        "pageview",                      # light
        "pageview", "visit",             # the pillars
        "pageview", "consent",           # the front page
        "pageview",                      # coffee
        "pageview", "visit",             # the kettle
        "basket", "pageview",            # one of it
        "basket",                        # two of it
        "pageview", "search",            # for a lantern
        "pageview", "visit",             # the lantern
        "basket", "pageview",            # both
        "pageview",                      # who are you?
        "identify", "pageview",          # checkout
        "pageview", "buy",               # thank you
        "pageview",                      # back: there is nothing to check out, so the basket
        "pageview",                      # forward: thank you again
        "pageview", "contentvisit",      # an article
        "itemclick",                     # the product it is about
        "pageview", "visit",
        "reset", "pageview",             # signed out: the front page, somebody new
    ),
)  # fmt: skip
IBEXA: Final = Form(
    "/ibexa", "Ida Example", "ida@example.com", "63567530",
    (
        "pageview", "consent",           # the front page
        "pageview",                      # coffee
        "pageview", "visit",             # the kettle
        "pageview", "basket",            # one of it
        "pageview", "basket",            # two of it
        "pageview",                      # searched for a lantern
        "pageview", "visit",             # the lantern
        "pageview", "basket",            # both
        "pageview",                      # who are you?
        "pageview", "identify", "identify",  # checkout: by e-mail address, then with the customer number
        "pageview", "buy", "buy",        # thank you: a call a line
        "pageview",                      # thank you, reloaded
        "pageview", "contentvisit",      # an article
        "itemclick",                     # the product it is about
        "pageview", "visit",
        "pageview",                      # signed out, which Ibexa tells nobody
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Walk:
    """What was done, and by whom: `visitor` is the anonymous id up to the sign-out, `next_visitor` the one after it."""

    form: Form
    visitor: str
    next_visitor: str
    order_id: str
    items: tuple[dict[str, Any], ...] = ITEMS
    revenue: str = REVENUE  # the order's goods in EUR

    @property
    def events(self) -> tuple[str, ...]:
        return self.form.events

    @property
    def user_id(self) -> str:
        return self.form.user_id

    @property
    def name(self) -> str:
        return self.form.name

    @property
    def email(self) -> str:
        return self.form.email


@dataclass
class _Watch:
    """What a page must not do, noted while it does it."""

    base_url: str
    sent: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def on_request(self, request: Request) -> None:
        if request.method == "POST" and "/tw/" in request.url:
            self.sent.append(request.url)
        if request.is_navigation_request():
            self.loaded.append(request.url)
        if urlsplit(request.url)[:2] != urlsplit(self.base_url)[:2]:
            self.complaints.append(f"external request: {request.url}")


class _Visit:
    """Somebody at a form of the shop."""

    def __init__(self, page: Page, form: Form) -> None:
        self.page = page
        self.form = form

    def click(self, what: str, address: str) -> None:
        """Click and wait until the page at `address` is there, its scripts included."""
        self.page.click(what)
        self.arrive(address)

    def arrive(self, address: str) -> None:
        self.page.wait_for_url(re.compile(rf"://[^/]+{re.escape(self.form.base + address)}$"))

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.page.evaluate("trackway.status()")
        return status


def walk_through(page: Page, base_url: str, form: Form = PLAIN) -> Walk:
    """Click through a form of the shop, from nothing before consent to signing out, until all is delivered.

    `page` belongs to a context of its own, without cookies or storage. AssertionError: something was sent or stored
    before consent, a console error, an external request, a page that was loaded where none should be.
    """
    watch, visit = _Watch(base_url), _Visit(page, form)
    page.on("request", watch.on_request)
    page.on("console", lambda told: watch.complaints.append(told.text) if told.type == "error" else None)
    page.on("pageerror", lambda error: watch.complaints.append(str(error)))

    _look_around_before_consent(visit, base_url, watch)
    page.click("text=Accept")
    wait_until(page, "trackway.status().then(({anonymousId}) => anonymousId)")
    visitor = visit.status["anonymousId"]
    _fill_the_basket(visit)
    order_id = _buy(visit)
    visit.click("nav >> text=Journal", "/article/501")
    visit.click("main >> text=Pour-over dripper", "/product/LF-102")
    visit.click("text=Sign out", "/")
    _until_delivered(page)
    assert watch.complaints == []
    if form is SINGLE_PAGE:
        assert len(watch.loaded) == 1
    return Walk(form, visitor, visit.status["anonymousId"], order_id)


def _look_around_before_consent(visit: _Visit, base_url: str, watch: _Watch) -> None:
    page = visit.page
    page.goto(f"{base_url}{visit.form.base}/")
    visit.click("nav >> text=Light", "/category/light")
    visit.click("text=Beeswax pillars", "/product/LF-203")
    visit.click("text=Larkfield", "/")
    page.wait_for_selector("#state >> text=not asked yet")
    # Each of the pages was left, which is when whatever waits goes out.
    assert watch.sent == []
    assert page.evaluate("Object.keys(localStorage).length + Object.keys(sessionStorage).length") == 0
    assert page.context.cookies() == []


def _fill_the_basket(visit: _Visit) -> None:
    page = visit.page
    visit.click("nav >> text=Coffee", "/category/coffee")
    visit.click("text=Harbour kettle", "/product/LF-101")
    if visit.form is PLAIN:
        page.click("text=Save for later")
        page.wait_for_selector("text=All you saved")
    visit.click("text=Add to basket", "/basket")
    page.select_option("select[name=quantity]", "2")
    page.click("text=Update")
    page.wait_for_selector("main .total >> text=128.00")
    page.fill("#q", "lantern")
    visit.click("header >> role=button[name='Search']", "/search?q=lantern")
    visit.click("text=Storm lantern", "/product/LF-202")
    visit.click("text=Add to basket", "/basket")


def _buy(visit: _Visit) -> str:
    page = visit.page
    visit.click("text=Checkout", "/login?then=checkout")
    write(page, "#name", visit.form.name)
    write(page, "#email", visit.form.email)
    visit.click("main >> role=button[name='Sign in']", "/checkout")
    visit.click("role=button[name=/^Buy for/]", "/thanks")
    order_id = page.inner_text("#order")
    # The page tells of it again when it is shown again; whichever came first would count.
    wait_until(page, "trackway.status().then(({queued}) => !queued)")
    if visit.form is SINGLE_PAGE:
        page.go_back()
        # Addresses that change faster than a view settles make none.
        wait_until(page, "trackway.status().then(({view}) => view.url.endsWith('/spa/basket'))")
        page.go_forward()
        wait_until(page, "trackway.status().then(({view}) => view.url.endsWith('/spa/thanks'))")
    else:
        page.reload()
    return order_id


def write(page: Page, field: str, text: str) -> None:
    """In place of what stands in the field, to which `Page.fill` adds where Firefox's field is one for e-mail."""
    page.focus(field)
    page.keyboard.press("Control+A")
    page.keyboard.type(text)


def _until_delivered(page: Page) -> None:
    """Until the collector has answered for everything, also for what earlier pages left behind."""
    wait_until(page, "Object.keys(localStorage).every((key) => !key.startsWith('tw.q.'))")
