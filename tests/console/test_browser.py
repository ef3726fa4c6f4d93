"""The pages in a real browser: both themes, a phone and a desk, with script and without."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from eventlog.timestamps import now_ms
from tests.console.seeds import event, outcome
from tests.console.site import Site
from tests.console.test_pages import addresses
from tests.demo.walk import NOT_DRIVEN

pytestmark = pytest.mark.browser

AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield launched
        launched.close()


@contextmanager
def window(
    browser: Browser, site: Site, *, scheme: str = "light", width: int = 1280, script: bool = True, link: str = ""
) -> Iterator[Page]:
    """A signed-in window. At its end: no console error, no CSP report, no request to anywhere else."""
    context = browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": width, "height": 800},
        java_script_enabled=script,
    )
    page = context.new_page()
    page.set_default_timeout(20_000)
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: _check_address(request.url, site, problems))
    page.goto(link or site.link())
    yield page
    context.close()
    assert problems == []


def _check_address(url: str, site: Site, problems: list[str]) -> None:
    parts = urlsplit(url)
    if parts.scheme != "data" and f"{parts.scheme}://{parts.netloc}" != site.address:
        problems.append(f"a request to {url}")


@pytest.mark.parametrize(("scheme", "width"), [("light", 320), ("dark", 1280)])
def test_every_page_fits_and_makes_no_noise(browser: Browser, site: Site, scheme: str, width: int) -> None:
    with window(browser, site, scheme=scheme, width=width) as page:
        for address in addresses(site).values():
            page.goto(site.address + address)
            # A table wider than the window scrolls in a frame of its own; the page does not.
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, address
            assert page.title() != "owned"
            assert page.evaluate("getComputedStyle(document.querySelector('h1')).fontWeight") == "700", "no style"


def test_an_event_appears_by_itself_and_an_open_row_stays_open(browser: Browser, site: Site) -> None:
    site.add(event(now_ms(), source="other", name="first-event"))
    with window(browser, site) as page:
        page.goto(site.address + "/console/live?source=other")
        first = page.locator(".rows > li", has_text="first-event")
        first.locator("summary").click()
        expect(first.locator("pre")).to_be_visible()
        site.add(
            event(now_ms(), source="other", name="second-event"),
            outcome(now_ms(), "rejected", "wrong_type", source="other"),
        )
        expect(page.locator(".rows > li", has_text="second-event")).to_be_visible()
        expect(page.locator(".rows > li", has_text="wrong_type")).to_be_visible()
        expect(first.locator("pre")).to_be_visible()
        expect(page.locator(".rows > li")).to_have_count(3)
        expect(page.locator("#counter")).to_contain_text("Shown 3 of 3")
        expect(page.get_by_role("status")).to_have_text("2 new, 1 rejected")


def test_pause_holds_the_list_still(browser: Browser, site: Site) -> None:
    with window(browser, site) as page:
        page.goto(site.address + "/console/live?name=meanwhile")
        page.get_by_role("button", name="Pause").click()
        expect(page.get_by_role("status")).to_have_text("Paused")
        site.add(event(now_ms(), name="meanwhile"))
        with page.expect_response(lambda response: "/console/live" in response.url):
            page.get_by_role("button", name="Resume").click()
        expect(page.locator(".rows > li", has_text="meanwhile")).to_be_visible()


def test_what_happened_opens_in_place_and_leads_to_the_profile(browser: Browser, site: Site) -> None:
    with window(browser, site) as page:
        page.goto(site.address + "/console/live?name=buy")
        row = page.locator(".rows > li").first
        row.locator("summary").click()
        row.locator("a[href^='/console/profiles/']").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Known profile")


def test_start_ticks_off_by_itself(browser: Browser, site: Site) -> None:
    with window(browser, site) as page:
        page.goto(site.address + "/console/start")
        expect(page.locator(".checks .good")).to_have_count(0)
        site.add(event(now_ms(), anonymous_id="a-new-visitor"))
        # All but one: that the id is kept takes a second page load.
        expect(page.locator(".checks .good")).to_have_count(6)
        page.get_by_role("link", name="open it").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Anonymous profile")


def test_live_and_start_read_without_script(browser: Browser, site: Site) -> None:
    with window(browser, site, script=False) as page:
        page.goto(site.address + "/console/live?name=buy")
        row = page.locator(".rows > li").first
        row.locator("summary").click()
        expect(row.locator("pre")).to_contain_text('"order_id": "A-1001"')
        row.get_by_role("link", name="What happened").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("What happened to an event")
        page.goto(site.address + "/console/start")
        expect(page.get_by_label("Into the head of every page")).to_have_value(
            f'<script src="{site.address}/tw/t.js" data-key="wk_shop" async></script>'
        )
        page.get_by_role("link", name="Check now").click()
        assert "since=" in page.url
        page.goto(site.address + "/console/live?name=after-a-reload")
        expect(page.locator(".rows > li")).to_have_count(0)
        site.add(event(now_ms(), name="after-a-reload"))
        page.get_by_role("link", name="Reload by itself").click()
        expect(page.locator(".rows > li")).to_have_count(1, timeout=20_000)


def test_the_tracker_on_a_page_ticks_everything_off(browser: Browser, site: Site) -> None:
    """The snippet of Start, pasted into a page of the site's own origin and visited twice."""
    with window(browser, site) as page:
        page.goto(site.address + "/console/start")
        snippet = page.get_by_label("Into the head of every page").input_value()
        consent = page.get_by_label("Once the visitor has answered").input_value()
        # By its own name a headless browser is a bot, and bots make no sessions.
        visitor = browser.new_context(user_agent=AGENT)
        visitor.add_init_script(NOT_DRIVEN)
        visited = visitor.new_page()
        visited.route("**/shop/*", lambda route: route.fulfill(body=f"<!doctype html><title>Shop</title>{snippet}"))
        visited.goto(site.address + "/shop/one")
        visited.wait_for_function("window.trackway && trackway.version")
        visited.evaluate(consent.partition("//")[0])
        visited.goto(site.address + "/shop/two")
        expect(page.locator(".checks .good")).to_have_count(7, timeout=20_000)
        expect(page.get_by_text("It works.")).to_be_visible()
        visitor.close()


def test_a_run_appears_on_exports_by_itself(browser: Browser, site: Site) -> None:
    with window(browser, site) as page:
        page.goto(site.address + "/console/exports")
        runs = page.get_by_role("table", name="The newest").get_by_role("row")
        before = runs.count()
        site.export("people", "draft")
        expect(runs).to_have_count(before + 1)


def test_a_sign_in_link_works_once_and_the_token_always(browser: Browser, site: Site) -> None:
    link = site.link()
    with window(browser, site, link=link) as page:
        expect(page.get_by_role("heading", level=1)).to_have_text("Live")
        # Who is signed in already is let through; nobody else is.
        page.goto(link)
        expect(page.get_by_role("heading", level=1)).to_have_text("Live")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
        page.get_by_label("Administrator's token").fill(site.token)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Live")
    context = browser.new_context()
    page = context.new_page()
    page.goto(link)
    expect(page.get_by_role("alert")).to_contain_text("used already")
    context.close()


def test_a_page_is_light_and_the_keyboard_reaches_it_first(browser: Browser, site: Site) -> None:
    with window(browser, site) as page:
        sizes: list[int] = []
        page.on("response", lambda response: sizes.append(len(response.body())))
        page.goto(site.address + "/console/profiles")
        page.wait_for_load_state("networkidle")
        assert sum(sizes) < 60 * 1024
        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        expect(page.locator(".skip")).to_be_in_viewport()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()
