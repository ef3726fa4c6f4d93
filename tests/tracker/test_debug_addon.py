"""The add-on `debug`: a panel that says in words what became of each event."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.contrast import pale
from tests.tracker.conftest import GRANTED, Open
from tests.tracker.recorder import Recorder, accept, answer
from tests.tracker.watch import Watch, watched

pytestmark = pytest.mark.browser

DOCS = Path(__file__).parents[2] / "docs" / "tracker" / "debug.md"
STRICT = "default-src 'self'; img-src 'self' data:; require-trusted-types-for 'script'"
PANEL = "trackway-debug"
WAITS = "waiting for its batch"
# How many texts the panel has, and those whose contrast to what is painted under them is below 4.5: [text, ratio].
# `later(ms)` is that much later, for the clock and for every timer longer than a second.
CLOCK = """
  const [now, wait] = [performance.now.bind(performance), window.setTimeout];
  let skew = 0;
  const sleepers = new Set();
  performance.now = () => now() + skew;
  window.setTimeout = (action, ms = 0, ...values) => {
    if (ms > 1000) sleepers.add([performance.now() + ms, action, values]);
    else return wait(action, ms, ...values);
  };
  window.later = (ms) => {
    skew += ms;
    for (const one of [...sleepers])
      if (one[0] <= performance.now() && sleepers.delete(one)) one[1](...one[2]);
  };
