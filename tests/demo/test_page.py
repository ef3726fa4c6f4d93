"""The demo shop's script and looks in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route

from tests.contrast import pale
from tests.demo.walk import write

pytestmark = pytest.mark.browser

PAGES = (
    "/", "/category/light", "/product/LF-101", "/product/LF-204", "/search?q=steel", "/article/501", "/basket",
    "/checkout", "/thanks", "/nowhere", "/saved", "/addons",
    "/spa/", "/spa/category/light", "/spa/product/LF-101", "/spa/product/LF-204", "/spa/search?q=steel",
    "/spa/article/501", "/spa/basket", "/spa/checkout", "/spa/thanks", "/spa/nowhere",
    "/ibexa/product/LF-101", "/ibexa/thanks",
)  # fmt: skip


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    context = browser.new_context(base_url=site)
    yield context.new_page()
    context.close()


# Over BiDi a request does not tell its body.
SENDING = """
  const [ask, beacon] = [window.fetch, Navigator.prototype.sendBeacon];
  window.fetch = (url, options) => { if (options?.body) sending(String(options.body)); return ask(url, options); };
  Navigator.prototype.sendBeacon = function (url, body) { sending(String(body)); return beacon.call(this, url, body); };
"""


def posts(page: Page) -> list[str]:
    """The events sent from now on, as bodies of requests."""
    sent: list[str] = []

    def sending(body: str) -> None:  # no method of a list: the function is to be marked
        sent.append(body)

    page.expose_function("sending", sending)
    page.add_init_script(SENDING)
    return sent


def test_who_declines_is_not_asked_again_and_nothing_is_sent_until_the_choice_is_changed(page: Page) -> None:
    sent = posts(page)
    page.goto("/product/LF-101")
    page.click("text=Decline")
    page.wait_for_selector("#state >> text=declined")
    page.goto("/product/LF-104")
    page.wait_for_selector("#state >> text=not asked yet")
    assert page.is_hidden("#consent")
    page.goto("/")
    assert sent == []
    assert page.evaluate("Object.keys(localStorage)") == []

    page.click("text=Privacy choices")
    page.click("text=Accept")
    page.wait_for_selector("#state >> text=delivered")
    assert '"event":"consent"' in "".join(sent)


def test_who_signed_in_before_consenting_is_told_with_the_consent(page: Page) -> None:
    sent = posts(page)
    page.goto("/login")
    page.click("main >> role=button[name='Sign in']")
    page.wait_for_url("**/")
    page.goto("/category/carry")
    assert sent == []
    page.click("text=Accept")
    page.wait_for_selector("#state >> text=delivered")
    assert "".join(sent).count('"type":"identify"') == 1
    assert "ada@example.com" in "".join(sent)


def test_the_shop_works_when_the_tracker_is_blocked(page: Page) -> None:
    def block(route: Route) -> None:
        route.abort()

    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.route("**/tw/t.js", block)
    page.goto("/product/LF-101")
    page.click("text=Accept")
    page.click("text=Add to basket")
    page.wait_for_url("**/basket")
    page.wait_for_selector("#state >> text=on its way")
    assert "Harbour kettle" in page.inner_text("main")
    assert errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_small_screen_and_can_be_read(browser: Browser, site: str, scheme: str) -> None:
    context = browser.new_context(
        base_url=site, viewport={"width": 320, "height": 640}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page = context.new_page()
    page.goto("/product/LF-104")
    page.click("text=Accept")
    page.click("text=Add to basket")
    page.goto("/login")
    write(page, "#email", "wrong")
    page.click("main >> role=button[name='Sign in']")
    page.wait_for_selector("#email-problem")
    assert page.evaluate("document.activeElement.id") == "email"
    assert pale(page, "body *") == []
    write(page, "#email", "ada@example.com")
    page.click("main >> role=button[name='Sign in']")
    page.wait_for_url("**/")
    page.goto("/checkout")
    page.click("role=button[name=/^Buy for/]")
    page.wait_for_url("**/thanks")
    page.goto("/product/LF-104")
    page.click("text=Add to basket")
    page.wait_for_url("**/basket")
    for path in PAGES:
        page.goto(path)
        page.wait_for_selector("main h1")
        # What a scroll bar takes is not the page's.
        beyond = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(beyond) == 0, path
        assert pale(page, "body *") == [], path
    context.close()
