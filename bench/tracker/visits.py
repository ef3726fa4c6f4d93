"""One visit in a fresh browser context: a page and three clicks, traced at a quarter of the CPU's speed."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, BrowserContext, Page, Response, sync_playwright

from bench.tracker.contestants import Contestant
from bench.tracker.trace import CATEGORIES, Cost, cost
from tests.browsers import CHROMIUM_ARGUMENTS
from tests.sdks.conftest import Collector, collector_in
from tests.services import find_chromium

CLICKS = 3
_THROTTLED = 4
_BUTTON = """<script>let n = 0;</script>
<button style="position: fixed; left: 0; top: 0; width: 90px; height: 40px" onclick="n++; {}"></button>"""
_FIRST_SECONDS = 20
_BETWEEN_MS = 300
# Longer than any of them waits before it sends.
_QUIET_MS = 2000
_LEFT_SECONDS = 0.3


class Visit(NamedTuple):
    """`requests` that carried events, `asked`: others beside page and scripts; `up`: bytes of all their bodies."""

    cost: Cost
    requests: int
    asked: int
    up: int


class Scripts(NamedTuple):
    """What a tracker has a page load: files, and their bytes as they are and after gzip -9."""

    files: int
    bytes: int
    gzip: int


@dataclass
class Surroundings:
    """A browser, and a collector behind the website that it visits."""

    browser: Browser
    collector: Collector
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def visit(self, one: Contestant) -> Visit:
        """Raises SystemExit if not every event is stored: what loses events costs nothing."""
        pages = self.collector.pages
        with self._page(one) as (page, url):
            page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": _THROTTLED})
            self.browser.start_tracing(page=page, categories=CATEGORIES)
            self._click_through(one, page, url)
            trace = json.loads(self.browser.stop_tracing())
            passed = [request for request in pages.passed if request.path != "/tw/t.js"]
            self._check_stored(one, url)
        carried = sum(request.path in one.events for request in passed)
        return Visit(
            cost(trace, pages.url, one.events), carried, len(passed) - carried, sum(request.bytes for request in passed)
        )

    def scripts(self, one: Contestant) -> Scripts:
        """Measured in a visit of its own, with the bodies of all scripts that were loaded."""
        with self._page(one) as (page, url):
            loaded: list[Response] = []

            def note(got: Response) -> None:
                loaded.append(got)

            page.on("response", note)
            self._click_through(one, page, url)
            bodies = [got.body() for got in loaded if got.request.resource_type == "script"]
            self._check_stored(one, url)
        return Scripts(len(bodies), sum(map(len, bodies)), sum(len(gzip.compress(body, 9)) for body in bodies))

    def _click_through(self, one: Contestant, page: Page, url: str) -> None:
        page.goto(url)
        self._wait_for_first(one, page)
        for _ in range(CLICKS):
            page.mouse.click(40, 20)
            page.wait_for_timeout(_BETWEEN_MS)
        page.wait_for_timeout(_QUIET_MS)

    def _wait_for_first(self, one: Contestant, page: Page) -> None:
        for _ in range(_FIRST_SECONDS * 20):
            if not one.events or any(request.path in one.events for request in self.collector.pages.passed):
                return
            page.wait_for_timeout(50)
        raise SystemExit(f"bench: {one.name} sent nothing in {_FIRST_SECONDS} s")

    def _check_stored(self, one: Contestant, url: str) -> None:
        wanted = CLICKS + 1 if one.events else 0
        stored = [event for event in self.collector.new(wanted) if event["page"]["url"] == url]
        if len(stored) != wanted:
            raise SystemExit(f"bench: {one.name} made {len(stored)} events, not {wanted}")

    @contextlib.contextmanager
    def _page(self, one: Contestant) -> Iterator[tuple[Page, str]]:
        pages = self.collector.pages
        for path in (*one.events, *one.asks):
            pages.behind[path] = self.collector.url
        self.collector.new()
        pages.passed.clear()
        url = pages.put(f"/bench-{next(self._numbers)}", one.head(pages) + _BUTTON.format(one.click))
        context: BrowserContext = self.browser.new_context()
        try:
            yield context.new_page(), url
        finally:
            context.close()
            # Some have one more to send when their page is closed.
            time.sleep(_LEFT_SECONDS)


@contextlib.contextmanager
def surroundings() -> Iterator[Surroundings]:
    """For the length of the block."""
    # Some trackers are silent where a page is told that a program drives it.
    arguments = [*CHROMIUM_ARGUMENTS, "--disable-blink-features=AutomationControlled"]
    with (
        tempfile.TemporaryDirectory(prefix="trackway-bench-") as folder,
        collector_in(Path(folder)) as collector,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=arguments)
        try:
            yield Surroundings(browser, collector)
        finally:
            browser.close()