"""

FAILED = """(tries) => [...document.querySelector('trackway-debug').shadowRoot.querySelectorAll('li > p > b')]
  .filter(({textContent}) => textContent === 'failure').length === tries"""


@pytest.fixture(autouse=True)
def site(recorder: Recorder) -> None:
    recorder.addons = "debug"
    recorder.attributes = f"{GRANTED} data-debug"
    recorder.head = '<meta name="viewport" content="width=device-width">'


@pytest.fixture
def phone(browser: Browser, recorder: Recorder, watch: Watch) -> Iterator[BrowserContext]:
    with watched(browser, watch, recorder.url, viewport={"width": 390, "height": 844}) as context:
        yield context


def rows(page: Page) -> list[str]:
    """Name and state of each row, newest first."""
    texts = page.locator(f"{PANEL} li").evaluate_all(
        "(all) => all.map((one) => [...one.querySelectorAll('b, span')].map((part) => part.textContent).join(' | '))"
    )
    return [str(text) for text in texts]


def shows(page: Page, row: str, more: str = "") -> None:
    """Waits until a row says so."""
    pattern = re.compile(re.escape(row) + more)
    for _ in range(300):
        if any(pattern.search(one) for one in rows(page)):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"no row {row!r} in {rows(page)}")


def fact(page: Page, name: str) -> str:
    return page.locator(f"{PANEL} dt:text-is('{name}') + dd").inner_text()


def test_what_an_event_goes_through_is_said_in_words(open_page: Open, recorder: Recorder) -> None:
    page = open_page("/", "data-debug")
    shows(page, "page | held: nobody has been asked yet")
    assert fact(page, "Consent") == "nobody has been asked yet"
    assert fact(page, "Waiting").startswith("1 for consent, 0 for the collector")

    page.evaluate("void trackway('consent', 'granted')")
    shows(page, "page | sent, the collector stored it")
    shows(page, "consent | granted")
    shows(page, "request | 2 events")
    assert fact(page, "Visitor").startswith(recorder.events[0]["anonymousId"])

    page.evaluate("void trackway('track', 'Leaflet', {price: 9})")
    shows(page, f"Leaflet | {WAITS}")
    shows(page, "Leaflet | sent, the collector stored it")


def test_it_says_what_the_collector_refused_and_where(open_page: Open, recorder: Recorder) -> None:
    def refuse(sent: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        receipts = []
        for event in sent["batch"]:
            receipt = {"id": event["messageId"], "status": "accepted"}
            if event.get("event") == "Priced":
                receipt |= {"status": "rejected", "reason": "not_a_number", "path": "properties.price"}
            if event.get("event") == "Again":
                receipt |= {"status": "duplicate"}
            receipts.append(receipt)
        return 200, {}, json.dumps({"success": True, "receipts": receipts}).encode()

    recorder.always = refuse
    page = open_page()
    page.evaluate("['Priced', 'Again'].forEach((name) => trackway('track', name, {price: 'nine'}))")
    shows(page, "Priced | refused: properties.price: not a number")
    shows(page, "Again | sent, the collector stored it before: it counts once")
    expect(page.locator(f"{PANEL} .head")).to_contain_text("0 waiting, 1 problem")


def test_it_says_what_is_kept_and_when_it_is_tried_again(
    open_page: Open, context: BrowserContext, recorder: Recorder
) -> None:
    context.add_init_script(CLOCK)
    page = open_page()
    shows(page, "page | sent, the collector stored it")
    recorder.faults.append(answer(503, {}, retry_after="90"))
    page.evaluate("void trackway('track', 'basket')")
    shows(page, "basket | kept for a later try: the collector answered 503; next try in 90 s")
    shows(page, "failure | kept for a later try: the collector answered 503; next try in 90 s")
    page.evaluate("later(90_000)")
    shows(page, "basket | sent, the collector stored it")


def test_it_says_that_a_blocked_collector_is_left_alone(
    open_page: Open, context: BrowserContext, recorder: Recorder
) -> None:
    context.add_init_script(CLOCK)
    page = open_page()
    shows(page, "page | sent, the collector stored it")
    recorder.stop()
    page.evaluate("void trackway('track', 'basket')")
    shows(page, "basket | kept for a later try: the collector did not answer; next try ", r"in \d+ s")
    for tries in (2, 3):
        page.evaluate("later(60_000)")
        page.wait_for_function(FAILED, arg=tries)
    shows(page, "basket | kept for a later try: the collector did not answer; next try when the browser is online")
    recorder.start()
    page.evaluate("dispatchEvent(new Event('online'))")
    shows(page, "basket | sent, the collector stored it")


def test_it_says_what_never_left_the_browser(open_page: Open, recorder: Recorder) -> None:
    page = open_page()
    page.evaluate("""() => {
      trackway('before', (message) => message.event !== 'Private');
      trackway('track', 'Private');
      for (let i = 0; i < 120; i++) trackway('track', 'Looping');
    }""")
    shows(page, "Private | dropped: a filter of this site said no")
    shows(page, "Looping | ")
    assert re.match(r"\d+: too many at once", fact(page, "Lost"))
    page.wait_for_timeout(1_100)  # until another second has begun
    page.evaluate("void trackway('track', 'Huge', {text: 'x'.repeat(40_000)})")
    shows(page, "Huge | refused: it has more than 32 KB")
    page.evaluate("void trackway('track', 'Unsent'); trackway('consent', {analytics: false, personalization: true})")
    shows(page, "Unsent | dropped: the visitor has not agreed to analytics")
    shows(page, "consent | analytics no, personalization yes")
    assert fact(page, "Consent") == "analytics no, personalization yes"


def test_it_says_that_everything_waits_where_the_browser_objects(
    open_page: Open, context: BrowserContext, recorder: Recorder
) -> None:
    context.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})")
    page = open_page("/", 'data-debug data-respect="gpc dnt"')
    expect(page.locator(f"{PANEL} dt + dd").first).to_have_text("the browser objects: everything waits")
    page.evaluate("void trackway('consent', 'granted')")
    page.wait_for_timeout(300)
    assert rows(page) == []
    assert recorder.tries == []


def test_a_setting_that_cannot_be_is_pointed_out(open_page: Open, recorder: Recorder) -> None:
    page = open_page("/", 'data-debug data-consent="grantd" data-spa="path" data-session="30m" data-sample="10"')
    assert fact(page, "Misspelt") == "consent grantd, session 30m"
    page = open_page("/", f'{GRANTED} data-debug data-spa="hash" data-respect="gpc dnt" data-session="20"')
    assert page.locator(f"{PANEL} dt:text-is('Misspelt')").count() == 0
    assert page.locator(f"{PANEL} dt:text-is('Consent')").count() == 1


def test_errors_and_views_are_told_newest_first(open_page: Open) -> None:
    page = open_page("/first")
    shows(page, "view | http")
    page.evaluate("history.pushState(0, '', '/second')")
    shows(page, "view | http", ".*/second")
    page.evaluate("void trackway('track', 'Odd', {get price() { throw new Error('no price') }})")
    shows(page, "error | ", ".*no price")
    found = [row for row in rows(page) if row.startswith(("view", "error"))]
    assert [row.split(" | ")[0] for row in found] == ["error", "view", "view"]
    assert found[1].endswith("/second")
    assert found[2].endswith("/first")


def test_without_debug_there_is_no_panel_and_no_address_opens_it(open_page: Open, recorder: Recorder) -> None:
    page = open_page("/?tw_debug=1&debug=1&data-debug#tw_debug", GRANTED)
    recorder.wait(lambda: recorder.named("page"))
    assert page.locator(PANEL).count() == 0


def test_a_command_opens_it_with_what_has_been_and_closes_it(open_page: Open, recorder: Recorder) -> None:
    page = open_page("/", GRANTED)
    recorder.wait(lambda: recorder.named("page"))
    page.evaluate("trackway('debug')")
    shows(page, "page | sent, the collector stored it")
    page.evaluate("trackway('debug', false)")
    expect(page.locator(PANEL)).to_have_count(0)
    page.evaluate("trackway.debug()")
    shows(page, "page | sent, the collector stored it")
    assert page.locator(PANEL).count() == 1


def test_the_keyboard_is_enough(open_page: Open) -> None:
    page = open_page()
    shows(page, "page | sent, the collector stored it")
    focused = "document.querySelector('trackway-debug')?.shadowRoot.activeElement?.textContent"
    names = []
    for _ in range(8):
        page.keyboard.press("Tab")
        names.append(page.evaluate(focused) or "")
    assert [one for one in names if one.startswith("Trackway")]
    assert "Close" in names
    assert "Copy as JSON" in names
    page.locator(f"{PANEL} li summary").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(f"{PANEL} li pre").first).to_contain_text('"messageId"')
    page.keyboard.press("Escape")
    expect(page.locator(PANEL)).to_have_count(0)


def test_closing_it_removes_it(open_page: Open) -> None:
    page = open_page()
    page.click(f"{PANEL} >> text=Close")
    expect(page.locator(PANEL)).to_have_count(0)


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_everything_can_be_copied_as_json(open_page: Open, context: BrowserContext, scheme: str) -> None:
    writer = "{writeText: async (text) => { window.copied = text; }}" if scheme == "https" else "undefined"
    context.add_init_script(f"Object.defineProperty(navigator, 'clipboard', {{value: {writer}}})")
    page = open_page()
    shows(page, "page | sent, the collector stored it")
    page.click(f"{PANEL} >> text=Copy as JSON")
    if scheme == "https":
        expect(page.locator(f"{PANEL} div > button")).to_have_text("Copied")
        text = page.evaluate("copied")
    else:
        expect(page.locator(f"{PANEL} div > button")).to_have_text("Press Ctrl+C")
        text = page.locator(f"{PANEL} textarea").input_value()
        assert page.evaluate("getSelection().toString() || document.activeElement.tagName") != ""
    copied = json.loads(text)
    assert copied["status"]["queued"] == 0
    (view,) = [one for one in copied["events"] if one["name"] == "page"]
    assert view["state"] == "sent, the collector stored it"
    assert view["message"]["messageId"] == view["receipt"]["id"]


def test_a_strict_policy_and_the_pages_own_rules_leave_it_as_it_is(open_page: Open, recorder: Recorder) -> None:
    recorder.headers = {"content-security-policy": STRICT}
    page = open_page()
    page.evaluate("""() => {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(
        ':not(html) { position: static !important; color: red !important; opacity: 0.1; display: none }');
      document.adoptedStyleSheets = [sheet];
    }""")
    shows(page, "page | sent, the collector stored it")
    page.locator(f"{PANEL} li summary").first.click()
    box = page.locator(PANEL).bounding_box()
    assert box
    assert box["x"] + box["width"] == 1280 - 8
    assert page.evaluate(f"getComputedStyle(document.querySelector('{PANEL}')).opacity") == "1"
    assert pale(page, f"{PANEL} *") == []


def scene(page: Page, recorder: Recorder) -> None:
    """Something of each kind."""

    def refuse(sent: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        status, headers, body = accept(sent)
        receipts = json.loads(body)["receipts"]
        for event, receipt in zip(sent["batch"], receipts, strict=True):
            if event.get("event") == "favorite":
                receipt |= {"status": "rejected", "reason": "not_a_number", "path": "properties.price"}
        return status, headers, json.dumps({"success": True, "receipts": receipts}).encode()

    shows(page, "page | sent, the collector stored it")
    recorder.faults.append(refuse)
    page.evaluate("void trackway('track', 'favorite', {product_id: 'LF-101', price: 'nine'}); trackway('flush')")
    shows(page, "favorite | refused")
    page.evaluate("trackway('before', (message) => message.event !== 'Private')")
    page.evaluate("void trackway('track', 'Private')")
    recorder.always = answer(503, {}, retry_after="60")
    page.evaluate("void trackway('track', 'basket', {items: [{product_id: 'LF-101', price: '9.90'}]})")
    shows(page, "basket | kept for a later try")


def test_it_can_be_read_and_stays_inside_the_window(open_page: Open, recorder: Recorder, tmp_path: Path) -> None:
    page = open_page("/shop")
    scene(page, recorder)
    page.locator(f"{PANEL} li summary").first.click()
    assert pale(page, f"{PANEL} *") == []
    inside(page, 1280, 720)
    page.screenshot(path=tmp_path / "debug.png")
    assert (tmp_path / "debug.png").stat().st_size > 10_000


def test_on_a_phone_it_is_a_line_until_it_is_opened_and_leaves_half_of_the_page(
    phone: BrowserContext, recorder: Recorder, tmp_path: Path
) -> None:
    page = phone.new_page()
    page.goto(f"{recorder.url}/shop")
    page.locator(PANEL).wait_for()
    closed = inside(page, 390, 844)
    assert closed["height"] < 60
    page.click(f"{PANEL} .head")
    scene(page, recorder)
    opened = inside(page, 390, 844)
    assert 200 < opened["height"] < 844 / 2
    assert pale(page, f"{PANEL} *") == []
    page.screenshot(path=tmp_path / "debug.png")
    # What can be touched is large enough for a finger.
    sizes = page.locator(f"{PANEL} button, {PANEL} .head").evaluate_all("(all) => all.map((one) => one.offsetHeight)")
    assert [size for size in sizes if size < 43] == []


def inside(page: Page, width: int, height: int) -> dict[str, float]:
    """The panel's box, which is inside the window, and does not make the page wider."""
    box = page.locator(PANEL).bounding_box()
    assert box
    assert box["x"] >= 0
    assert box["y"] >= 0
    assert box["x"] + box["width"] <= width
    assert box["y"] + box["height"] <= height
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    return {"width": box["width"], "height": box["height"]}


