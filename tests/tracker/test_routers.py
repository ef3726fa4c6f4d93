"""Pages that change without being loaded: whoever moves them, each view counts once."""

from __future__ import annotations

from typing import Final

import pytest
from playwright.sync_api import BrowserContext

from tests.tracker.conftest import GRANTED, Open
from tests.tracker.once import ready
from tests.tracker.recorder import Recorder
from tests.tracker.test_pages import WITHOUT_NAVIGATION_API, views

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("quick")]

# A router that learns of moves by its own patch of the history.
ROUTER: Final = """
  window.routed = [];
  window.route = () => {
    for (const name of ['pushState', 'replaceState']) {
      const original = history[name];
      history[name] = function (...values) {
        if (this !== history) throw new TypeError('Illegal invocation');
        const result = original.apply(this, values);
        routed.push(location.pathname);
        return result;
      };
    }
  };
"""
FROZEN: Final = """
  for (const name of ['pushState', 'replaceState'])
    Object.defineProperty(history, name, {value: history[name], writable: false, configurable: false});
"""


def paths(recorder: Recorder) -> list[str]:
    return [shown["url"].removeprefix(recorder.url) for shown in views(recorder)]


@pytest.mark.parametrize("navigation_api", [True, False], ids=["navigation", "history"])
def test_the_same_place_again_is_no_view(
    navigation_api: bool, context: BrowserContext, open_page: Open, recorder: Recorder
) -> None:
    if not navigation_api:
        context.add_init_script(WITHOUT_NAVIGATION_API)
    page = open_page("/first", GRANTED)
    page.evaluate("history.pushState({}, '', '/first')")
    page.wait_for_timeout(70)  # longer than history calls are gathered
    page.evaluate("history.replaceState({at: 2}, '', location.href)")
    page.wait_for_timeout(70)
    page.evaluate("trackway.track('buy')")

    assert recorder.names == ["page", "buy"]


@pytest.mark.parametrize("navigation_api", [True, False], ids=["navigation", "history"])
def test_back_and_forward_over_paths_are_views(
    navigation_api: bool, context: BrowserContext, open_page: Open, recorder: Recorder
) -> None:
    if not navigation_api:
        context.add_init_script(WITHOUT_NAVIGATION_API)
    page = open_page("/a", GRANTED)
    moves = [
        "history.pushState({}, '', '/b')",
        "history.pushState({}, '', '/c')",
        "history.go(-2)",
        "history.forward()",
    ]
    for at, move in enumerate(moves, 2):
        page.evaluate(move)
        recorder.wait(lambda: len(views(recorder)) == at)  # noqa: B023 - waited for within the loop

    assert paths(recorder) == ["/a", "/b", "/c", "/a", "/b"]
    assert [shown["referrer"].removeprefix(recorder.url) for shown in views(recorder)] == ["", "/a", "/b", "/c", "/a"]


