"""A browser that keeps little, nothing or garbage: events still arrive, and the site's own storage stays the site's."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import httpx2
import pytest
from playwright.sync_api import BrowserContext

from tests.tracker.conftest import GRANTED, Open
from tests.tracker.durable import Durable
from tests.tracker.once import answered, arrived_once, nothing_waits, ready
from tests.tracker.recorder import Recorder

pytestmark = pytest.mark.browser

NO_COOKIES: Final = "Object.defineProperty(Document.prototype, 'cookie', {get: () => '', set() {}});"
NO_STORAGE: Final = """
  Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('denied', 'SecurityError'); }});
"""
# The site has taken every character there is.
FULL: Final = """
  if (location.pathname === '/full') {
    let room = 1 << 23;
    for (let kept = ''; room >= 1; ) {
      try { localStorage.setItem('site.fill', kept + 'x'.repeat(room)); kept += 'x'.repeat(room); } catch {}
      room = Math.floor(room / 2);
    }
  }
"""


@pytest.mark.parametrize(
    "refused", [NO_COOKIES, NO_STORAGE, NO_COOKIES + NO_STORAGE], ids=["cookies", "storage", "both"]
)
def test_without_cookies_or_storage_each_event_still_counts_once(
    refused: str, context: BrowserContext, open_page: Open, recorder: Recorder
) -> None:
    recorder.acknowledges = NO_COOKIES not in refused
    context.add_init_script(refused)
    page = open_page("/first", GRANTED)
    page.evaluate("void trackway.track('before leaving'); location = '/second'")
    page.wait_for_url("**/second")
    ready(page)
    page.evaluate("void trackway.track('after')")
    # Where no cookie can tell of the answer, what left with the first page comes again, with the same ids.
    arrived_once(recorder, ["page", "before leaving", "page", "after"], resent=2 if refused == NO_COOKIES else 0)
    if NO_STORAGE not in refused:
        nothing_waits(page)


def test_a_full_storage_loses_no_event_and_stays_the_sites(
    context: BrowserContext, open_page: Open, recorder: Recorder
) -> None:
    context.add_init_script(FULL)
    page = open_page("/full", GRANTED)
    taken = page.evaluate("localStorage.getItem('site.fill').length")
    assert taken > 1_000_000
    receipts = page.evaluate("Promise.all(['a', 'b', 'buy'].map((name) => trackway.track(name)))")
    assert [one["status"] for one in receipts] == ["accepted"] * 3
    arrived_once(recorder, ["page", "a", "b", "buy"])

    assert page.evaluate("localStorage.getItem('site.fill').length") == taken
    page.evaluate("localStorage.removeItem('site.fill'); localStorage.setItem('site.fill', 'x'.repeat(4_000_000))")
    page.evaluate("localStorage.setItem('site.own', 'kept')")
    assert page.evaluate("localStorage.getItem('site.own')") == "kept"


def test_a_sandboxed_frame_tells_its_events(context: BrowserContext, recorder: Recorder) -> None:
    recorder.attributes = GRANTED
    recorder.pages["/framing"] = '<!doctype html><title>Framing</title><iframe sandbox="allow-scripts" src="/framed">'
    page = context.new_page()
    page.goto(recorder.url + "/framing")
    recorder.wait(lambda: recorder.names == ["page"])

    assert page.frames[1].evaluate("trackway.track('buy').then(({status}) => status)") == "accepted"
    assert recorder.names == ["page", "buy"]
    assert recorder.events[0]["context"]["page"]["url"] == recorder.url + "/framed"


def test_what_is_cleared_during_a_visit_is_not_missed_by_its_page(
    context: BrowserContext, open_page: Open, recorder: Recorder
) -> None:
    page = open_page("/first")
    page.evaluate("trackway.consent('granted')")
    answered(page)
    page.evaluate("void trackway.track('unsent'); localStorage.clear()")
    context.clear_cookies()
    page.evaluate("trackway.track('buy')")
    arrived_once(recorder, ["page", "consent", "unsent", "buy"])
    assert len({event["anonymousId"] for event in recorder.events}) == 1

    # The next page knows of no choice any more, and waits for one.
    page.goto(recorder.url + "/second")
    ready(page)
    assert page.evaluate("trackway.track('buy')")["status"] == "held"
    assert len(recorder.events) == 4


def test_two_batches_before_the_first_answer_are_one_visitors(
    open_page: Open, recorder: Recorder, tmp_path: Path
) -> None:
    recorder.hold.clear()
    page = open_page("/first", GRANTED)
    page.evaluate("void trackway.track('basket')")
    recorder.wait(lambda: len(recorder.tries) == 1)
    page.evaluate("void trackway.track('buy'); location = '/second'")
    recorder.wait(lambda: len(recorder.tries) >= 2)
    recorder.hold.set()
    assert not any("cookie" in one.headers for one in recorder.tries[:2])

    collector = Durable(tmp_path)
    with collector.running(recorder.url):
        for body in recorder.raw[:2]:
            headers = {"content-type": "text/plain", "origin": recorder.url}
            assert httpx2.post(f"{collector.url}/tw/e", content=body, headers=headers).status_code == 200
    accepted = collector.accepted()
    assert {"basket", "buy"} <= set(collector.names())
    assert len({event["anonymous_id"] for event in accepted}) == 1
