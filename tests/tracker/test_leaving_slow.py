"""200 pages, each left in the task in which its event was tracked, far away from the collector: nothing is lost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser

from tests.tracker.conftest import GRANTED, Note
from tests.tracker.durable import Durable
from tests.tracker.recorder import Recorder
from tests.tracker.slow_tls import Front, slow_tls
from tests.tracker.waiting import wait_until
from tests.tracker.watch import Watch

pytestmark = [pytest.mark.browser, pytest.mark.browsers, pytest.mark.timeout(330)]

VISITORS, PAGES = 4, 50
ENDS = range(PAGES, VISITORS * PAGES + 1, PAGES)
# The page goes on as soon as the tracker runs, by itself: the next one is asked for in the task of the last event.
ON = """<script>
  const go = () => {
    if (!window.trackway || !trackway.version) return setTimeout(go, 5);
    const [at, end] = location.pathname.split('/').slice(2).map(Number);
    if (at >= end) return;
    trackway.track('left', {n: at});
    location = `/next/${at + 1}/${end}`;
  };
  go();
</script>"""


class Site(NamedTuple):
    """The collector at the site's own path /tw/, the pages beside it."""

    front: Front
    collector: Durable


@pytest.fixture
def site(tmp_path: Path, recorder: Recorder) -> Iterator[Site]:
    collector = Durable(tmp_path)
    with slow_tls(tmp_path, recorder.url) as front, collector.running(front.url):
        front.serve(collector.url)
        yield Site(front, collector)


def test_200_of_200_events_before_leaving_arrive_and_none_counts_twice(
    browser: Browser, recorder: Recorder, site: Site, watch: Watch, note: Note
) -> None:
    recorder.attributes, recorder.head = GRANTED, ON
    begun = time.monotonic()
    contexts = [browser.new_context(ignore_https_errors=True) for _ in ENDS]
    pages = []
    for end, context in zip(ENDS, contexts, strict=True):
        watch.over(context)
        pages.append(context.new_page())
        pages[-1].goto(f"{site.front.url}/next/{end - PAGES}/{end}", wait_until="commit")
    while not all(page.url.endswith(f"/next/{end}/{end}") for end, page in zip(ENDS, pages, strict=True)):
        assert time.monotonic() - begun < 240, [page.url for page in pages]
        pages[0].wait_for_timeout(250)
    took = time.monotonic() - begun
    for page, context in zip(pages, contexts, strict=True):
        wait_until(page, "!!(window.trackway && trackway.version)")
        wait_until(page, "Object.keys(localStorage).every((key) => !key.startsWith('tw.q.'))", 30)
        watch.check(context, site.front.url)
        context.close()
    site.front.close()
    left = Counter(event["properties"]["n"] for event in site.collector.accepted() if event["name"] == "left")
    again = site.collector.outcomes()
    note(
        f"{len(left)} of {VISITORS * PAGES} arrived, {took:.0f} s, {len(site.front.requests)} connections, "
        f"{sum('POST /tw/e ' in line for line in site.front.requests)} of them with events, "
        f"{again['duplicate']} events sent again"
    )
    assert left == Counter(range(VISITORS * PAGES))
    assert set(again) <= {"duplicate"}
