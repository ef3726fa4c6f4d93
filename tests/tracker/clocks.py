"""Pages whose clocks are faster than ours, for tests of what a page does after seconds and minutes."""

from __future__ import annotations

import time
from typing import Final

# A batch waits 50 ms instead of a second, where a test is about what happens and not about when.
QUICK: Final = """{
  const wait = window.setTimeout;
  window.setTimeout = (action, ms = 0, ...values) => wait(action, ms > 900 && ms <= 1000 ? 50 : ms, ...values);
}"""
_HURRIED: Final = """{
  const [since, times] = [%(since)d, %(times)d];
  const [wait, now, time] = [setTimeout, performance.now.bind(performance), Date.now];
  const hurry = (moment) => since + (moment - since) * times;
  window.setTimeout = (action, ms = 0, ...values) => wait(action, ms / times, ...values);
  Object.defineProperty(performance, 'timeOrigin', {value: hurry(performance.timeOrigin)});
  performance.now = () => now() * times;
  Date.now = () => hurry(time());
}"""


def hurried(times: int) -> str:
    """An init script by which a page's clocks and timers are so many times faster, those of all pages that have it
    alike; not the deadlines of requests, which take the time they take."""
    return _HURRIED % {"since": time.time() * 1000, "times": times}
