"""Outages that outlast many pages: each tries no more than it may, and together they keep no more than they may.

The pages follow each other in a frame, where a browser loads one in a fraction of the time a tab of its own takes.
Clocks and timers are faster by the same factor in all of them: between two pages pass seconds.
"""

from __future__ import annotations

from typing import Final

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.tracker.clocks import hurried
from tests.tracker.once import nothing_waits
from tests.tracker.recorder import Recorder
from tests.tracker.test_failure import KEPT, STORED
from tests.tracker.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.browsers]

# `tried` counts requests by page, `most` is what ever stood in storage, and `keys` under how many keys, page by page.
HOST: Final = """<!doctype html><title>Visit</title>
<script>var tried = {}, most = 0, keys = [];</script><iframe src="/page/1"></iframe>"""
COUNTED: Final = """
  const count = () => { parent.tried[location.pathname] = (parent.tried[location.pathname] || 0) + 1; };
  const [ask, beacon] = [window.fetch, Navigator.prototype.sendBeacon];
  window.fetch = (...values) => (count(), ask(...values));
  Navigator.prototype.sendBeacon = function (...values) { count(); return beacon.apply(this, values); };
"""
GOES_ON: Final = """<script>
  const at = +location.pathname.split('/')[2];
  addEventListener('load', async () => {
    %(does)s
    parent.most = Math.max(parent.most, %(stored)s);
    parent.keys.push(Object.keys(localStorage).filter((key) => key.startsWith('tw.q.')).length);
    if (at < %(pages)d) location.replace('/page/' + (at + 1));
  });
</script>"""


def visit(context: BrowserContext, recorder: Recorder, pages: int, times: int, does: str) -> Page:
    """So many pages, of which each `does` something; returns the frame's page when the last one has done it."""
    recorder.pages["/"] = HOST
    recorder.head = GOES_ON % {"does": does, "stored": STORED, "pages": pages}
    context.add_init_script(f"if (parent !== window) {{{hurried(times)} {COUNTED}}}")
    page = context.new_page()
    page.goto(recorder.url, wait_until="commit")
    wait_until(page, f"window.keys?.length === {pages}", 200)
    return page


def test_each_of_a_hundred_pages_tries_a_blocked_endpoint_three_times_at_most_and_nothing_grows(
    context: BrowserContext, recorder: Recorder, collector: Recorder
) -> None:
    collector.stop()
    page = visit(
        context,
        recorder,
        100,
        1000,
        """
      for (let n = 0; n < 4; n++) trackway.track('step', {n});
      while (!(await trackway.status()).stopped) await new Promise((done) => setTimeout(done, 1000));
      trackway.track('in vain');
      await new Promise((done) => setTimeout(done, 20_000));
    """,
    )
    tried, keys = page.evaluate("[Object.values(tried), keys]")
    assert len(tried) == 100
    assert set(tried) == {3}
    assert page.evaluate("most") <= KEPT
    assert max(keys[50:]) <= max(keys[:50]), keys


@pytest.mark.timeout(300)
def test_a_thousand_pages_of_outage_keep_every_purchase_in_a_hundred_kilobytes(
    context: BrowserContext, recorder: Recorder, collector: Recorder
) -> None:
    collector.stop()
    page = visit(
        context,
        recorder,
        1000,
        100,
        """
      trackway.track('visit', {at, text: 'x'.repeat(300)});
      if (at % 20 === 0) trackway.track('buy', {order_id: 'o' + at});
    """,
    )
    assert page.evaluate("most") <= KEPT
    collector.start()
    page.frames[1].evaluate("dispatchEvent(new Event('online'))")
    nothing_waits(page)
    bought = sorted(int(event["properties"]["order_id"][1:]) for event in collector.named("buy"))
    assert bought == list(range(20, 1001, 20))
