"""What every test of the tracker also asserts: it says nothing, throws nothing, and stores only what it may."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, WebError
from playwright.sync_api import Error as PlaywrightError

# What a browser itself notes of an answer that a test has arranged: a status, or no connection.
_ARRANGED: Final = re.compile(r"Failed to load resource|CORS request did not succeed")
_ALLOWED: Final = re.compile(r"tw\.(consent|id|session|q\.[\w.-]+)$")
_ACK_COOKIE: Final = re.compile(r"tw_ack[012]")
_KEPT: Final = """async () => {
  const found = {};
  const look = async (name, looked) => { try { found[name] = await looked(); } catch { found[name] = []; } };
  await look('local', () => Object.keys(localStorage));
  await look('session', () => Object.keys(sessionStorage));
  await look('databases', async () => (await indexedDB.databases()).map(({name}) => name));
  await look('caches', () => caches.keys());
  return found;
}"""


class Watch:
    """Notes what goes wrong in any page of the contexts it is put over. Keys and cookies whose names begin with `site`
    are those of the test's own site."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._expected: list[re.Pattern[str]] = []

    def expect(self, pattern: str) -> None:
        """Errors whose text matches are what the test is about."""
        self._expected.append(re.compile(pattern))

    def over(self, context: BrowserContext) -> None:
        context.on("console", self._said)
        context.on("weberror", self._thrown)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "assert"):
            self._note(f"console: {message.text}")

    def _thrown(self, error: WebError) -> None:
        # A test's own init script also runs in the empty document of a new page, where it may find no storage.
        if not (error.page and error.page.url == "about:blank"):
            self._note(f"uncaught: {error.error}")

    def _note(self, problem: str) -> None:
        if not any(known.search(problem) for known in (_ARRANGED, *self._expected)):
            self.problems.append(problem)

    def check(self, context: BrowserContext, origin: str) -> None:
        """At the end of a test: no problems, and in the browser only what the tracker may keep there."""
        problems = list(self.problems)  # of the test's pages; its own init scripts may fail in what follows
        try:
            # A tab of the test's is cheaper than one more, and has its session's storage.
            page = bare(context.pages[-1] if context.pages else context.new_page(), origin)
        except PlaywrightError:  # it was on its way elsewhere
            page = bare(context.new_page(), origin)
        kept: dict[str, Any] = page.evaluate(_KEPT)
        strangers = [f"{where}: {key}" for where, keys in kept.items() for key in keys if not allowed(where, key)]
        for cookie in context.cookies():
            name = cookie.get("name", "")
            if not cookie.get("httpOnly") and not _ACK_COOKIE.fullmatch(name) and not name.startswith("site"):
                strangers.append(f"readable cookie: {name}")
        assert not problems + strangers, problems + strangers


def bare(page: Page, origin: str) -> Page:
    """The tab, with a page of the origin that has nothing on it."""
    # Of the tab only: what a whole context routes holds up the later tabs of Firefox.
    page.route("**/nothing", lambda route: route.fulfill(body="<title>Nothing</title>", content_type="text/html"))
    page.goto(f"{origin}/nothing")
    return page


def allowed(where: str, key: str) -> bool:
    return key.startswith("site") or (where == "local" and bool(_ALLOWED.match(key)))


@contextlib.contextmanager
def watched(browser: Browser, watch: Watch, origin: str, **options: Any) -> Iterator[BrowserContext]:
    """A visitor's browser, without storage; at its end it is checked."""
    context = browser.new_context(**options)
    watch.over(context)
    yield context
    try:
        watch.check(context, origin)
    finally:
        context.close()
