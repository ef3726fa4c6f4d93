"""How events are put together: when a batch goes, how large it is, and that an idle page does nothing."""

from __future__ import annotations

import json

import pytest

from tests.tracker.conftest import GRANTED, Open
from tests.tracker.recorder import Recorder

pytestmark = pytest.mark.browser
quick = pytest.mark.usefixtures("quick")


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
    assert [event["seq"] for event in recorder.events] == list(range(1, 14))


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
