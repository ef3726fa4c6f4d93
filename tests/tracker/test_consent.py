"""Nothing before consent; everything that was held after it; nothing left after a withdrawal."""

from __future__ import annotations

import itertools
from datetime import datetime

import pytest
from playwright.sync_api import BrowserContext

from tests.tracker.conftest import Open
from tests.tracker.recorder import Recorder
from tests.tracker.waiting import wait_until

pytestmark = pytest.mark.browser

SPY = """
  window.touched = [];
  const storage = localStorage;
  const bound = (value) => (typeof value === 'function' ? value.bind(storage) : value);
  Object.defineProperty(window, 'localStorage', {get: () => new Proxy(storage, {
    get: (_, key) => (touched.push(`read ${key}`), bound(storage[key])),
    set: (_, key, value) => (touched.push(`write ${key}`), (storage[key] = value), true),
    deleteProperty: (_, key) => (touched.push(`remove ${key}`), delete storage[key]),
    ownKeys: () => (touched.push('keys'), Reflect.ownKeys(storage)),
  })});
  const cookie = Object.getOwnPropertyDescriptor(Document.prototype, 'cookie');
  Object.defineProperty(Document.prototype, 'cookie', {
    get() { touched.push('cookie read'); return cookie.get.call(this); },
    set(value) { touched.push('cookie write'); cookie.set.call(this, value); },
  });
"""


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_before_consent_there_is_no_request_no_cookie_and_no_stored_key(
    context: BrowserContext, open_page: Open, recorder: Recorder
) -> None:
    context.add_init_script(SPY)
    context.clock.install()
    page = open_page()
    receipts = page.evaluate("""Promise.all([
      trackway('track', 'basket', {items: [{product_id: 'p1'}]}),
      trackway.identify('u1', {email: 'someone@example.org'}),
      trackway.track('buy', {order_id: 'o1'}),
    ])""")
    page.evaluate("history.pushState({}, '', '/second')")
    page.clock.run_for(120_000)
    page.evaluate("dispatchEvent(new Event('pagehide'))")
    page.clock.run_for(1_000)

    assert [receipt["status"] for receipt in receipts] == ["held", "held", "held"]
    # Whether there was a choice is all that is looked at.
    assert page.evaluate("touched") == ["read tw.consent"]
    assert context.cookies() == []
    assert recorder.tries == []


def test_a_grant_brings_what_was_held_with_its_own_times_in_order(
    context: BrowserContext, open_page: Open, recorder: Recorder
) -> None:
    context.clock.install()
    page = open_page()
    for name in ("visit", "favorite", "search"):
        page.clock.run_for(5_000)
        page.evaluate(f"void trackway('track', '{name}')")
    page.clock.run_for(5_000)
    page.evaluate("void (window.receipt = trackway('consent', 'granted'))")
    page.clock.run_for(2_000)
    recorder.wait(lambda: len(recorder.events) >= 5)

    assert recorder.names == ["page", "visit", "favorite", "search", "consent"]
    times = [moment(event["timestamp"]) for event in recorder.events]
    assert all(later - earlier >= 5 for earlier, later in itertools.pairwise(times))
    assert [event["context"]["seq"] for event in recorder.events] == [1, 2, 3, 4, 5]
    assert all(event["context"]["consent"] == {"choice": "granted"} for event in recorder.events)
    assert len({event["anonymousId"] for event in recorder.events}) == 1
    assert page.evaluate("receipt.then((one) => one.status)") == "accepted"


def test_at_most_fifty_events_are_held(context: BrowserContext, open_page: Open, recorder: Recorder) -> None:
    page = open_page()
    statuses = page.evaluate("""Promise.all(Array.from({length: 60}, (_, at) => trackway.track('step ' + at)))
      .then((receipts) => receipts.map(({status}) => status))""")
    page.evaluate("trackway.consent('granted')")
    recorder.wait(lambda: len(recorder.events) >= 51)

    assert statuses == ["held"] * 49 + ["rejected"] * 11
    assert recorder.names == ["page", *(f"step {at}" for at in range(49)), "consent"]


