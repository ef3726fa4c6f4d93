"""Page views: the first, soft ones, restored ones; what a view says about itself."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext

from tests.tracker.conftest import Open
from tests.tracker.recorder import Recorder

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("quick")]

GRANTED = 'data-consent="granted"'
WITHOUT_NAVIGATION_API = "delete window.navigation; Object.defineProperty(window, 'navigation', {value: undefined});"


def views(recorder: Recorder) -> list[dict[str, str]]:
    return [event["context"]["page"] for event in recorder.named("page")]


def test_the_first_view_tells_its_page(open_page: Open, recorder: Recorder) -> None:
    open_page("/shop/tents?utm_source=news&token=secret&gclid=7#top", GRANTED)
    recorder.wait(lambda: recorder.events)

    body, event = recorder.batches[0], recorder.events[0]
    assert body["writeKey"] == "wk_shop"
    assert body["version"]
    assert body["context"]["timezone"]
    assert body["context"]["screen"] == "1280x720"
    assert event["type"] == "page"
    shown = event["context"]["page"]
    # Only the allowed parameters leave the browser.
    assert shown["url"] == f"{recorder.url}/shop/tents?utm_source=news&gclid=7"
    assert (shown["title"], shown["referrer"]) == ("Page", "")
    assert shown["view_id"]
    headers = recorder.tries[0][2]
    assert headers["content-type"] == "text/plain;charset=UTF-8"


@pytest.mark.parametrize("navigation_api", [True, False], ids=["navigation", "history"])
def test_a_soft_view_is_counted_once_with_the_previous_page_as_referrer(
    navigation_api: bool, context: BrowserContext, open_page: Open, recorder: Recorder
) -> None:
    if not navigation_api:
        context.add_init_script(WITHOUT_NAVIGATION_API)
    page = open_page("/first", GRANTED)
    page.evaluate("""
      setTimeout(() => { document.title = 'Second'; }, 30);
      for (let at = 0; at < 20; at++) history.replaceState({}, '', '/passing/' + at);
      history.pushState({}, '', '/second');
    """)
    recorder.wait(lambda: len(views(recorder)) == 2)
    page.evaluate("history.back()")
    recorder.wait(lambda: len(views(recorder)) == 3)

    first, second, back = views(recorder)
    assert (second["url"], second["title"]) == (recorder.url + "/second", "Second")
    assert second["referrer"] == recorder.url + "/first"
    assert (back["url"], back["referrer"]) == (recorder.url + "/passing/19", recorder.url + "/second")
    assert len({first["view_id"], second["view_id"], back["view_id"]}) == 3


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("path", ["/a", "/b"]),
        ("query", ["/a", "/a?utm_term=1", "/b"]),
        ("hash", ["/a", "/a?utm_term=1", "/a?utm_term=1#x", "/b"]),
        ("off", ["/a"]),
    ],
)
def test_what_counts_as_another_place_is_the_sites_choice(
    mode: str, expected: list[str], open_page: Open, recorder: Recorder
) -> None:
    page = open_page("/a", f'{GRANTED} data-spa="{mode}"')
    for place in ("/a?utm_term=1", "/a?utm_term=1#x", "/b"):
        page.evaluate("(place) => history.pushState({}, '', place)", place)
        page.wait_for_timeout(70)  # longer than history calls are gathered
    page.evaluate("void trackway('track', 'buy', {})")
    recorder.wait(lambda: "buy" in recorder.names)

    assert [shown["url"].removeprefix(recorder.url) for shown in views(recorder)] == expected


def test_an_event_right_after_a_move_belongs_to_the_new_view(open_page: Open, recorder: Recorder) -> None:
    page = open_page("/first", GRANTED)
    page.evaluate("history.pushState({}, '', '/second'); void trackway.track('visit')")
    recorder.wait(lambda: "visit" in recorder.names)

    assert recorder.names == ["page", "page", "visit"]
    assert recorder.named("visit")[0]["context"]["page"]["view_id"] == views(recorder)[1]["view_id"]


def test_a_page_restored_from_the_back_forward_cache_is_a_new_view(open_page: Open, recorder: Recorder) -> None:
    page = open_page("/first", GRANTED)
    recorder.wait(lambda: len(views(recorder)) == 1)
    page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    recorder.wait(lambda: len(views(recorder)) == 2)

    first, restored = views(recorder)
    assert first["view_id"] != restored["view_id"]


def test_a_page_opened_in_the_background_counts_when_it_is_seen(
    context: BrowserContext, open_page: Open, recorder: Recorder
) -> None:
    context.add_init_script("Object.defineProperty(document, 'hidden', {configurable: true, get: () => !window.seen})")
    page = open_page("/later", GRANTED)
    page.evaluate("trackway.track('buy', {})")
    assert recorder.names == ["buy"]
    page.evaluate("window.seen = true; document.dispatchEvent(new Event('visibilitychange'))")
    recorder.wait(lambda: "page" in recorder.names)


def test_a_prerendered_page_waits_for_its_activation(
    context: BrowserContext, open_page: Open, recorder: Recorder
) -> None:
    context.add_init_script(
        "Object.defineProperty(document, 'prerendering', {configurable: true, get: () => !window.active})"
    )
    page = open_page("/early", GRANTED)
    page.evaluate("void (window.receipt = trackway('track', 'visit'))")
    assert page.evaluate("Object.keys(localStorage)") == []
    page.evaluate("window.active = true; document.dispatchEvent(new Event('prerenderingchange'))")

    assert page.evaluate("receipt")["status"] == "accepted"
    assert recorder.names == ["page", "visit"]


def test_automatic_views_can_be_left_to_the_site(open_page: Open, recorder: Recorder) -> None:
    page = open_page("/manual", f'{GRANTED} data-auto=""')
    receipt = page.evaluate("trackway.page('Tents', {season: 'summer'})")

    assert receipt["status"] == "accepted"
    assert recorder.names == ["page"]
    assert recorder.events[0]["properties"] == {"name": "Tents", "season": "summer"}


def test_the_tag_twice_on_a_page_counts_once(context: BrowserContext, open_page: Open, recorder: Recorder) -> None:
    recorder.head = '<script src="/tw/t.js" data-key="wk_shop" data-consent="granted"></script>'
    page = open_page("/twice", GRANTED)
    page.evaluate("trackway.track('visit')")
    assert recorder.names == ["page", "visit"]
