"""Every event arrives, and counts once: batches, retries, refusals, outages, pages that are left at once."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext

from tests.tracker.conftest import Open
from tests.tracker.recorder import Recorder, accept, answer
from tests.tracker.waiting import wait_until

pytestmark = pytest.mark.browser
quick = pytest.mark.usefixtures("quick")

GRANTED = 'data-consent="granted"'
SECOND = 0.999  # clocks of two processes


@pytest.fixture
def collector(recorder: Recorder) -> Iterator[Recorder]:
    """A collector on an origin of its own, which can be stopped while `recorder` serves the pages."""
    collector = Recorder()
    recorder.attributes = f'{GRANTED} data-endpoint="{collector.url}/tw/e"'
    yield collector
    collector.stop()


def leftovers(events: list[dict[str, str]], age: float, page: str = "gone") -> str:
    """What a page last touched `age` seconds ago."""
    left = {"at": (time.time() - age) * 1000, "events": events}
    return f"localStorage.setItem('tw.q.wk_shop.{page}', {json.dumps(json.dumps(left))})"


def test_what_happens_within_a_second_is_one_request(open_page: Open, recorder: Recorder) -> None:
    page = open_page(attributes=GRANTED)
    page.evaluate("Promise.all([trackway.track('a'), trackway.track('b'), trackway.track('c')])")
    assert [len(batch["batch"]) for batch in recorder.batches] == [4]


def test_twenty_events_and_purchases_do_not_wait(open_page: Open, recorder: Recorder) -> None:
    open_page(attributes=GRANTED).evaluate("""
      window.setTimeout = (action, ms) => { if (ms < 500) queueMicrotask(action); return 1; };
      for (let at = 0; at < 50; at++) trackway.track('step');
      trackway.track('basket', {items: []});
    """)
    recorder.wait(lambda: "basket" in recorder.names)
    assert len(recorder.named("step")) == 50
    assert max(len(batch["batch"]) for batch in recorder.batches) == 20


@quick
def test_a_batch_has_sixteen_kilobytes_at_most_and_one_is_in_the_air(open_page: Open, recorder: Recorder) -> None:
    page = open_page(attributes=GRANTED)
    page.evaluate("Promise.all(Array.from({length: 12}, () => trackway.track('large', {text: '😀'.repeat(1000)})))")
    assert len(recorder.named("large")) == 12
    assert max(len(json.dumps(sent, ensure_ascii=False).encode()) for _, sent, _ in recorder.tries) <= 17_000
    assert [event["context"]["seq"] for event in recorder.events] == list(range(1, 14))


@quick
def test_an_event_right_before_leaving_arrives(open_page: Open, recorder: Recorder) -> None:
    page = open_page(attributes=GRANTED)
    recorder.wait(lambda: recorder.names == ["page"])
    for at in range(5):
        page.evaluate(f"void trackway.track('left {at}'); location = '/next/{at}'")
        page.wait_for_url(f"**/next/{at}")
        page.wait_for_function("window.trackway && trackway.version")
    page.evaluate("void trackway.track('last')")
    page.close()
    recorder.wait(lambda: {f"left {at}" for at in range(5)} | {"last"} <= set(recorder.names))
    assert Counter(recorder.names) == {"page": 6, "last": 1, **{f"left {at}": 1 for at in range(5)}}


def test_an_event_right_before_a_reload_counts_once_though_the_collector_was_down(
    open_page: Open, collector: Recorder
) -> None:
    page = open_page()
    collector.wait(lambda: collector.names == ["page"])
    collector.stop()
    page.evaluate("void trackway.track('buy', {order_id: 'o1'}); location.reload()")
    page.wait_for_load_state()
    collector.start()
    collector.wait(lambda: "buy" in collector.names and collector.names.count("page") == 2)
    page.wait_for_function("Object.keys(localStorage).every((key) => !key.startsWith('tw.q.'))")
    assert Counter(collector.names) == {"page": 2, "buy": 1}


@quick
def test_an_event_survives_an_outage_on_a_page_that_stays(open_page: Open, collector: Recorder) -> None:
    page = open_page()
    collector.wait(lambda: collector.names == ["page"])
    collector.stop()
    page.evaluate("void (window.receipt = trackway.track('buy', {order_id: 'o1'}))")
    wait_until(page, "trackway.status().then(({queued}) => queued === 1)")
    collector.start()
    assert page.evaluate("receipt")["status"] == "accepted"
    assert collector.names == ["page", "buy"]


@quick
def test_three_failures_without_an_answer_stop_the_page_until_it_is_online(
    open_page: Open, collector: Recorder
) -> None:
    page = open_page()
    collector.wait(lambda: collector.names == ["page"])
    collector.stop()
    page.evaluate("Math.random = () => 0")
    assert page.evaluate("trackway.track('basket')")["status"] == "queued"
    assert page.evaluate("trackway.status()")["stopped"]
    assert page.evaluate("trackway.track('visit')")["reason"] == "unreachable"
    collector.start()
    page.evaluate("dispatchEvent(new Event('online'))")
    collector.wait(lambda: collector.names == ["page", "basket", "visit"])


def test_503_is_tried_again_when_the_collector_says_so(open_page: Open, recorder: Recorder) -> None:
    recorder.faults.append(answer(503, {"code": "unavailable"}, retry_after="2"))
    page = open_page(attributes=GRANTED)
    assert page.evaluate("trackway.track('buy', {order_id: 'o1'})")["status"] == "accepted"

    (first, sent, _), (second, again, _) = recorder.tries
    assert second - first >= 2 * SECOND
    assert [event["messageId"] for event in again["batch"]] == [event["messageId"] for event in sent["batch"]]
    assert again["sentAt"] > sent["sentAt"]


@pytest.mark.parametrize(
    "fault",
    [answer(429), answer(408), answer(502), answer(200), answer(200, "a portal's page")],
    ids=["429", "408", "502", "empty", "no object"],
)
def test_an_answer_that_acknowledges_nothing_is_tried_again(fault: object, open_page: Open, recorder: Recorder) -> None:
    recorder.faults.append(fault)  # type: ignore[arg-type]
    page = open_page(attributes=GRANTED)
    assert page.evaluate("trackway.track('buy', {order_id: 'o1'})")["status"] == "accepted"
    assert len(recorder.tries) == 2


@quick
@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_settles_the_receipts_and_blocks_nothing(status: int, open_page: Open, recorder: Recorder) -> None:
    page = open_page(attributes=GRANTED)
    recorder.wait(lambda: recorder.names == ["page"])
    recorder.faults.append(answer(status, {"code": "unknown_key"}))
    refused = page.evaluate("trackway.track('basket')")
    assert (refused["status"], refused["reason"]) == ("rejected", "unknown_key")
    assert page.evaluate("trackway.track('basket')")["status"] == "accepted"
    assert len(recorder.tries) == 3


@quick
def test_a_body_too_large_is_split_until_the_one_is_found(open_page: Open, recorder: Recorder) -> None:
    def narrow(sent: dict[str, list[dict[str, str]]]) -> tuple[int, dict[str, str], bytes]:
        recorder.faults.append(narrow)
        names = [event.get("event") for event in sent["batch"]]
        if "huge" in names:
            return answer(413, {"code": "body_too_large"})({})
        return accept(sent)

    page = open_page(attributes=GRANTED)
    recorder.wait(lambda: recorder.names == ["page"])
    recorder.faults.append(narrow)
    receipts = page.evaluate("Promise.all(['a', 'b', 'huge', 'c', 'basket'].map((name) => trackway.track(name)))")

    assert [receipt["status"] for receipt in receipts] == ["accepted", "accepted", "rejected", "accepted", "accepted"]
    assert receipts[2]["reason"] == "body_too_large"
    assert recorder.names == ["page", "a", "b", "c", "basket"]


@quick
def test_what_an_earlier_page_left_is_taken_over_in_order(open_page: Open, recorder: Recorder) -> None:
    page = open_page()
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    old = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - 8 * 86_400))
    events = [
        {"type": "track", "event": "too old", "messageId": "x0", "timestamp": old},
        {"type": "track", "event": "first", "messageId": "x1", "timestamp": now},
        {"type": "track", "event": "second", "messageId": "x2", "timestamp": now},
    ]
    page.evaluate("trackway.consent('granted')")
    page.evaluate(leftovers(events, 2.6))
    page.reload()
    recorder.wait(lambda: "second" in recorder.names)

    left = [event for event in recorder.events if event.get("event") in ("too old", "first", "second")]
    assert [(event["event"], event["messageId"]) for event in left] == [("first", "x1"), ("second", "x2")]
    page.wait_for_function("Object.keys(localStorage).every((key) => !key.startsWith('tw.q.'))")


def test_a_page_that_stays_takes_over_what_many_left_one_after_the_other(
    context: BrowserContext, open_page: Open, recorder: Recorder
) -> None:
    page = open_page()
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    page.evaluate("trackway.consent('granted')")
    for at in range(8):
        event = {"type": "track", "event": "left", "messageId": f"x{at}", "timestamp": now}
        page.evaluate(leftovers([event], at * 0.3, f"gone{at}"))
    context.clock.install()
    page.reload()
    page.wait_for_function("window.trackway && trackway.version")
    page.clock.run_for(30_000)
    recorder.wait(lambda: len(recorder.named("left")) == 8)
    wait_until(page, "Object.keys(localStorage).every((key) => !key.startsWith('tw.q.'))")


def test_what_another_page_still_works_on_is_left_alone(open_page: Open, recorder: Recorder) -> None:
    page = open_page()
    event = {"type": "track", "event": "theirs", "messageId": "x1", "timestamp": "2026-01-01T00:00:00.000Z"}
    page.evaluate("trackway.consent('granted')")
    page.evaluate(leftovers([event], 0))
    page.reload()
    page.wait_for_function("window.trackway && trackway.version")
    assert page.evaluate("trackway.track('basket')")["status"] == "accepted"
    assert "theirs" not in recorder.names
    assert page.evaluate("localStorage.getItem('tw.q.wk_shop.gone') !== null")


def test_a_long_outage_stays_within_its_bounds_and_keeps_the_purchases(open_page: Open, collector: Recorder) -> None:
    collector.stop()
    page = open_page()
    page.evaluate("""
      for (let at = 0; at < 40; at++) trackway.track('buy', {order_id: 'o' + at});
      for (let at = 0; at < 59; at++) trackway.track('long', {text: 'x'.repeat(3000)});
    """)
    size = page.evaluate("Object.values(localStorage).reduce((sum, value) => sum + value.length, 0)")
    kept = page.evaluate("JSON.parse(Object.entries(localStorage).find(([key]) => /^tw.q/.test(key))[1]).events")
    status = page.evaluate("trackway.status()")

    assert size < 105_000
    assert [event["event"] for event in kept if event["type"] == "track"].count("buy") == 40
    assert len(kept) == status["queued"]
    assert status["queued"] + status["dropped"] == 100


@quick
def test_a_beacon_takes_what_is_left_where_keepalive_is_missing(open_page: Open, recorder: Recorder) -> None:
    recorder.head = "<script>delete Request.prototype.keepalive</script>"
    page = open_page(attributes=GRANTED)
    recorder.wait(lambda: recorder.names == ["page"])
    page.evaluate("void trackway.track('left')")
    page.close(run_before_unload=False)
    recorder.wait(lambda: "left" in recorder.names)


def test_an_idle_page_has_no_timer(open_page: Open, recorder: Recorder) -> None:
    recorder.head = """<script>
      window.timers = new Set();
      const [set, clear] = [setTimeout, clearTimeout];
      window.setTimeout = (action, ms) => {
        const id = set(() => { timers.delete(id); action(); }, ms);
        timers.add(id);
        return id;
      };
      window.clearTimeout = (id) => { timers.delete(id); clear(id); };
      window.setInterval = () => { throw new Error('polling'); };
    </script>"""
    page = open_page(attributes=GRANTED)
    assert page.evaluate("trackway.track('basket')")["status"] == "accepted"
    page.wait_for_function("timers.size === 0")
