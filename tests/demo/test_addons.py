"""The page of the add-ons in a real browser: each of them tells, and the page shows what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.demo.serving import demo_site
from tests.demo.test_walk import named
from tests.tracker.waiting import wait_until
from tests.trackway.processes import stored

pytestmark = [pytest.mark.browser, pytest.mark.browsers]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    with demo_site(tmp_path_factory.mktemp("addons")) as found:
        yield found


@pytest.fixture
def page(browser: Browser, demo: tuple[str, Path]) -> Iterator[Page]:
    """The page, with consent."""
    context = browser.new_context(base_url=demo[0])
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto("/addons")
    page.click("text=Accept")
    told(page, "consent")
    yield page
    context.close()
    assert errors == []


def told(page: Page, name: str, text: str = "") -> None:
    """Until the page shows that the tracker has told of `name`, with `text` in its properties or state."""
    page.wait_for_selector(
        f"#told li:has(strong:text-is('{name}')) >> text={text}" if text else f"#told >> text={name}"
    )


def test_cmp_hears_the_consent_platform(page: Page) -> None:
    page.wait_for_selector("#choice >> text=analytics")
    page.click("text=Ask me again")
    page.click("text=Decline")
    page.wait_for_selector("#choice >> text=declined")


def test_shop_reads_the_data_layer_and_an_order_counts_once(page: Page) -> None:
    page.click("text=Look at the kettle")
    told(page, "visit", "LF-101")
    page.click("text=Put it into the basket")
    told(page, "basket", "LF-101")
    page.click("text=Buy it")
    told(page, "buy", "accepted")
    page.click("text=Buy it")
    told(page, "buy", "duplicate")


def test_auto_tells_of_downloads_searches_missing_pages_and_forms(page: Page) -> None:
    with page.expect_download():
        page.click("text=How to care for enamel")
    told(page, "download", "care.txt")
    page.fill("#message", "nobody's business")
    page.click("text=Send")
    told(page, "form", "message")
    assert "business" not in page.inner_text("#told")
    page.click("text=Search for")
    told(page, "search", "lamp")
    page.click("text=A page that is not there")
    told(page, "404")


def test_engage_tells_when_the_page_is_left(page: Page, demo: tuple[str, Path]) -> None:
    page.mouse.wheel(0, 400)
    page.wait_for_timeout(1_300)
    page.goto("/")
    wait_until(page, "Object.keys(localStorage).every((key) => !key.startsWith('tw.q.'))")
    visitor = page.evaluate("trackway.status().then(({anonymousId}) => anonymousId)")
    (engaged,) = [one for one in named(stored(demo[1]), "engagement") if one["anonymous_id"] == visitor]
    assert engaged["properties"]["engaged_ms"] >= 1_000
    assert 0 < engaged["properties"]["scroll_depth"] <= 100
    assert engaged["page"]["path"] == "/addons"
