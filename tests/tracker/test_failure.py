"""A collector that refuses, limps, hangs or cannot be reached: nothing is lost, and nothing piles up."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from playwright.sync_api import BrowserContext

from tests.tracker.clocks import hurried
from tests.tracker.conftest import GRANTED, Open
from tests.tracker.once import answered, arrived_once, nothing_waits, ready, show
from tests.tracker.recorder import Fault, Recorder, Reply, accept, answer
from tests.tracker.waiting import wait_until

pytestmark = pytest.mark.browser
quick = pytest.mark.usefixtures("quick")

SECOND = 0.999  # clocks of two processes
KEPT = 100_000  # bytes of all copies together
STOPPED = "trackway.status().then(({stopped}) => stopped)"
STORED = """Object.entries(localStorage).filter(([key]) => key.startsWith('tw.q.'))
  .reduce((sum, [, value]) => sum + new Blob([value]).size, 0)"""
# Of requests, which take a fifth of what they may.
DEADLINE = """{
  const after = AbortSignal.timeout.bind(AbortSignal);
  AbortSignal.timeout = (ms) => after(ms / 5);
}"""
# Eight days ago, on the pages below /past, of which nothing ever leaves.
EIGHT_DAYS_AGO = """if (location.pathname.startsWith('/past')) {
  window.fetch = () => Promise.reject(new TypeError('no connection'));
  Navigator.prototype.sendBeacon = () => true;
  const Now = Date;
  window.Date = class extends Now {
    constructor(...values) { if (values.length) super(...values); else super(Date.now()); }
    static now() { return Now.now() - 8 * 86400e3; }
  };
  Object.defineProperty(performance, 'timeOrigin', {value: performance.timeOrigin - 8 * 86400e3});
}"""


def ids(sent: dict[str, Any]) -> list[str]:
    return [event["messageId"] for event in sent["batch"]]


# --- Not reached ------------------------------------------------------------------------------------------------------


def test_a_short_outage_is_survived_by_a_page_that_stays(
    context: BrowserContext, open_page: Open, collector: Recorder
) -> None:
    context.add_init_script(hurried(10))
    page = open_page()
    answered(page)
    collector.stop()
    page.evaluate("trackway.on('retry', () => (window.failed = true))")
    page.evaluate("void (window.receipt = trackway.track('buy', {order_id: 'o1'}))")
    wait_until(page, "!!window.failed")
    collector.start()
    assert page.evaluate("receipt")["status"] == "accepted"
    arrived_once(collector, ["page", "buy"])


def test_ten_seconds_refused_and_the_page_stays(context: BrowserContext, open_page: Open, collector: Recorder) -> None:
    context.add_init_script(hurried(10))
    page = open_page()
    answered(page)
    collector.stop()
    threading.Timer(10 / 10, collector.start).start()
    page.evaluate("for (let at = 0; at < 10; at++) void trackway.track('step ' + at)")
    arrived_once(collector, ["page", *(f"step {at}" for at in range(10))])
    nothing_waits(page)


@pytest.mark.parametrize("back", ["online", "seen again"])
def test_three_failures_without_an_answer_stop_the_page_until_it_may_go_on(
    back: str, context: BrowserContext, open_page: Open, collector: Recorder
) -> None:
    context.add_init_script(hurried(1000))
    page = open_page()
    answered(page)
    collector.stop()
    page.evaluate("window.tries = []; trackway.on('send', () => tries.push(1))")
    page.evaluate("void trackway.track('basket')")
    wait_until(page, STOPPED)
    page.evaluate("void trackway.track('visit')")
    page.wait_for_timeout(200)  # a page's minutes
    assert page.evaluate("tries") == [1, 1, 1]
    collector.start()
    if back == "online":
        page.evaluate("dispatchEvent(new Event('online'))")
    else:
        show(page, hidden=True)
        show(page, hidden=False)
    arrived_once(collector, ["page", "basket", "visit"])


def test_refused_and_reloaded_the_next_page_brings_everything(
    context: BrowserContext, open_page: Open, collector: Recorder
) -> None:
    context.add_init_script(hurried(5))
    page = open_page()
    answered(page)
    collector.stop()
    for at in range(10):
        page.evaluate(f"void trackway.track('step {at}')")
    page.evaluate("void trackway.track('buy', {order_id: 'o1'}); location.reload()")
    page.wait_for_load_state()
    collector.start()
    ready(page)
    arrived_once(collector, ["page", "page", "buy", *(f"step {at}" for at in range(10))])
    nothing_waits(page)


def test_offline_for_half_a_minute(context: BrowserContext, open_page: Open, collector: Recorder) -> None:
    context.add_init_script(hurried(10))
    page = open_page()
    answered(page)
    context.set_offline(True)
    for at in range(5):
        page.evaluate(f"void trackway.track('step {at}')")
    page.evaluate("trackway.on('retry', () => (window.failed = true))")
    page.wait_for_timeout(30_000 / 10)
    assert page.evaluate("window.failed")
    context.set_offline(False)
    arrived_once(collector, ["page", *(f"step {at}" for at in range(5))])
    nothing_waits(page)


# --- An answer that acknowledges nothing ------------------------------------------------------------------------------


def test_503_is_tried_again_when_the_collector_says_so(
    context: BrowserContext, open_page: Open, recorder: Recorder
) -> None:
    context.add_init_script(hurried(10))
    page = open_page(attributes=GRANTED)
    answered(page)
    recorder.faults.append(answer(503, {"code": "unavailable"}, retry_after="20"))
    assert page.evaluate("trackway.track('buy', {order_id: 'o1'})")["status"] == "accepted"

    _, first, second = recorder.tries
    assert second.at - first.at >= 20 * SECOND / 10
    assert ids(second.sent) == ids(first.sent)
    assert second.sent["sentAt"] > first.sent["sentAt"]


@pytest.mark.parametrize(
    "fault",
    [
        answer(429),
        answer(408),
        answer(502, {"code": "unavailable"}),
        answer(200),
        answer(200, "a portal's page"),
        answer(200, b"<!doctype html><title>Sign in</title>", content_type="text/html"),
    ],
    ids=["429", "408", "502", "empty", "no object", "HTML"],
)
def test_an_answer_that_acknowledges_nothing_is_tried_again(
    fault: Fault, context: BrowserContext, open_page: Open, recorder: Recorder
) -> None:
    context.add_init_script(hurried(10))
    page = open_page(attributes=GRANTED)
    answered(page)
    recorder.faults.append(fault)
    assert page.evaluate("trackway.track('buy', {order_id: 'o1'})")["status"] == "accepted"
    _, first, second = recorder.tries
    assert ids(second.sent) == ids(first.sent)
    assert second.at - first.at >= SECOND / 10


def test_a_collector_that_hangs_is_given_up_after_ten_seconds_and_tried_again(
    context: BrowserContext, open_page: Open, recorder: Recorder
) -> None:
    context.add_init_script(f"{hurried(5)} {DEADLINE}")
    never = threading.Event()

    def hang(sent: dict[str, Any]) -> Reply:
        never.wait(60)
        return accept(sent)

    page = open_page(attributes=GRANTED)
    answered(page)
    recorder.faults.append(hang)
    receipt = page.evaluate("trackway.track('buy', {order_id: 'o1'})")
    never.set()
    _, first, second = recorder.tries
    assert receipt["status"] == "accepted"
    assert 10 * SECOND <= (second.at - first.at) * 5 <= 20
    assert recorder.names.count("buy") == 1


# --- A refusal --------------------------------------------------------------------------------------------------------


@quick
@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_settles_the_receipts_and_blocks_nothing(status: int, open_page: Open, recorder: Recorder) -> None:
    page = open_page(attributes=GRANTED)
    answered(page)
    recorder.faults.append(answer(status, {"code": "unknown_key"}))
    refused = page.evaluate("trackway.track('basket')")
    assert (refused["status"], refused["reason"]) == ("rejected", "unknown_key")
    assert page.evaluate("trackway.track('basket')")["status"] == "accepted"
    assert len(recorder.tries) == 3


@quick
def test_a_400_that_names_one_of_five_drops_that_one(open_page: Open, recorder: Recorder) -> None:
    page = open_page(attributes=GRANTED)
    answered(page)
    recorder.faults.append(answer(400, {"code": "invalid_json", "path": "batch[2].properties.price"}))
    receipts = page.evaluate("Promise.all(['a', 'b', 'c', 'd', 'e'].map((name) => trackway.track(name)))")
    assert [receipt["status"] for receipt in receipts] == ["accepted", "accepted", "rejected", "accepted", "accepted"]
    assert receipts[2]["reason"] == "invalid_json"
    assert recorder.names == ["page", "a", "b", "d", "e"]
    assert len(recorder.tries) == 3
    nothing_waits(page)


@quick
def test_a_receipt_that_refuses_one_of_five_is_told_to_its_caller(open_page: Open, recorder: Recorder) -> None:
    def choosy(sent: dict[str, Any]) -> Reply:
        receipts = [{"id": one, "status": "accepted"} for one in ids(sent)]
        receipts[2] |= {"status": "rejected", "reason": "too_long", "path": "properties.name"}
        return 200, {}, json.dumps({"success": True, "receipts": receipts}).encode()

    page = open_page(attributes=GRANTED)
    answered(page)
    recorder.faults.append(choosy)
    receipts = page.evaluate("Promise.all(['a', 'b', 'c', 'd', 'e'].map((name) => trackway.track(name)))")
    assert [receipt["status"] for receipt in receipts] == ["accepted", "accepted", "rejected", "accepted", "accepted"]
    assert (receipts[2]["reason"], receipts[2]["path"]) == ("too_long", "properties.name")
    assert len(recorder.tries) == 2


@quick
def test_a_body_too_large_is_split_until_the_one_is_found(open_page: Open, recorder: Recorder) -> None:
    def narrow(sent: dict[str, Any]) -> Reply:
        if "huge" in [event.get("event") for event in sent["batch"]]:
            return answer(413, {"code": "body_too_large"})({})
        return accept(sent)

    page = open_page(attributes=GRANTED)
    answered(page)
    recorder.always = narrow
    receipts = page.evaluate("Promise.all(['a', 'b', 'huge', 'c', 'basket'].map((name) => trackway.track(name)))")

    assert [receipt["status"] for receipt in receipts] == ["accepted", "accepted", "rejected", "accepted", "accepted"]
    assert receipts[2]["reason"] == "body_too_large"
    assert recorder.names == ["page", "a", "b", "c", "basket"]
    assert len(recorder.tries) <= 8


# --- Never reached ----------------------------------------------------------------------------------------------------


def test_a_blocked_endpoint_is_tried_three_times_a_page(
    context: BrowserContext, open_page: Open, collector: Recorder
) -> None:
    context.add_init_script(hurried(1000))
    collector.stop()
    tries: list[str] = []
    context.on("requestfailed", lambda request: tries.append(request.url))
    page = open_page()
    for at in range(30):
        page.evaluate(f"void trackway.track('step {at}')")
    wait_until(page, STOPPED)
    page.wait_for_timeout(500)
    assert 1 <= len([url for url in tries if url.endswith("/tw/e")]) <= 3


def test_what_eight_days_ago_was_left_is_dropped_and_counted(
    context: BrowserContext, open_page: Open, collector: Recorder
) -> None:
    context.add_init_script(EIGHT_DAYS_AGO)
    old = open_page("/past")
    old.evaluate("void trackway.track('old')")
    wait_until(old, "trackway.status().then(({queued}) => queued === 2)")
    old.close()
    page = open_page("/now")
    nothing_waits(page)
    arrived_once(collector, ["page"])
    assert collector.names == ["page"]
    assert page.evaluate("trackway.status()")["dropped"] == 2


def test_a_long_outage_of_one_page_stays_within_its_bounds_and_keeps_the_purchases(
    context: BrowserContext, open_page: Open, collector: Recorder
) -> None:
    context.add_init_script(hurried(5))
    collector.stop()
    page = open_page()
    page.evaluate("""
      for (let at = 0; at < 40; at++) trackway.track('buy', {order_id: 'o' + at});
      for (let at = 0; at < 59; at++) void trackway.track('long', {text: 'x'.repeat(3000)});
    """)
    size = page.evaluate(STORED)
    status = page.evaluate("trackway.status()")
    assert size <= KEPT
    assert status["queued"] + status["dropped"] == 100
    collector.start()
    page.reload()
    arrived_once(collector, ["page", *["buy"] * 40])
    nothing_waits(page)
