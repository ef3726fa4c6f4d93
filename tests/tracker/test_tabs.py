"""Several tabs of one site: each event arrives once, whoever brings it, and they are one visitor."""

from __future__ import annotations

from collections import Counter

import pytest
from playwright.sync_api import BrowserContext

from tests.tracker.clocks import hurried
from tests.tracker.conftest import GRANTED, Note, Open
from tests.tracker.once import answered, arrived_once, nothing_waits, ready, show
from tests.tracker.recorder import Recorder, script
from tests.tracker.waiting import wait_until

pytestmark = pytest.mark.browser

STOPPED = "trackway.status().then(({stopped}) => stopped)"


@pytest.mark.browsers
def test_ten_tabs_reloaded_at_once_after_an_outage_bring_each_event_once(
    open_page: Open, collector: Recorder, note: Note
) -> None:
    tabs = [open_page(f"/tab/{at}") for at in range(10)]
    for tab in tabs:
        answered(tab)
    collector.stop()
    for at, tab in enumerate(tabs):
        tab.evaluate(f"for (let n = 0; n < 9; n++) void trackway.track('tab {at}')")
    moment = tabs[0].evaluate("Date.now() + 2_000")
    for tab in tabs:
        tab.evaluate(f"void setTimeout(() => location.reload(), {moment} - Date.now())")
    tabs[0].wait_for_timeout(3_000)
    for tab in tabs:
        ready(tab)
    collector.start()
    arrived = [*["page"] * 20, *[f"tab {at}" for at in range(10) for _ in range(9)]]
    arrived_once(collector, arrived, resent=len(arrived) // 20)
    nothing_waits(tabs[0])
    note(f"{collector.resent} of {len(collector.events)} events came again")
    assert collector.resent <= len(arrived) // 20
    assert len({event["anonymousId"] for event in collector.events}) == 1


def test_what_a_living_page_works_on_is_left_to_it(open_page: Open, recorder: Recorder) -> None:
    owner = open_page("/owner", GRANTED)
    answered(owner)
    recorder.hold.clear()
    owner.evaluate("void (window.receipt = trackway.track('buy', {order_id: 'o1'}))")
    recorder.wait(lambda: len(recorder.tries) == 2)
    other = open_page("/other")
    other.wait_for_timeout(100)
    recorder.hold.set()
    assert owner.evaluate("receipt")["status"] == "accepted"
    answered(other)
    arrived_once(recorder, ["page", "page", "buy"])
    nothing_waits(other)


def test_what_a_living_page_has_given_up_is_brought_by_another_and_counts_once(
    context: BrowserContext, open_page: Open, collector: Recorder
) -> None:
    context.add_init_script(hurried(10))
    owner = open_page("/owner")
    answered(owner)
    collector.stop()
    owner.evaluate("for (let at = 0; at < 3; at++) void trackway.track('theirs ' + at)")
    wait_until(owner, STOPPED)
    collector.start()
    other = open_page("/other")
    arrived_once(collector, ["page", "page", "theirs 0", "theirs 1", "theirs 2"])
    # The owner still has them in memory, and knows no better than to bring them too, under the same ids.
    owner.evaluate("void (window.receipt = trackway.track('mine'))")
    show(owner, hidden=True)
    show(owner, hidden=False)
    answered(owner)
    arrived_once(collector, ["page", "page", "theirs 0", "theirs 1", "theirs 2", "mine"], resent=3)
    nothing_waits(other)


def test_a_page_that_stays_takes_over_what_many_left_one_after_the_other(
    context: BrowserContext, open_page: Open, collector: Recorder
) -> None:
    context.add_init_script(hurried(5))
    collector.stop()
    for at in range(8):
        left = open_page(f"/left/{at}")
        left.evaluate(f"void trackway.track('left {at}')")
        left.close()
    collector.start()
    page = open_page("/stays")
    # The last page's two may be on their way as the collector comes back; on another host nothing tells of it.
    arrived_once(collector, [*["page"] * 9, *[f"left {at}" for at in range(8)]], resent=2)
    nothing_waits(page)


def test_two_versions_on_one_origin_bring_each_others_events(
    context: BrowserContext, open_page: Open, recorder: Recorder, collector: Recorder
) -> None:
    """Another version may write what this one cannot read: that is left alone or dropped, and disturbs nothing."""
    context.add_init_script(hurried(5))
    collector.stop()
    other = open_page("/first")
    version = other.evaluate("trackway.version")
    older = script("").decode().replace(f'"{version}"', '"0.0.1"')
    assert older != script("").decode()
    recorder.pages["/older"] = f"<!doctype html><title>Older</title>{recorder.tag()}".replace("/tw/t.js", "/older.js")
    recorder.pages["/older.js"] = older
    page = open_page("/older")
    assert page.evaluate("trackway.version") == "0.0.1"
    page.evaluate("void trackway.track('of the older')")
    page.evaluate("""
      localStorage['tw.q.wk_shop.future'] = '{"format": 9, "list": [{"id": 1}]}';
      localStorage['tw.q.wk_shop.past'] = '{"until": 1, "events": [null, 7, {}, {"messageId": 3}]}';
    """)
    page.close()
    other.evaluate("void trackway.track('of the newer')")
    collector.start()
    other.reload()
    arrived_once(collector, ["of the older", "of the newer", "page", "page", "page"], resent=1)
    assert Counter(collector.names)["page"] == 3
