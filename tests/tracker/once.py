"""What "arrives once" means: counted by the ids of events, and by the bodies that carried them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from playwright.sync_api import Page

from tests.tracker.recorder import Recorder, name_of
from tests.tracker.waiting import wait_until

_SHOW = """(hidden) => {
  for (const [name, value] of [['hidden', hidden], ['visibilityState', hidden ? 'hidden' : 'visible']])
    Object.defineProperty(document, name, {configurable: true, get: () => value});
  document.dispatchEvent(new Event('visibilitychange', {bubbles: true}));
}"""


def arrived_once(recorder: Recorder, names: Iterable[str], resent: int = 0) -> None:
    """Waits until all have arrived; each then has under one id, and at most `resent` events came in a second body."""
    wanted = Counter(names)
    recorder.wait(lambda: not wanted - Counter(recorder.names), 20)
    found = Counter(recorder.names)
    assert {name: found[name] for name in wanted} == dict(wanted), bodies(recorder)
    assert recorder.resent <= resent, f"{recorder.resent} events came again, {resent} may: {bodies(recorder)}"


def bodies(recorder: Recorder) -> str:
    """Every body that came: seconds since the first, `ack` where its page was being left, its events with their ids."""
    begun = recorder.tries[0].at if recorder.tries else 0
    return "\n".join(
        f"{one.at - begun:.2f}{' ack' if 'ack' in one.sent else ''} "
        + ", ".join(f"{name_of(event)} {event['messageId']}" for event in one.sent["batch"])
        for one in recorder.tries
    )


def ready(page: Page) -> None:
    """Until the tracker runs."""
    page.wait_for_function("window.trackway && trackway.version")


def answered(page: Page) -> None:
    """Until every event of the page so far has its answer; its batch goes at once."""
    page.evaluate("void trackway.flush()")
    wait_until(page, "trackway.status().then(({queued}) => !queued)")


def nothing_waits(page: Page) -> None:
    """Until no event stands in storage any more: all were answered for."""
    wait_until(page, "Object.keys(localStorage).every((key) => !key.startsWith('tw.q.'))", 20)


def show(page: Page, hidden: bool) -> None:
    """The page is hidden from the visitor, or seen again."""
    page.evaluate(_SHOW, hidden)
