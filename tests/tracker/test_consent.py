"""Nothing before consent; everything that was held after it; nothing left after a withdrawal."""

from __future__ import annotations

import itertools
from datetime import datetime
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import BrowserContext

from tests.tracker.clocks import hurried
from tests.tracker.conftest import Open
from tests.tracker.durable import Durable
from tests.tracker.once import ready
from tests.tracker.recorder import Recorder, answer
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
    assert [event["seq"] for event in recorder.events] == [1, 2, 3, 4, 5]
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
    known = page.evaluate("trackway('consent', {analytics: true, personalization: true})")
    assert (known["status"], known.get("id")) == ("accepted", None)  # no event
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
    known = page.evaluate("trackway('consent', 'denied')")
    assert (known["status"], known.get("id")) == ("accepted", None)  # no event
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


def test_a_choice_made_before_the_script_came_is_the_first_thing_it_does(open_page: Open, recorder: Recorder) -> None:
    stub = "trackway=window.trackway||function(){(trackway.q=trackway.q||[]).push(arguments)};"
    recorder.head = f"<script>{stub} trackway('track', 'visit'); trackway('consent', 'granted')</script>"
    open_page()
    recorder.wait(lambda: len(recorder.events) == 3)
    assert {event["context"]["consent"]["choice"] for event in recorder.events} == {"granted"}

    recorder.head = f"<script>{stub} trackway('track', 'never sent'); trackway('consent', 'denied')</script>"
    page = open_page("/second")
    wait_until(page, "trackway.status().then(({consent}) => consent === 'denied')")
    page.wait_for_timeout(1500)  # longer than a batch waits
    assert "never sent" not in recorder.names
    assert page.evaluate("Object.keys(localStorage)") == []


def test_a_withdrawal_with_a_request_in_flight_leaves_nothing_to_send_again(
    context: BrowserContext, open_page: Open, recorder: Recorder
) -> None:
    context.add_init_script(hurried(10))
    page = open_page()
    page.evaluate("trackway('consent', 'granted')")
    recorder.wait(lambda: "consent" in recorder.names)
    recorder.hold.clear()
    recorder.faults.append(answer(503))
    page.evaluate("void (window.basket = trackway.track('basket'))")
    recorder.wait(lambda: recorder.tries[-1].sent["batch"][0].get("event") == "basket")
    page.evaluate("void (window.receipt = trackway('consent', 'denied'))")
    assert page.evaluate("basket")["status"] == "filtered"
    recorder.hold.set()

    assert page.evaluate("receipt")["status"] == "accepted"
    assert page.evaluate("Object.keys(localStorage)") == []
    assert "basket" not in recorder.names
    page.reload()
    ready(page)
    assert page.evaluate("trackway.status()")["queued"] == 0
    assert len(recorder.named("consent")) == 2


@pytest.mark.parametrize("target", ["document", "window"])
def test_raptors_event_is_a_grant(target: str, open_page: Open, recorder: Recorder) -> None:
    page = open_page()
    page.evaluate(f"{target}.dispatchEvent(new Event('enableTracking'))")
    recorder.wait(lambda: recorder.names == ["page", "consent"])
    assert recorder.events[0]["context"]["consent"]["choice"] == "granted"


@pytest.mark.parametrize("signal", ["globalPrivacyControl", "doNotTrack"])
def test_a_browser_that_objects_can_be_made_to_hold_everything(
    signal: str, context: BrowserContext, open_page: Open, recorder: Recorder
) -> None:
    context.add_init_script(f"Object.defineProperty(navigator, '{signal}', {{value: '1'}})")
    page = open_page(attributes='data-consent="granted" data-respect="gpc dnt"')
    page.evaluate("void trackway.track('buy'); void trackway('consent', 'granted')")
    page.wait_for_timeout(1500)  # longer than a batch waits
    page.evaluate("dispatchEvent(new Event('pagehide'))")
    page.goto(recorder.url + "/nothing-left")

    assert recorder.tries == []


@pytest.mark.parametrize(("signal", "respected"), [("globalPrivacyControl", "dnt"), ("doNotTrack", "gpc")])
def test_only_the_signal_that_is_named_holds_everything(
    signal: str, respected: str, context: BrowserContext, open_page: Open, recorder: Recorder
) -> None:
    context.add_init_script(f"Object.defineProperty(navigator, '{signal}', {{value: '1'}})")
    open_page(attributes=f'data-consent="granted" data-respect="{respected}"')
    recorder.wait(lambda: recorder.names == ["page"])


def test_what_a_setting_cannot_be_counts_as_not_said(open_page: Open, recorder: Recorder) -> None:
    open_page(attributes='data-consent="yes" data-spa="paths" data-session="soon" data-sample="few"')
    page = open_page(attributes='data-consent="granted" data-spa="paths" data-session="soon" data-sample="few"')
    page.evaluate("history.pushState({}, '', '?query'); history.pushState({}, '', '/path'); void trackway.track('a')")
    recorder.wait(lambda: recorder.names == ["page", "page", "a"])
    assert len({event["context"]["sessionId"] for event in recorder.events}) == 1


def test_what_the_browser_signals_stands_beside_each_events_consent(
    context: BrowserContext, open_page: Open, recorder: Recorder, tmp_path: Path
) -> None:
    context.set_extra_http_headers({"Sec-GPC": "1"})
    page = open_page(attributes='data-consent="granted"')
    page.evaluate("trackway.track('buy')")
    assert recorder.tries[0].headers["sec-gpc"] == "1"

    collector = Durable(tmp_path)
    with collector.running(recorder.url):
        headers = {"content-type": "text/plain", "origin": recorder.url, "sec-gpc": "1"}
        for body in recorder.raw:
            assert httpx2.post(f"{collector.url}/tw/e", content=body, headers=headers).status_code == 200
    assert collector.names() == {"pageview": 1, "buy": 1}
    for event in collector.accepted():
        assert event["consent"]["gpc"] is True


def test_what_addresses_and_passwords_hold_never_leaves(open_page: Open, recorder: Recorder) -> None:
    secrets = ["someone%40example.org", "someone@example.org", "s3cret-token", "hunter2-password"]
    recorder.addons = "engage,auto"
    recorder.body = """
      <form action="/sent" data-tw="search" data-tw-on="submit">
        <input name="email" value="someone@example.org"><input type="password" name="password">
        <button data-tw="favorite">Log in</button>
      </form>
      <a href="https://other.example/?email=someone@example.org&token=s3cret-token" target="frame">Away</a>
      <iframe name="frame"></iframe>
      <script>document.links[0].addEventListener('click', (e) => e.preventDefault())</script>
    """
    query = "?email=someone%40example.org&token=s3cret-token&utm_source=news"
    page = open_page(f"/login{query}#access_token=s3cret-token", 'data-consent="granted"')
    page.fill("[type=password]", "hunter2-password")
    page.click("a")
    page.evaluate(f"history.pushState({{}}, '', '/next{query}')")
    page.click("button")
    page.wait_for_url("**/sent*")
    page.evaluate("trackway.track('buy')")
    recorder.wait(lambda: {"outbound", "favorite", "search", "buy"} <= set(recorder.names))

    said = b"\n".join(recorder.raw).decode()
    assert [secret for secret in secrets if secret in said] == []
    assert recorder.events[0]["context"]["page"]["url"] == f"{recorder.url}/login?utm_source=news"
    assert recorder.events[-1]["context"]["page"]["referrer"] == f"{recorder.url}/next?utm_source=news"
