"""What a call becomes: the message, its identity, its receipt, and what no call can do to the page."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.tracker.conftest import Open
from tests.tracker.recorder import Recorder, answer
from tests.tracker.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("quick")]

GRANTED = 'data-consent="granted"'
STUB = "trackway=window.trackway||function(){(trackway.q=trackway.q||[]).push(arguments)};"


def test_calls_made_before_the_script_came_are_kept_in_order(open_page: Open, recorder: Recorder) -> None:
    recorder.head = (
        f"<script>{STUB} trackway('track', 'visit', {{}}); trackway('identify', 'u1'); "
        "trackway('consent', 'granted')</script>"
    )
    open_page()
    recorder.wait(lambda: len(recorder.events) == 4)
    assert recorder.names == ["page", "visit", "identify", "consent"]


def test_each_command_is_its_message(open_page: Open, recorder: Recorder) -> None:
    page = open_page(attributes=GRANTED)
    page.evaluate("""Promise.all([
      trackway('set', {season: 'winter'}),
      trackway('track', 'visit', {items: [{product_id: 'p1', price: '9.90'}]}),
      trackway('identify', 17, {email: 'a@example.org', nick: null}),
      trackway('group', 'g1', {size: 3}),
      trackway('alias', 'u18'),
      trackway('track', 'favorite'),
    ])""")
    first, visit, identify, group, alias, favorite = recorder.events
    own = first["anonymousId"]

    assert "userId" not in visit
    assert visit["properties"] == {"season": "winter", "items": [{"product_id": "p1", "price": "9.90"}]}
    assert (identify["userId"], identify["traits"]) == (17, {"email": "a@example.org", "nick": None})
    assert (group["groupId"], group["traits"], group["userId"]) == ("g1", {"size": 3}, 17)
    assert (alias["userId"], alias["previousId"]) == ("u18", 17)
    assert favorite["userId"] == "u18"
    assert {event["anonymousId"] for event in recorder.events} == {own}
    page.reload()
    recorder.wait(lambda: len(recorder.named("page")) == 2)
    assert recorder.events[-1]["userId"] == "u18"


def test_receipts_say_what_became_of_each_event(open_page: Open, recorder: Recorder) -> None:
    page = open_page(attributes=GRANTED)
    recorder.wait(lambda: recorder.names == ["page"])

    def mixed(sent: dict[str, list[dict[str, str]]]) -> tuple[int, dict[str, str], bytes]:
        first, second, third = (event["messageId"] for event in sent["batch"])
        return answer(200, {"success": True, "receipts": [
            {"id": first, "status": "accepted"},
            {"id": second, "status": "rejected", "reason": "wrong_type", "path": "batch[1].properties.price"},
            {"id": third, "status": "duplicate"},
        ]})({})  # fmt: skip

    recorder.faults.append(mixed)
    good, bad, repeated = page.evaluate(
        "Promise.all(['a', 'b', 'c'].map((name) => trackway.track(name, {}, {id: 'id-' + name})))"
    )
    assert good == {"id": "id-a", "status": "accepted"}
    assert bad == {
        "id": "id-b", "status": "rejected", "reason": "wrong_type", "path": "batch[1].properties.price",
    }  # fmt: skip
    assert repeated == {"id": "id-c", "status": "duplicate"}
    assert page.evaluate("trackway.status()")["queued"] == 0


def test_a_reset_belongs_to_the_old_id_and_what_follows_to_a_new_one(open_page: Open, recorder: Recorder) -> None:
    page = open_page(attributes=GRANTED)
    page.evaluate("""Promise.all([
      trackway.identify('u1'), trackway.reset(), trackway.track('visit'),
    ])""")
    first, identify, reset, visit = recorder.events

    assert first["anonymousId"] == identify["anonymousId"] == reset["anonymousId"]
    assert reset["userId"] == "u1"
    assert visit["anonymousId"] != reset["anonymousId"]
    assert "userId" not in visit
    page.reload()
    recorder.wait(lambda: len(recorder.named("page")) == 2)
    assert recorder.events[-1]["anonymousId"] == visit["anonymousId"]


def test_a_reset_in_one_tab_is_followed_by_the_others(open_page: Open, recorder: Recorder) -> None:
    first, second = open_page("/first", GRANTED), open_page("/second")
    first.evaluate("trackway.identify('u1')")
    wait_until(second, "trackway.status().then(({userId}) => userId === 'u1')")
    first.evaluate("trackway.reset()")
    wait_until(second, "trackway.status().then(({userId}) => !userId)")
    assert second.evaluate("trackway.status()")["anonymousId"] == first.evaluate("trackway.status()")["anonymousId"]


ODD = """() => {
  const cycle = {name: 'a'};
  cycle.self = cycle;
  return trackway.track('odd', {
    big: 12345678901234567890n, when: new Date(Date.UTC(2026, 0, 2)), never: new Date(NaN), cycle, fn() {},
    sign: Symbol('x'), nan: NaN, endless: Infinity, nothing: null, missing: undefined, node: document.body,
    map: new Map([[1, 2]]), list: [1, undefined, () => 1, {deep: [2]}], text: 'a\\ud800b 😀',
    get broken() { throw new Error('getter'); },
    l2: {l3: {l4: {l5: {l6: {}, end: 1}}}}, bad: {toJSON() { throw new Error('toJSON'); }}, url: new URL('https://a.example/'),
  });
}"""


def test_properties_become_json_whatever_they_hold(open_page: Open, recorder: Recorder) -> None:
    page = open_page(attributes=GRANTED)
    assert page.evaluate(ODD)["status"] == "accepted"

    assert recorder.named("odd")[0]["properties"] == {
        "big": "12345678901234567890", "nan": None, "endless": None,
        "when": "2026-01-02T00:00:00.000Z", "never": None, "cycle": {"name": "a"},
        "nothing": None, "map": {}, "list": [1, None, None, {"deep": [2]}], "text": "a\ud800b 😀",
        "l2": {"l3": {"l4": {"l5": {"end": 1, "l6": {}}}}}, "url": "https://a.example/",
    }  # fmt: skip


def test_no_call_throws_or_rejects(open_page: Open, recorder: Recorder) -> None:
    page = open_page(attributes=GRANTED)
    receipts = page.evaluate("""Promise.all([
      trackway(), trackway('nonsense'), trackway('track'), trackway('track', 'x', null), trackway('track', 'y', 'text'),
      trackway('identify'), trackway('identify', null), trackway('consent'), trackway('consent', 7),
      trackway('page', 5),
    ])""")
    assert all(receipt["status"] for receipt in receipts)
    assert receipts[1] == {"status": "rejected", "reason": "error"}


def test_an_event_that_is_too_large_is_refused_and_blocks_nothing(open_page: Open, recorder: Recorder) -> None:
    page = open_page(attributes=GRANTED)
    large, small = page.evaluate(
        "Promise.all([trackway.track('large', {text: '😀'.repeat(50000)}), trackway.track('small')])"
    )
    assert (large["status"], large["reason"]) == ("rejected", "too_large")
    assert small["status"] == "accepted"
    assert recorder.names == ["page", "small"]


def test_a_loop_of_ten_thousand_calls_is_cut_and_counted(open_page: Open, recorder: Recorder) -> None:
    page = open_page(attributes=GRANTED)
    page.evaluate("for (let at = 0; at < 10000; at++) trackway.track('loop')")
    recorder.wait(lambda: len(recorder.events) >= 90)
    dropped = page.evaluate("trackway.status()")["dropped"]
    assert len(recorder.named("loop")) + dropped == 10_000


def storage_refused(page: Page) -> None:
    page.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no', 'SecurityError'); }})"
    )


def test_without_storage_events_still_arrive(context: BrowserContext, recorder: Recorder) -> None:
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    storage_refused(page)
    page.goto(recorder.url)
    page.wait_for_function("window.trackway && trackway.version")
    page.evaluate("trackway.consent('granted')")
    recorder.wait(lambda: recorder.names == ["page", "consent"])
    assert errors == []


def test_garbage_under_our_keys_is_survived(context: BrowserContext, open_page: Open, recorder: Recorder) -> None:
    context.add_init_script("""
      const plant = () => {
        localStorage.setItem('tw.consent', '{not json');
        localStorage.setItem('tw.id', '[1, 2');
        localStorage.setItem('tw.q.wk_shop.a', 'null');
        localStorage.setItem('tw.q.wk_shop.b', '{"until": 1, "events": [null, 7, {}]}');
        localStorage.setItem('tw.q.wk_shop.c', '{"until": "soon", "events": 3}');
      };
      if (location.pathname === '/') plant();
    """)
    page = open_page(attributes=GRANTED)
    assert page.evaluate("trackway.track('visit')")["status"] == "accepted"
    assert {"page", "visit"} <= set(recorder.names)