def test_a_choice_of_purposes_is_sent_as_it_was_made(open_page: Open, recorder: Recorder) -> None:
    page = open_page()
    page.evaluate("trackway('consent', {analytics: true})")
    recorder.wait(lambda: len(recorder.events) >= 2)

    assert recorder.events[0]["context"]["consent"]["choice"] == {"analytics": True}


def test_the_choice_is_remembered_by_the_next_page(open_page: Open, recorder: Recorder) -> None:
    page = open_page()
    page.evaluate("trackway('consent', {analytics: true, personalization: true})")
    recorder.wait(lambda: "consent" in recorder.names)
    page.goto(recorder.url + "/second")
    recorder.wait(lambda: len(recorder.named("page")) == 2)

    first, second = recorder.named("page")
    assert second["context"]["consent"] == first["context"]["consent"]
    assert second["anonymousId"] == first["anonymousId"]
    assert page.evaluate("trackway('consent', {analytics: true, personalization: true})")["reason"] == "local"
    assert len(recorder.named("consent")) == 1


def test_a_denial_drops_what_was_held_and_sends_nothing(
    context: BrowserContext, open_page: Open, recorder: Recorder
) -> None:
    context.clock.install()
    page = open_page()
    page.evaluate("void trackway.track('visit')")
    assert page.evaluate("trackway('consent', 'denied')")["status"] == "filtered"
    assert page.evaluate("trackway.track('visit')") == {"status": "filtered", "reason": "consent"}
    page.clock.run_for(60_000)

    assert recorder.tries == []
    assert page.evaluate("Object.keys(localStorage)") == []


def test_a_withdrawal_is_told_once_and_leaves_nothing_behind(open_page: Open, recorder: Recorder) -> None:
    page = open_page()
    page.evaluate("trackway('consent', 'granted')")
    recorder.wait(lambda: "consent" in recorder.names)
    page.evaluate("void trackway.track('never sent')")
    receipt = page.evaluate("trackway('consent', 'denied')")

    told = recorder.named("consent")[1]
    assert receipt == {"id": told["messageId"], "status": "accepted"}
    assert told["context"]["consent"]["choice"] == "denied"
    assert told["anonymousId"] == recorder.events[0]["anonymousId"]
    assert "never sent" not in recorder.names
    assert page.evaluate("Object.keys(localStorage)") == []
    assert page.evaluate("trackway('consent', 'denied')")["reason"] == "local"
    assert len(recorder.named("consent")) == 2


def test_tabs_follow_a_choice_made_in_another(open_page: Open, recorder: Recorder) -> None:
    first, second = open_page("/first"), open_page("/second")
    first.evaluate("trackway('consent', 'granted')")
    recorder.wait(lambda: len(recorder.named("page")) == 2)
    assert len({event["anonymousId"] for event in recorder.events}) == 1

    second.evaluate("trackway('consent', 'denied')")
    wait_until(first, "trackway.status().then(({consent}) => consent === 'denied')")
    assert first.evaluate("trackway.track('visit')")["status"] == "filtered"
    assert len(recorder.named("consent")) == 2


def test_where_consent_is_presumed_an_objection_is_remembered(open_page: Open, recorder: Recorder) -> None:
    page = open_page(attributes='data-consent="granted"')
    recorder.wait(lambda: recorder.names == ["page"])
    assert recorder.events[0]["context"]["consent"]["choice"] == "granted"
    page.evaluate("trackway('consent', 'denied')")
    page.reload()
    page.wait_for_function("window.trackway && trackway.version")

    assert page.evaluate("trackway.track('visit')")["status"] == "filtered"
    assert page.evaluate("Object.keys(localStorage)") == ["tw.consent"]
    assert recorder.names == ["page", "consent"]