def test_clicks_in_the_panel_are_no_events(open_page: Open, recorder: Recorder) -> None:
    recorder.addons = "auto,debug"
    page = open_page()
    shows(page, "page | sent, the collector stored it")
    page.evaluate("document.documentElement.dataset.tw = 'clicked'")
    page.locator(f"{PANEL} li summary").first.click()
    page.click(f"{PANEL} >> text=Copy as JSON")
    page.evaluate("void trackway('track', 'last')")
    recorder.wait(lambda: recorder.named("last"))
    assert recorder.names == ["page", "last"]


def test_a_tag_that_stands_twice_makes_one_panel(context: BrowserContext, recorder: Recorder) -> None:
    recorder.attributes += " data-name=tracker"
    recorder.head = "<script>trackway = 'somebody else'</script>" + recorder.tag()
    page = context.new_page()
    page.goto(recorder.url)
    shows(page, "page | sent, the collector stored it")
    assert page.locator(PANEL).count() == 1
    assert len([row for row in rows(page) if row.startswith("page")]) == 1


def test_what_the_docs_paste_opens_it(open_page: Open, recorder: Recorder) -> None:
    text = DOCS.read_text(encoding="utf-8")
    quiet, loud = re.findall(r"```html\n(.*?)\n```", text, re.S)
    commands = re.findall(r"```js\n(.*?)\n```", text, re.S)
    recorder.pages["/loud"] = f"<!doctype html><title>Page</title>{loud}"
    page = open_page("/loud")
    shows(page, "page | held: nobody has been asked yet")
    recorder.pages["/quiet"] = f"<!doctype html><title>Page</title>{quiet}"
    page = open_page("/quiet")
    assert page.locator(PANEL).count() == 0
    opening, closing = commands[0].splitlines()
    page.evaluate(opening)
    shows(page, "page | held: nobody has been asked yet")
    page.evaluate(closing)
    expect(page.locator(PANEL)).to_have_count(0)
