"""Pages that are strict, old, crowded or wrong about the time."""

from __future__ import annotations

import json
import socket
from datetime import datetime
from typing import Final

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.tracker.conftest import GRANTED, Open
from tests.tracker.once import ready
from tests.tracker.recorder import DIST, Recorder
from tests.tracker.watch import Watch, watched

pytestmark = pytest.mark.browser

DAY: Final = 86_400_000  # ms
# A computer whose clock is wrong: everything that tells the time of day is. `jump(ms)` sets it while the page lives.
WRONG_CLOCK: Final = """
  let shift = SHIFT;
  window.jump = (by) => { shift += by; };
  const Real = Date;
  window.Date = class extends Real {
    constructor(...given) { given.length ? super(...given) : super(Real.now() + shift); }
    static now() { return Real.now() + shift; }
  };
  Object.defineProperty(performance, 'timeOrigin', {value: performance.timeOrigin + shift});
"""


def test_the_strictest_policy_of_content_is_kept(context: BrowserContext, recorder: Recorder) -> None:
    policy = "default-src 'self'; img-src 'self' data:; require-trusted-types-for 'script'"
    recorder.headers = {"content-security-policy": policy}
    recorder.attributes, recorder.addons = GRANTED, "shop,cmp,engage,auto"
    recorder.pages["/strict"] = f"<!doctype html><title>Strict</title>{recorder.tag()}<button data-tw=basket>+</button>"
    page = context.new_page()
    page.goto(recorder.url + "/strict")
    ready(page)
    page.click("button")
    recorder.wait(lambda: {"page", "basket"} <= set(recorder.names))


def test_the_files_hash_in_the_tag_is_that_of_what_is_served(context: BrowserContext, recorder: Recorder) -> None:
    integrity = json.loads((DIST / "manifest.json").read_text())["files"]["core"]["integrity"]
    recorder.attributes = f'{GRANTED} integrity="{integrity}" crossorigin="anonymous"'
    page = context.new_page()
    page.goto(recorder.url)
    recorder.wait(lambda: recorder.names == ["page"])


def own_address() -> str:
    """This machine's, as others on its network see it; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("192.0.2.1", 9))
        address: str = asking.getsockname()[0]
    return address


def test_plain_http_on_an_address_of_the_network(browser: Browser, watch: Watch) -> None:
    recorder = Recorder(own_address())
    recorder.attributes = GRANTED
    with watched(browser, watch, recorder.url) as context:
        page = context.new_page()
        page.goto(recorder.url + "/first")
        ready(page)
        assert page.evaluate("[isSecureContext, 'randomUUID' in crypto]") == [False, False]
        assert page.evaluate("trackway.track('buy')")["status"] == "accepted"
        page.evaluate("void trackway.track('leaving'); location = '/second'")
        recorder.wait(lambda: len(recorder.events) == 4)
    recorder.stop()
    assert sorted(recorder.names) == ["buy", "leaving", "page", "page"]


def test_a_library_that_gives_lists_a_json_of_their_own(open_page: Open, recorder: Recorder) -> None:
    recorder.head = "<script>Array.prototype.toJSON = function () { return '[' + this.join(', ') + ']'; };</script>"
    page = open_page("/", GRANTED)
    items = [{"product_id": "p1", "tags": ["a", "b"]}, {"product_id": "p2"}]
    page.evaluate("(items) => void (window.bought = trackway.track('buy', {items}))", items)
    recorder.wait(lambda: "buy" in recorder.names)

    assert recorder.named("buy")[0]["properties"] == {"items": items}
    # To the site's own code lists are as the library has made them.
    assert page.evaluate("JSON.stringify([1, 2])") == '"[1, 2]"'


@pytest.mark.parametrize("shift", [3 * DAY, -365 * DAY], ids=["three days ahead", "a year behind"])
def test_a_wrong_clock_is_wrong_by_the_same_in_all_times(
    shift: int, context: BrowserContext, open_page: Open, recorder: Recorder
) -> None:
    context.add_init_script(f"{{{WRONG_CLOCK.replace('SHIFT', str(shift))}}}")
    page = open_page("/", GRANTED)
    page.evaluate("void trackway.track('visit')")
    page.wait_for_timeout(300)
    page.evaluate("trackway.track('buy')")
    recorder.wait(lambda: "buy" in recorder.names)

    offset = datetime.fromisoformat(recorder.events[0]["timestamp"]).timestamp() - datetime.now().timestamp()
    assert offset * 1000 == pytest.approx(shift, abs=60_000)
    assert ages(recorder)[0] >= ages(recorder)[-1] >= 0
    assert ages(recorder)[0] < 30


@pytest.mark.parametrize("by", [3 * DAY, -365 * DAY], ids=["forwards", "backwards"])
def test_a_clock_set_between_an_event_and_its_sending_changes_no_age(
    by: int, context: BrowserContext, open_page: Open, recorder: Recorder
) -> None:
    context.add_init_script(f"{{{WRONG_CLOCK.replace('SHIFT', '0')}}}")
    page = open_page("/", GRANTED)
    page.evaluate("(by) => { trackway.track('visit'); jump(by); trackway.track('search'); }", by)
    recorder.wait(lambda: {"visit", "search"} <= set(recorder.names))

    assert all(0 <= age < 30 for age in ages(recorder))
    assert recorder.named("visit")[0]["timestamp"] <= recorder.named("search")[0]["timestamp"]
    # A page that comes after the jump finds nothing it would not send.
    page.goto(recorder.url + "/second")
    recorder.wait(lambda: len(recorder.named("page")) == 2)


def ages(recorder: Recorder) -> list[float]:
    """Seconds from each event to the sending of its batch, in the order of arrival."""
    return [
        (datetime.fromisoformat(one["sentAt"]) - datetime.fromisoformat(event["timestamp"])).total_seconds()
        for one in recorder.batches
        for event in one["batch"]
    ]


@pytest.mark.parametrize(
    "there",
    [
        "<script>var trackway = 7</script>",
        "<div id=trackway></div>",
        "<script>function trackway() { return 1; }</script>",
    ],
    ids=["a number", "an element", "a function"],
)
def test_where_the_name_is_taken_the_tracker_still_runs(there: str, open_page: Open, recorder: Recorder) -> None:
    recorder.head = there
    page = open_page("/", GRANTED)
    assert page.evaluate("trackway('track', 'buy')")["status"] == "accepted"
    assert recorder.names == ["page", "buy"]


def test_two_sources_on_one_page_by_two_names(context: BrowserContext, recorder: Recorder) -> None:
    tag = '<script src="/tw/t.js" data-key="{}" data-name="{}" data-consent="granted"></script>'
    both = tag.format("wk_shop", "trackway") + tag.format("wk_group", "group")
    recorder.pages["/both"] = f"<!doctype html><title>Both</title>{both}"
    page = context.new_page()
    page.goto(recorder.url + "/both")
    page.evaluate("Promise.all([trackway.track('of the shop'), group.track('of the group')])")

    found = {
        key: [
            event.get("event", "page") for one in recorder.batches if one["writeKey"] == key for event in one["batch"]
        ]
        for key in ("wk_shop", "wk_group")
    }
    assert found == {"wk_shop": ["page", "of the shop"], "wk_group": ["page", "of the group"]}
    assert len({event["anonymousId"] for event in recorder.events}) == 1