@pytest.mark.parametrize("navigation_api", [True, False], ids=["navigation", "history"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_router_that_patches_the_history_keeps_working(
    when: str, navigation_api: bool, context: BrowserContext, open_page: Open, recorder: Recorder
) -> None:
    context.add_init_script((WITHOUT_NAVIGATION_API if not navigation_api else "") + ROUTER)
    recorder.head = "<script>route()</script>" if when == "before" else ""
    page = open_page("/a", GRANTED)
    if when == "after":
        page.evaluate("route()")
    page.evaluate("history.pushState({}, '', '/b')")
    recorder.wait(lambda: len(views(recorder)) == 2)
    page.evaluate("history.replaceState({}, '', '/c')")
    recorder.wait(lambda: len(views(recorder)) == 3)
    page.evaluate("trackway.track('buy')")

    assert page.evaluate("routed") == ["/b", "/c"]
    assert paths(recorder) == ["/a", "/b", "/c"]


def test_a_history_that_cannot_be_patched_costs_no_event(
    context: BrowserContext, open_page: Open, recorder: Recorder
) -> None:
    context.add_init_script(WITHOUT_NAVIGATION_API + FROZEN)
    page = open_page("/a", GRANTED)
    page.evaluate("history.pushState({}, '', '/b')")
    page.wait_for_timeout(70)
    page.evaluate("history.back()")
    assert page.evaluate("trackway.track('buy')")["status"] == "accepted"
    assert set(recorder.names) == {"page", "buy"}


def test_a_body_swapped_with_its_scripts_counts_each_visit_and_click_once(open_page: Open, recorder: Recorder) -> None:
    """As Turbo does it: the new page's body replaces the old one, and its scripts run again."""
    recorder.body = '<button data-tw="favorite">+</button>'
    page = open_page("/a", GRANTED)
    for path in ("/b", "/c"):
        page.evaluate(
            """async (path) => {
              const next = new DOMParser().parseFromString(await (await fetch(path)).text(), 'text/html');
              for (const old of next.querySelectorAll('script')) {
                const script = document.createElement('script');
                for (const {name, value} of old.attributes) script.setAttribute(name, value);
                next.body.append(script);
                old.remove();
              }
              history.pushState({}, '', path);
              document.body.replaceWith(document.adoptNode(next.body));
            }""",
            path,
        )
        page.wait_for_timeout(150)
        page.click("button")
    page.evaluate("trackway.track('buy')")
    recorder.wait(lambda: "buy" in recorder.names)

    assert paths(recorder) == ["/a", "/b", "/c"]
    assert [event["context"]["page"]["url"].removeprefix(recorder.url) for event in recorder.named("favorite")] == [
        "/b", "/c",
    ]  # fmt: skip


def test_a_tab_that_is_never_seen_is_no_view(context: BrowserContext, open_page: Open, recorder: Recorder) -> None:
    context.add_init_script(
        "if (location.pathname === '/unseen') Object.defineProperty(document, 'hidden', {get: () => true})"
    )
    page = open_page("/unseen", GRANTED)
    page.wait_for_timeout(200)
    page.goto(recorder.url + "/seen")
    recorder.wait(lambda: recorder.events)

    assert paths(recorder) == ["/seen"]


def test_a_page_prerendered_in_vain_says_nothing(context: BrowserContext, open_page: Open, recorder: Recorder) -> None:
    context.add_init_script(
        "if (location.pathname === '/early') Object.defineProperty(document, 'prerendering', {get: () => true})"
    )
    page = open_page("/early", GRANTED)
    page.evaluate("void trackway.track('buy')")
    page.wait_for_timeout(200)
    assert page.evaluate("Object.keys(localStorage)") == []
    page.close()
    open_page("/seen")
    recorder.wait(lambda: recorder.events)

    assert recorder.names == ["page"]
    assert len(recorder.tries) == 1


def test_a_page_that_comes_back_whole_with_a_request_in_flight_counts_each_event_once(
    open_page: Open, recorder: Recorder
) -> None:
    page = open_page("/first", GRANTED)
    recorder.wait(lambda: recorder.names == ["page"])
    recorder.hold.clear()
    page.evaluate("""
      addEventListener('pageshow', ({persisted}) => { window.persisted = persisted; });
      void trackway.track('buy');
    """)
    recorder.wait(lambda: len(recorder.tries) == 2)
    page.goto(recorder.url + "/second")
    ready(page)
    recorder.hold.set()
    recorder.wait(lambda: "buy" in recorder.names)
    page.evaluate("history.back()")  # `go_back` waits for a load, and a restored page is not loaded
    recorder.wait(lambda: len(views(recorder)) == 3)

    assert page.evaluate("window.persisted") is True
    assert paths(recorder) == ["/first", "/second", "/first"]
    assert len({shown["view_id"] for shown in views(recorder)}) == 3
    assert recorder.names.count("buy") == 1
