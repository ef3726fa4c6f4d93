"""A page that is left, in whatever way: its last events arrive, once, and what the visitor did is not disturbed."""

from __future__ import annotations

from datetime import datetime

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.tracker.conftest import GRANTED, Open
from tests.tracker.once import answered, arrived_once, nothing_waits, ready, show
from tests.tracker.recorder import Recorder

pytestmark = pytest.mark.browser
quick = pytest.mark.usefixtures("quick")

MARKED = 'id="it" data-tw="visit"'
LINKS = {
    "plain": f'<a {MARKED} href="/next">on</a>',
    "blank": f'<a {MARKED} href="/next" target="_blank">on</a>',
    "middle": f'<a {MARKED} href="/next">on</a>',
    "form": '<form data-tw="visit" data-tw-on="submit" method="post" action="/next">'
    '<input type="hidden" name="q" value="tent"><button id="it">on</button></form>',
    "download": f'<a {MARKED} href="/next" download="file.txt">on</a>',
    "mailto": f'<a {MARKED} href="mailto:someone@example.org">on</a>',
}


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def leave(page: Page, script: str, path: str = "/next") -> None:
    """Run the script and leave for another page in the same task; the tracker runs there when this returns."""
    page.evaluate(f"{script}; location = '{path}'")
    page.wait_for_url(f"**{path}")
    ready(page)


@pytest.mark.parametrize("kind", LINKS)
def test_a_marked_link_does_what_it_does_and_counts_once(
    kind: str, context: BrowserContext, open_page: Open, recorder: Recorder
) -> None:
    recorder.body = LINKS[kind]
    page = open_page("/first", GRANTED)
    page.evaluate("""for (const type of ['click', 'auxclick', 'submit'])
      addEventListener(type, (event) => { document.documentElement.dataset.prevented = event.defaultPrevented; })""")
    page.click("#it", button="middle" if kind == "middle" else "left", no_wait_after=True)
    if kind != "mailto":
        recorder.wait(lambda: [one for one in recorder.others if one.path == "/next"])
    arrived_once(recorder, ["visit"])

    asked = [one for one in recorder.others if one.path == "/next"]
    wanted = {"form": [("POST", b"q=tent")], "mailto": []}.get(kind, [("GET", b"")])
    assert [(one.method, one.body) for one in asked] == wanted
    # A page that is being left is not to be asked where it is.
    page.wait_for_url("**/next" if kind in ("plain", "form") else "**/first")
    if kind not in ("plain", "form"):
        assert page.evaluate("document.documentElement.dataset.prevented") == "false"
    while len(context.pages) < (2 if kind in ("blank", "middle") else 1):
        page.wait_for_timeout(50)
    assert b"someone" not in b"".join(recorder.raw)


def test_a_link_that_leads_away_is_followed_and_counts_once(open_page: Open, recorder: Recorder) -> None:
    elsewhere = Recorder()
    try:
        recorder.body = f'<a id="it" href="{elsewhere.url}/there?token=secret">away</a>'
        page = open_page("/first", GRANTED)
        page.click("#it", no_wait_after=True)
        page.wait_for_url(f"{elsewhere.url}/there**")
        arrived_once(recorder, ["page", "outbound"])
        assert recorder.named("outbound")[0]["properties"]["url"] == f"{elsewhere.url}/there"
    finally:
        elsewhere.stop()


def test_events_in_the_task_that_leaves_arrive_and_the_next_page_sends_none_again(
    open_page: Open, recorder: Recorder
) -> None:
    page = open_page(attributes=GRANTED)
    answered(page)
    for at in range(5):
        leave(page, f"void trackway.track('left {at}')", f"/next/{at}")
    arrived_once(recorder, [f"left {at}" for at in range(5)])
    # A page looks for what its predecessors sent; what it finds answered is not sent again.
    nothing_waits(page)
    assert recorder.resent == 0


def test_a_next_page_that_finds_no_answer_sends_again_with_the_same_ids(open_page: Open, recorder: Recorder) -> None:
    page = open_page(attributes=GRANTED)
    answered(page)
    recorder.acknowledges = False
    leave(page, "void trackway.track('left')")
    recorder.wait(lambda: recorder.arrivals["left"] == 2)
    _, again = (one.sent for one in recorder.tries if any(event.get("event") == "left" for event in one.sent["batch"]))
    assert moment(again["sentAt"]) - moment(recorder.named("left")[0]["timestamp"]) >= 2.9
    assert recorder.names.count("left") == 1
    nothing_waits(page)


def test_on_another_host_a_collector_that_answered_lately_is_trusted(open_page: Open, recorder: Recorder) -> None:
    collector = Recorder()
    try:
        # A host of its own has cookies of its own: none of them can tell the page anything.
        collector.acknowledges = False
        page = open_page(attributes=f'{GRANTED} data-endpoint="{collector.url}/tw/e"')
        answered(page)
        page.evaluate("trackway.track('buy', {order_id: 'o1'})")
        leave(page, "void trackway.track('left')")
        arrived_once(collector, ["left", "buy"])
        nothing_waits(page)
        page.wait_for_timeout(4_000)
        arrived_once(collector, ["left", "buy"])
    finally:
        collector.stop()


def test_events_in_pagehide_listeners_before_and_after_the_trackers_arrive(open_page: Open, recorder: Recorder) -> None:
    recorder.head = """<script>
      if (location.pathname === '/first') addEventListener('pagehide', () => trackway.track('before'));
    </script>"""
    page = open_page("/first", GRANTED)
    page.evaluate("addEventListener('pagehide', () => void trackway.track('after'))")
    leave(page, "void 0")
    arrived_once(recorder, ["before", "after"], resent=2)
    nothing_waits(page)


