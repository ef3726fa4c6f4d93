"""The add-on `engage`: how long a view had somebody's attention, and how far down they came."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.tracker.conftest import GRANTED, Open
from tests.tracker.recorder import Recorder

pytestmark = [pytest.mark.browser, pytest.mark.browsers, pytest.mark.usefixtures("quick")]

DOCS = Path(__file__).parents[2] / "docs" / "tracker" / "engage.md"
# Time stands still but for `later(ms)`, and a tab is hidden and seen again by `hide()` and `show()`.
WORLD = """
  let now = 1000;
  performance.now = () => now;
  window.later = (ms) => { now += ms; };
  const see = (hidden) => {
    Object.defineProperty(document, 'hidden', {get: () => hidden, configurable: true});
    Object.defineProperty(document, 'visibilityState', {get: () => hidden ? 'hidden' : 'visible', configurable: true});
  };
  if (location.pathname === '/background') see(true);
  window.hide = () => { see(true); document.dispatchEvent(new Event('visibilitychange', {bubbles: true})); };
  window.show = () => { see(false); document.dispatchEvent(new Event('visibilitychange', {bubbles: true})); };
  window.alive = () => document.body.dispatchEvent(new Event('pointermove', {bubbles: true}));
"""
TALL = "<style>body { margin: 0 } h1 { margin: 0; height: 3600px }</style><h1>Page</h1>"  # five windows high


@pytest.fixture(autouse=True)
def world(context: BrowserContext, recorder: Recorder) -> None:
    context.add_init_script(WORLD)
    recorder.addons = "engage"
    recorder.attributes = GRANTED
    recorder.body = TALL


def leave(page: Page, recorder: Recorder) -> None:
    """Another page comes, and its view has arrived: what the one before had to tell was sent earlier."""
    before = len(recorder.named("page"))
    page.goto(f"{recorder.url}/next")
    recorder.wait(lambda: len(recorder.named("page")) > before)


def path_of(event: dict[str, Any]) -> str:
    return urlsplit(str(event["context"]["page"]["url"])).path


def engagements(recorder: Recorder) -> list[dict[str, Any]]:
    return [event["properties"] for event in recorder.named("engagement")]


def test_one_event_a_view_tells_time_and_depth_when_the_page_is_left(open_page: Open, recorder: Recorder) -> None:
    page = open_page("/article")
    page.evaluate("later(20_000)")
    page.mouse.wheel(0, 1080)
    page.wait_for_function("scrollY === 1080")
    page.evaluate("later(4_500)")
    leave(page, recorder)
    recorder.wait(lambda: engagements(recorder))
    assert engagements(recorder) == [{"engaged_ms": 24_500, "scroll_depth": 50}]
    (event,) = recorder.named("engagement")
    assert path_of(event) == "/article"
    assert event["context"]["page"]["view_id"] == recorder.named("page")[0]["context"]["page"]["view_id"]


def test_time_counts_until_half_a_minute_after_the_last_sign_of_life(open_page: Open, recorder: Recorder) -> None:
    page = open_page()
    page.evaluate("later(20_000); alive(); later(300_000); alive(); later(10_000)")
    leave(page, recorder)
    recorder.wait(lambda: engagements(recorder))
    assert engagements(recorder) == [{"engaged_ms": 60_000, "scroll_depth": 20}]


def test_time_without_the_focus_does_not_count(open_page: Open, recorder: Recorder) -> None:
    page = open_page()
    page.evaluate("""() => {
      later(5_000);
      document.hasFocus = () => false;
      dispatchEvent(new Event('blur'));
      later(9_000);
      alive();
      later(9_000);
      document.hasFocus = () => true;
      dispatchEvent(new Event('focus'));
      later(3_000);
    }""")
    leave(page, recorder)
    recorder.wait(lambda: engagements(recorder))
    assert engagements(recorder) == [{"engaged_ms": 8_000, "scroll_depth": 20}]


def test_who_comes_back_to_a_hidden_page_is_counted_on_and_nothing_twice(open_page: Open, recorder: Recorder) -> None:
    page = open_page()
    page.evaluate("later(7_000); hide()")
    recorder.wait(lambda: len(engagements(recorder)) == 1)
    page.evaluate("later(600_000); show(); hide(); show(); later(2_500); scrollTo(0, 9_999); hide()")
    recorder.wait(lambda: len(engagements(recorder)) == 2)
    leave(page, recorder)
    assert engagements(recorder) == [
        {"engaged_ms": 7_000, "scroll_depth": 20},
        {"engaged_ms": 2_500, "scroll_depth": 100},
    ]
    assert len({event["context"]["page"]["view_id"] for event in recorder.named("engagement")}) == 1


def test_each_soft_view_has_its_own_and_the_old_ones_address(open_page: Open, recorder: Recorder) -> None:
    # A router swaps the page at the click, before anybody is told of the new view.
    recorder.body += """<script>
      document.body.onclick = ({target}) => { history.pushState(0, '', '/second'); target.style.height = '200px'; };
    </script>"""
    page = open_page("/first")
    page.evaluate("later(4_000)")
    page.mouse.click(10, 10)
    recorder.wait(lambda: len(recorder.named("page")) == 2)
    page.evaluate("later(6_000)")
    leave(page, recorder)
    recorder.wait(lambda: len(engagements(recorder)) == 2)
    first, second = recorder.named("engagement")
    assert first["properties"] == {"engaged_ms": 4_000, "scroll_depth": 20}
    assert second["properties"] == {"engaged_ms": 6_000, "scroll_depth": 100}
    assert [path_of(first), path_of(second)] == ["/first", "/second"]
    views = [one["context"]["page"]["view_id"] for one in recorder.named("page")[:2]]
    assert [one["context"]["page"]["view_id"] for one in (first, second)] == views


def test_below_a_second_nothing_is_told(open_page: Open, recorder: Recorder) -> None:
    page = open_page()
    page.evaluate("later(999); hide(); later(5_000); show()")
    leave(page, recorder)
    assert engagements(recorder) == []


def test_parts_of_a_second_add_up_to_something_to_tell(open_page: Open, recorder: Recorder) -> None:
    page = open_page()
    page.evaluate("later(700); hide(); later(5_000); show(); later(700); hide()")
    recorder.wait(lambda: engagements(recorder))
    assert engagements(recorder) == [{"engaged_ms": 1_400, "scroll_depth": 20}]


def test_a_tab_never_seen_tells_nothing(open_page: Open, recorder: Recorder) -> None:
    page = open_page("/background")
    page.evaluate("later(60_000); alive()")
    leave(page, recorder)
    assert recorder.names == ["page"]
    assert path_of(recorder.named("page")[0]) == "/next"


def test_the_deepest_place_counts_also_after_scrolling_back(open_page: Open, recorder: Recorder) -> None:
    page = open_page()
    page.evaluate("scrollTo(0, 2160)")
    page.wait_for_function("scrollY === 2160")
    page.mouse.click(10, 10)
    page.evaluate("scrollTo(0, 0); later(2_000)")
    leave(page, recorder)
    recorder.wait(lambda: engagements(recorder))
    assert engagements(recorder) == [{"engaged_ms": 2_000, "scroll_depth": 80}]


def test_the_depth_of_an_application_is_that_of_its_main_area(open_page: Open, recorder: Recorder) -> None:
    recorder.body = """<style>
      body { margin: 0 } main, nav { overflow: auto; height: 720px } nav { float: left; width: 200px }
      p { margin: 0; height: 2880px }
    </style><nav><p>Menu</p></nav><main><p>Content</p></main>"""
    page = open_page()
    page.evaluate("document.querySelector('main').scrollTo(0, 720)")
    page.wait_for_timeout(500)
    page.evaluate("document.querySelector('nav').scrollTo(0, 2160)")
    page.wait_for_timeout(500)
    page.evaluate("later(2_000)")
    leave(page, recorder)
    recorder.wait(lambda: engagements(recorder))
    assert engagements(recorder) == [{"engaged_ms": 2_000, "scroll_depth": 50}]


def test_scrolling_measures_nothing_by_itself_and_an_idle_page_has_no_timer(
    open_page: Open, context: BrowserContext, recorder: Recorder
) -> None:
    context.add_init_script("""
      window.measured = 0;
      window.timers = [];
      for (const name of ['scrollHeight', 'clientHeight', 'scrollTop']) {
        const {get} = Object.getOwnPropertyDescriptor(Element.prototype, name);
        Object.defineProperty(Element.prototype, name, {get() { measured++; return get.call(this); }});
      }
      for (const name of ['setTimeout', 'setInterval', 'requestAnimationFrame']) {
        const own = window[name];
        window[name] = (...values) => { timers.push([name, values[1]]); return own(...values); };
      }
    """)
    page = open_page()
    recorder.wait(lambda: recorder.named("page"))
    found = page.evaluate("""() => {
      [measured, timers] = [0, []];
      for (let i = 0; i < 100; i++) { alive(); document.dispatchEvent(new Event('scroll')); }
      return [measured, timers];
    }""")
    assert found == [0, [["setTimeout", 200]]]
    page.wait_for_timeout(1_000)
    assert page.evaluate("timers.length") == 1
    assert page.evaluate("measured") > 0


def test_a_tag_that_stands_twice_beside_somebody_elses_trackway_changes_nothing(
    context: BrowserContext, recorder: Recorder
) -> None:
    recorder.attributes = f"{GRANTED} data-name=tracker"
    recorder.head = "<script>trackway = 'somebody else'</script>" + recorder.tag()
    page = context.new_page()
    page.goto(recorder.url)
    page.wait_for_function("window.tracker && tracker.version")
    page.evaluate("later(3_000)")
    leave(page, recorder)
    recorder.wait(lambda: engagements(recorder))
    assert engagements(recorder) == [{"engaged_ms": 3_000, "scroll_depth": 20}]
    assert page.evaluate("trackway") == "somebody else"


def test_what_the_docs_paste_and_show_is_what_is_sent(open_page: Open, recorder: Recorder) -> None:
    text = DOCS.read_text(encoding="utf-8")
    (line,) = re.findall(r"```html\n(.*?)\n```", text, re.S)
    (shown,) = re.findall(r"```json\n(.*?)\n```", text, re.S)
    recorder.pages["/"] = f"<!doctype html><title>Page</title>{line}{TALL}"
    page = open_page()
    page.evaluate("trackway('consent', 'granted'); later(21_340); scrollTo(0, 1656); hide()")
    recorder.wait(lambda: engagements(recorder))
    (event,) = recorder.named("engagement")
    assert json.loads(shown) == {"event": event["event"], "properties": event["properties"]}
