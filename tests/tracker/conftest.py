"""One browser a module, a fresh context (storage, cookies) a test; an uncaught error in a page fails the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.tracker.recorder import Recorder

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

# A batch waits 50 ms instead of a second, where a test is about what happens and not about when.
QUICK = """
  const wait = window.setTimeout;
  window.setTimeout = (action, ms = 0, ...values) => wait(action, ms > 900 && ms <= 1000 ? 50 : ms, ...values);
"""

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.stop()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context()
    yield context
    context.close()


@pytest.fixture
def quick(context: BrowserContext) -> None:
    context.add_init_script(QUICK)


@pytest.fixture
def open_page(context: BrowserContext, recorder: Recorder) -> Iterator[Open]:
    """`open_page(path, attributes)` loads a page with the tracker and waits until it runs."""
    errors: list[str] = []

    def open_page(path: str = "/", attributes: str | None = None) -> Page:
        if attributes is not None:
            recorder.attributes = attributes
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(recorder.url + path)
        page.wait_for_function("window.trackway && trackway.version")
        return page

    yield open_page
    assert errors == []