def test_an_event_in_a_leave_listener_goes_with_the_flush(open_page: Open, recorder: Recorder) -> None:
    page = open_page("/first", GRANTED)
    answered(page)
    page.evaluate("trackway.on('leave', () => void (window.told ??= trackway.track('engaged')))")
    leave(page, "void 0")
    arrived_once(recorder, ["engaged"])
    assert recorder.named("engaged")[0]["context"]["page"]["url"] == f"{recorder.url}/first"


def test_hidden_then_visible_then_hidden_sends_each_event_once(open_page: Open, recorder: Recorder) -> None:
    page = open_page(attributes=GRANTED)
    answered(page)
    page.evaluate("void (window.first = trackway.track('first'))")
    show(page, hidden=True)
    assert page.evaluate("first")["status"] == "accepted"
    show(page, hidden=False)
    page.evaluate("void (window.second = trackway.track('second'))")
    show(page, hidden=True)
    assert page.evaluate("second")["status"] == "accepted"
    show(page, hidden=False)
    arrived_once(recorder, ["page", "first", "second"])
    nothing_waits(page)


def test_a_tab_closed_at_once_loses_nothing(open_page: Open, recorder: Recorder) -> None:
    page = open_page(attributes=GRANTED)
    answered(page)
    page.evaluate("void trackway.track('last')")
    page.close()
    arrived_once(recorder, ["page", "last"])


def test_a_reload_with_a_request_in_flight_counts_once(open_page: Open, recorder: Recorder) -> None:
    page = open_page(attributes=GRANTED)
    answered(page)
    recorder.hold.clear()
    page.evaluate("void trackway.track('buy', {order_id: 'o1'})")
    recorder.wait(lambda: len(recorder.tries) == 2)
    page.reload()
    ready(page)
    recorder.hold.set()
    recorder.wait(lambda: recorder.names.count("page") == 2)
    nothing_waits(page)
    arrived_once(recorder, ["page", "page", "buy"], resent=1)


def test_forty_events_of_three_kilobytes_arrive(open_page: Open, recorder: Recorder) -> None:
    page = open_page(attributes=GRANTED)
    answered(page)
    page.evaluate("""(async () => {
      for (let at = 0; at < 40; at++) {
        void trackway.track('large', {at, text: 'x'.repeat(2500)});
        if (at % 8 === 7 && at < 39) await new Promise((done) => setTimeout(done, 150));
      }
      location = '/next';
    })()""")
    page.wait_for_url("**/next")
    arrived_once(recorder, ["large"] * 40, resent=40)
    nothing_waits(page)
    assert sorted(event["properties"]["at"] for event in recorder.named("large")) == list(range(40))


def test_beside_keepalives_of_the_site_that_take_all_the_room(open_page: Open, recorder: Recorder) -> None:
    page = open_page(attributes=GRANTED)
    answered(page)
    recorder.delays["/site"] = 2
    leave(
        page,
        """
      fetch('/site', {method: 'POST', keepalive: true, body: 'x'.repeat(61_440)}).catch(() => 0);
      trackway.track('left', {text: 'x'.repeat(6_000)})
    """,
    )
    arrived_once(recorder, ["left"], resent=1)
    nothing_waits(page)
    assert [len(one.body) for one in recorder.others if one.path == "/site"] == [61_440]


def test_room_is_counted_in_bytes_not_in_characters(open_page: Open, recorder: Recorder) -> None:
    page = open_page(attributes=GRANTED)
    answered(page)
    leave(page, "for (let at = 0; at < 8; at++) trackway.track('smiles', {at, text: '😀'.repeat(2_300)})")
    arrived_once(recorder, ["smiles"] * 8, resent=1)
    nothing_waits(page)
    assert all(event["properties"]["text"] == "😀" * 2_300 for event in recorder.named("smiles"))


@quick
@pytest.mark.parametrize("text", ["'x'.repeat(200_000)", "'😀'.repeat(30_000)"], ids=["200 KB", "30,000 emoji"])
def test_an_event_too_large_is_refused_here_and_blocks_nothing(text: str, open_page: Open, recorder: Recorder) -> None:
    page = open_page(attributes=GRANTED)
    receipts = page.evaluate(f"""Promise.all([
      trackway.track('before'), trackway.track('huge', {{text: {text}}}), trackway.track('after'),
    ])""")
    assert [receipt["status"] for receipt in receipts] == ["accepted", "rejected", "accepted"]
    assert receipts[1]["reason"] == "too_large"
    assert page.evaluate("trackway.status()")["dropped"] == 1
    arrived_once(recorder, ["page", "before", "after"])
    assert "huge" not in recorder.names


NO_KEEPALIVE = "delete Request.prototype.keepalive;"
NO_BEACON = "Navigator.prototype.sendBeacon = () => false;"
FETCH_THROWS = "window.fetch = () => { throw new Error('patched by somebody'); };"


@pytest.mark.parametrize(
    "broken",
    [NO_KEEPALIVE, NO_BEACON, FETCH_THROWS, NO_KEEPALIVE + NO_BEACON, FETCH_THROWS + NO_BEACON],
    ids=["no keepalive", "beacon refused", "fetch throws", "neither keepalive nor beacon", "neither fetch nor beacon"],
)
def test_whatever_of_fetch_and_beacon_is_broken_the_last_event_arrives(
    broken: str, open_page: Open, recorder: Recorder
) -> None:
    recorder.attributes = GRANTED
    recorder.head = f"<script>if (location.pathname === '/first') {{ {broken} }}</script>"
    page = open_page("/first")
    leave(page, "void trackway.track('left')")
    arrived_once(recorder, ["left"], resent=2)
    nothing_waits(page)
