"""What the tracker costs a page: work, requests and bytes are counted, times are measured by `make bench-tracker`."""

from __future__ import annotations

from typing import Final

import pytest
from playwright.sync_api import BrowserContext

from tests.tracker.conftest import GRANTED, Open
from tests.tracker.once import answered
from tests.tracker.recorder import Recorder
from tests.tracker.waiting import wait_until

pytestmark = pytest.mark.browser

# `waiting` are the timers that have yet to fire, `listening` the listeners there are, `used` the accesses to storage.
COUNT: Final = """
  window.waiting = new Set();
  window.listening = 0;
  window.used = 0;
  for (const [set, clear] of [['setTimeout', 'clearTimeout'], ['requestIdleCallback', 'cancelIdleCallback'],
                              ['requestAnimationFrame', 'cancelAnimationFrame']]) {
    const original = window[set], cancel = window[clear];
    window[set] = (action, ...values) => {
      const id = original((...given) => { waiting.delete(set + id); action(...given); }, ...values);
      waiting.add(set + id);
      return id;
    };
    window[clear] = (id) => { waiting.delete(set + id); cancel.call(window, id); };
  }
  window.setInterval = () => waiting.add('setInterval');
  for (const [change, by] of [['addEventListener', 1], ['removeEventListener', -1]]) {
    const original = EventTarget.prototype[change];
    EventTarget.prototype[change] = function (...values) {
      listening += by;
      return original.apply(this, values);
    };
  }
  const storage = localStorage;
  Object.defineProperty(window, 'localStorage', {get: () => (used++, storage)});
"""


def test_an_idle_page_has_no_timer_and_makes_no_request(
    context: BrowserContext, open_page: Open, recorder: Recorder
) -> None:
    context.add_init_script(f"if (location.protocol !== 'about:') {{{COUNT}}}")
    page = open_page("/", GRANTED)
    page.evaluate("trackway.track('buy')")
    answered(page)
    # The last timer is the one by which a second's events are counted.
    wait_until(page, "!waiting.size")
    tries, others, used = len(recorder.tries), len(recorder.others), page.evaluate("used")
    page.wait_for_timeout(3000)

    assert page.evaluate("[...waiting]") == []
    assert (len(recorder.tries), len(recorder.others)) == (tries, others)
    assert page.evaluate("used") == used


def test_a_click_that_means_nothing_costs_nothing(context: BrowserContext, open_page: Open, recorder: Recorder) -> None:
    context.add_init_script(f"if (location.protocol !== 'about:') {{{COUNT}}}")
    recorder.body = "<main><section><p><button>Plain</button></section></main>"
    page = open_page("/", GRANTED)
    answered(page)
    wait_until(page, "!waiting.size")
    before = page.evaluate("[used, listening, waiting.size]")
    page.evaluate("for (let at = 0; at < 1000; at++) document.querySelector('button').click()")

    assert page.evaluate("[used, listening, waiting.size]") == before
    assert recorder.names == ["page"]
    assert len(recorder.tries) == 1


@pytest.mark.browsers
def test_two_hundred_soft_views_leave_no_more_than_one(
    context: BrowserContext, open_page: Open, recorder: Recorder
) -> None:
    context.add_init_script(f"if (location.protocol !== 'about:') {{{COUNT}}}")
    page = open_page("/0", GRANTED)
    answered(page)
    keys, listening = page.evaluate("[Object.keys(localStorage).sort(), listening]")
    page.evaluate("""async () => {
      for (let at = 1; at <= 200; at++) {
        history.pushState({}, '', '/' + at);
        await new Promise((done) => setTimeout(done, 60));
      }
    }""")
    recorder.wait(lambda: len(recorder.named("page")) == 201)
    answered(page)
    wait_until(page, "!waiting.size")

    assert page.evaluate("[Object.keys(localStorage).sort(), listening]") == [keys, listening]
    assert len({event["context"]["page"]["view_id"] for event in recorder.events}) == 201
    assert page.evaluate("trackway.status()")["dropped"] == 0


def test_a_page_and_three_clicks_are_two_requests_without_a_preflight(
    open_page: Open, recorder: Recorder, collector: Recorder
) -> None:
    recorder.body = "".join(
        f'<button data-tw=itemclick data-tw-product-id="p{at}" data-tw-price="9.90">+</button>' for at in range(3)
    )
    page = open_page("/shop/tents")
    collector.wait(lambda: collector.names == ["page"])
    page.evaluate("document.querySelectorAll('button').forEach((button) => button.click())")
    page.goto("about:blank")
    collector.wait(lambda: len(collector.events) == 4)

    assert collector.names == ["page", "itemclick", "itemclick", "itemclick"]
    assert len(collector.tries) == 2
    assert sum(map(len, collector.raw)) <= 2700
    # What a browser adds to a request across sites is asked of the collector first; ours adds nothing.
    assert collector.others == []
