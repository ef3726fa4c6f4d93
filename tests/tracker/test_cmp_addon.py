"""The add-on `cmp`: what a consent platform says is the visitor's choice here, told once, and so is its withdrawal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import BrowserContext, Page

from collector.settings import DEFAULT_CONSENT_RULES
from collector.tcf import read_tcf
from tests.collector.test_tcf import MADE
from tests.tracker.conftest import Open
from tests.tracker.layers import GTAG, config_for, line, shown, table
from tests.tracker.recorder import Recorder
from tests.tracker.waiting import wait_until
from tests.trackway.processes import collecting, stored

pytestmark = [pytest.mark.browser, pytest.mark.browsers]

PURPOSES: Final = ("analytics", "personalization", "marketing_activation", "third_party_sharing")
ALL: Final = dict.fromkeys(PURPOSES, True)
NONE: Final = dict.fromkeys(PURPOSES, False)
# As platforms paste it into pages: it keeps the calls until the platform itself has loaded.
STUB: Final = """
  window.__tcfapi = (...call) => {
    if (!call.length) return __tcfapi.calls;
    __tcfapi.calls.push(call);
  };
  __tcfapi.calls = [];
"""
# The platform: what it holds, and `choose(purposes, status)` of its banner.
PLATFORM: Final = """
  const waiting = window.__tcfapi ? __tcfapi() : [];
  const listeners = [];
  window.platform = {cmpStatus: 'loaded', eventStatus: 'cmpuishown', gdprApplies: true, tcString: '',
    purpose: {consents: {}, legitimateInterests: {2: true, 7: true}}};
  const tell = (listener, at) => listener({...structuredClone(platform), listenerId: at}, true);
  window.asked = [];
  window.__tcfapi = (command, version, callback) => {
    asked.push([command, version]);
    if (command === 'addEventListener') tell(callback, listeners.push(callback) - 1);
  };
  window.choose = (purposes, eventStatus = 'useractioncomplete', more = {}) => {
    // Some platforms leave out what is not allowed, others say so.
    const all = purposes.length % 2 ? [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] : purposes;
    platform.purpose.consents = Object.fromEntries(all.map((one) => [one, purposes.includes(one)]));
    Object.assign(platform, {eventStatus}, more);
    listeners.forEach(tell);
  };
  waiting.forEach((call) => __tcfapi(...call));
"""
EVERYTHING: Final = list(range(1, 12))


@pytest.fixture
def cmp(open_page: Open, recorder: Recorder) -> Open:
    """`cmp(path, head)` opens a page with the add-on after what stands in `head`."""
    recorder.addons = "cmp"

    def cmp(path: str = "/", head: str = GTAG) -> Page:
        recorder.head = f"<script>{head}</script>"
        return open_page(path, recorder.attributes)

    return cmp


def choice(page: Page) -> dict[str, bool] | None:
    found: dict[str, bool] | None = page.evaluate("trackway.status().then(({consent}) => consent)")
    return found


def wait_for_choice(page: Page, wanted: dict[str, bool]) -> None:
    wait_until(page, f"trackway.status().then(({{consent}}) => JSON.stringify(consent) === '{text(wanted)}')", 10)


def text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def evidence(recorder: Recorder) -> list[dict[str, Any]]:
    return [event["properties"] for event in recorder.named("consent")]


@pytest.mark.parametrize("string", MADE)
def test_a_choice_of_the_framework_is_what_the_collector_reads_in_its_string(
    string: str, cmp: Open, recorder: Recorder
) -> None:
    allowed = read_tcf(string)
    assert allowed
    page = cmp(head=STUB + PLATFORM)
    page.evaluate("([purposes, tcString]) => choose(purposes, 'tcloaded', {tcString})", [list(allowed[0]), string])
    wanted = {name: bool(DEFAULT_CONSENT_RULES.of_tcf(string).get(name)) for name in PURPOSES}
    wait_for_choice(page, wanted)
    if wanted["analytics"]:
        recorder.wait(lambda: evidence(recorder))
        assert evidence(recorder) == [{"method": "tcf", "tcf": string}]
        assert recorder.events[0]["context"]["consent"]["choice"] == wanted


def test_each_row_of_the_framework_in_the_docs(cmp: Open) -> None:
    rows = table("cmp.md", 1)
    page = cmp(head=PLATFORM)
    needed: dict[str, list[int]] = {}
    for ours, theirs in rows:
        numbers = [int(number) for number in theirs.replace("and", ",").replace(" ", "").split(",") if number]
        needed |= dict.fromkeys(ours.replace("`", "").split(", "), numbers)
    assert tuple(needed) == PURPOSES
    for numbers in needed.values():
        page.evaluate("choose", numbers)
        wait_for_choice(page, {name: set(of) <= set(numbers) for name, of in needed.items()})
        for left_out in numbers:
            page.evaluate("choose", [number for number in EVERYTHING if number != left_out])
            wait_for_choice(page, {name: left_out not in of for name, of in needed.items()})


def test_the_platform_loads_after_us_behind_its_stub(cmp: Open, recorder: Recorder) -> None:
    page = cmp(head=STUB)
    page.wait_for_timeout(300)
    assert page.evaluate("__tcfapi.calls.map(([command, version]) => [command, version])") == [["addEventListener", 2]]
    page.evaluate(PLATFORM)
    page.evaluate("choose", EVERYTHING)
    wait_for_choice(page, ALL)


@pytest.mark.parametrize("sign", ["its script", "a click", "its frame's message"])
def test_the_platform_loads_after_us_without_a_stub(sign: str, cmp: Open, recorder: Recorder) -> None:
    page = cmp()
    page.wait_for_timeout(1000)
    if sign == "its script":
        recorder.pages["/cmp.js"] = f"(() => {{ {PLATFORM} }})(); choose([1, 8, 9], 'tcloaded');"
        recorder.headers = {"content-type": "text/javascript"}
        page.evaluate("document.head.append(Object.assign(document.createElement('script'), {src: '/cmp.js'}))")
    else:
        page.evaluate(PLATFORM)
        page.evaluate("choose([1, 8, 9], 'tcloaded')")
    if sign == "a click":
        page.click("h1")
    elif sign == "its frame's message":
        page.evaluate("postMessage('ready', '*')")
    wait_for_choice(page, {**NONE, "analytics": True})
    recorder.headers = {}


def test_until_there_is_a_choice_nothing_is_sent_and_events_wait(cmp: Open, recorder: Recorder) -> None:
    page = cmp(head=STUB + PLATFORM)
    page.evaluate("void trackway.track('visit', {product_id: 'T-1'})")
    page.click("h1")
    page.wait_for_timeout(1000)
    assert (choice(page), recorder.tries) == (None, [])
    page.evaluate("choose", EVERYTHING)
    recorder.wait(lambda: "consent" in recorder.names)
    assert recorder.names == ["page", "visit", "consent"]


def test_the_same_choice_is_told_once_and_a_withdrawal_is_one(cmp: Open, recorder: Recorder) -> None:
    page = cmp(head=STUB + PLATFORM)
    for _ in range(3):
        page.evaluate("choose", EVERYTHING)
        page.click("h1")
    recorder.wait(lambda: evidence(recorder))
    # The banner is opened again, which is no choice yet.
    page.evaluate("choose([], 'cmpuishown')")
    page.wait_for_timeout(500)
    assert choice(page) == ALL
    for _ in range(3):
        page.evaluate("choose([])")
        page.click("h1")
    recorder.wait(lambda: len(evidence(recorder)) == 2)
    page.evaluate("trackway.track('visit')")
    page.wait_for_timeout(1500)

    assert recorder.named("consent")[1]["context"]["consent"]["choice"] == NONE
    assert [name for name in recorder.names if name != "page"] == ["consent", "consent"]
    assert page.evaluate("Object.keys(localStorage).filter((key) => /^tw.(id|session|q)/.test(key))") == []


def test_where_the_framework_does_not_apply_all_is_granted_but_what_the_visitor_denied(cmp: Open) -> None:
    page = cmp(head=GTAG + STUB + PLATFORM + "platform.gdprApplies = false")
    wait_for_choice(page, ALL)
    page.evaluate("gtag('consent', 'default', {analytics_storage: 'denied'})")
    page.click("h1")
    page.wait_for_timeout(500)
    assert choice(page) == ALL
    page.evaluate("gtag('consent', 'update', {analytics_storage: 'granted', ad_storage: 'denied'})")
    page.evaluate("choose([], 'tcloaded')")
    page.click("h1")
    wait_for_choice(page, {**NONE, "analytics": True})
    page.evaluate("choose([], 'useractioncomplete')")
    page.wait_for_timeout(500)
    assert choice(page) == {**NONE, "analytics": True}


def test_a_platform_that_fails_says_nothing_and_throws_nothing(cmp: Open) -> None:
    page = cmp(head="window.__tcfapi = (command, version, heard) => { window.told = heard; throw new Error('x') }")
    wait_until(page, "!!window.told")
    page.evaluate("told(null, false); told({eventStatus: 'cmpuishown', gdprApplies: true}, true)")
    page.evaluate("told({eventStatus: 'tcloaded', gdprApplies: true}, false)")
    page.wait_for_timeout(300)
    assert choice(page) is None
    page.evaluate("told({eventStatus: 'tcloaded', gdprApplies: true}, true)")
    wait_for_choice(page, NONE)


def test_consent_mode_waits_while_the_default_denies(cmp: Open, recorder: Recorder) -> None:
    default, update = shown("cmp.md")[0].splitlines()
    page = cmp(head=GTAG + default)
    page.click("h1")
    page.wait_for_timeout(1000)
    assert (choice(page), recorder.tries) == (None, [])
    page.evaluate(f"() => {{ document.body.onclick = () => {{ {update} document.body.onclick = null }} }}")
    page.click("h1")
    wait_for_choice(page, {**NONE, "analytics": True})
    page.click("h1")
    recorder.wait(lambda: evidence(recorder))
    page.evaluate("gtag('consent', 'update', {ad_storage: 'granted', ad_user_data: 'granted'})")
    page.click("h1")
    wait_for_choice(page, {**ALL, "personalization": False})
    recorder.wait(lambda: len(evidence(recorder)) == 2)
    page.evaluate("gtag('consent', 'update', {analytics_storage: 'denied'})")
    page.click("h1")
    recorder.wait(lambda: len(evidence(recorder)) == 3)

    assert evidence(recorder) == [{"method": "consent_mode"}] * 3
    assert recorder.named("consent")[2]["context"]["consent"]["choice"]["analytics"] is False


def test_each_row_of_consent_mode_in_the_docs(cmp: Open) -> None:
    rows = [(ours.strip("`"), [one for one in theirs.split("`") if "_" in one]) for ours, theirs in table("cmp.md", 2)]
    assert tuple(ours for ours, _ in rows) == PURPOSES
    page = cmp()
    for ours, signals in rows:
        denied = {signal: "denied" for _, of in rows for signal in of}
        page.evaluate("(all) => gtag('consent', 'update', all)", {**denied, **dict.fromkeys(signals, "granted")})
        page.click("h1")
        wait_for_choice(page, {**NONE, ours: True})


def test_a_default_that_grants_counts_when_the_page_has_loaded_without_a_choice(cmp: Open, recorder: Recorder) -> None:
    default = "gtag('consent', 'default', {analytics_storage: 'granted', ad_storage: 'granted'});"
    page = cmp(head=GTAG + default)
    wait_for_choice(page, {**NONE, "analytics": True, "marketing_activation": True})
    page.evaluate("gtag('consent', 'update', {ad_storage: 'denied'})")
    page.click("h1")
    wait_for_choice(page, {**NONE, "analytics": True})
    # On the next page the default does not alter what was chosen.
    page.reload()
    page.wait_for_function("window.trackway && trackway.version")
    page.wait_for_timeout(1000)
    assert choice(page) == {**NONE, "analytics": True}
    recorder.wait(lambda: len(recorder.named("page")) == 2)
    assert len(evidence(recorder)) == 2


@pytest.mark.parametrize("regions", [("", "['DE']"), ("['DE']", "")])
def test_of_defaults_for_regions_the_strictest_counts(regions: tuple[str, str], cmp: Open) -> None:
    both = [f", region: {region}" if region else "" for region in regions]
    page = cmp(
        head=GTAG
        + f"gtag('consent', 'default', {{analytics_storage: 'granted'{both[0]}}});"
        + f"gtag('consent', 'default', {{analytics_storage: 'denied'{both[1]}}});"
    )
    page.wait_for_timeout(1000)
    assert choice(page) is None


def test_a_default_that_comes_after_the_update_alters_nothing(cmp: Open) -> None:
    page = cmp(head=GTAG + "gtag('consent', 'update', {analytics_storage: 'granted'});")
    wait_for_choice(page, {**NONE, "analytics": True})
    page.evaluate("gtag('consent', 'default', {analytics_storage: 'denied'})")
    page.evaluate("gtag('consent', 'update', {ad_user_data: 'granted'})")
    page.click("h1")
    wait_for_choice(page, {**NONE, "analytics": True, "third_party_sharing": True})


@pytest.mark.parametrize(
    ("attribute", "wanted"),
    [
        ("", {**NONE, "personalization": True}),
        ('data-cmp="tcf"', {**NONE, "personalization": True}),
        ('data-cmp="consent_mode"', {**NONE, "analytics": True}),
    ],
)
def test_where_both_are_there_the_framework_counts(
    attribute: str, wanted: dict[str, bool], cmp: Open, recorder: Recorder
) -> None:
    recorder.attributes = attribute
    page = cmp(head=GTAG + STUB + PLATFORM + "gtag('consent', 'update', {analytics_storage: 'granted'})")
    page.evaluate("choose([1, 5, 6])")
    page.click("h1")
    wait_for_choice(page, wanted)
    page.wait_for_timeout(500)
    assert choice(page) == wanted
    assert bool(page.evaluate("asked.length")) is (attribute != 'data-cmp="consent_mode"')


def test_with_shop_beside_it_the_purchase_goes_out_by_the_platforms_choice(cmp: Open, recorder: Recorder) -> None:
    page = cmp(head=GTAG + STUB + PLATFORM + "gtag('event', 'purchase', {transaction_id: 'A-1'})")
    recorder.addons = "shop,cmp"
    page.reload()
    page.wait_for_timeout(1000)
    assert recorder.tries == []
    page.evaluate("choose", [1, 8, 9])
    recorder.wait(lambda: "buy" in recorder.names)
    (buy,) = recorder.named("buy")
    assert buy["properties"] == {"order_id": "A-1"}
    assert buy["context"]["consent"]["choice"] == {**NONE, "analytics": True}


def test_the_pages_line_and_calls_are_consent_in_a_collector(
    tmp_path: Path, context: BrowserContext, recorder: Recorder
) -> None:
    config = config_for(recorder.url, tmp_path)
    with collecting(config) as url:
        tag = line("cmp.md").replace('"/tw/', f'"{url}/tw/')
        recorder.pages["/"] = f"<!doctype html><title>Page</title><script>{GTAG}{shown('cmp.md')[0]}</script>{tag}"
        page = context.new_page()
        page.goto(recorder.url)
        page.wait_for_function("window.trackway && trackway.version")
        wait_for_choice(page, {**NONE, "analytics": True})
        wait_until(page, "trackway.status().then(({queued}) => !queued)")
        found = stored(config)
    assert sorted(event["name"] for event in found) == ["consent", "pageview"]
    for event in found:
        assert {name: event["consent"][name] for name in PURPOSES} == {**NONE, "analytics": True}
    assert [event["consent"]["method"] for event in found if event["name"] == "consent"] == ["consent_mode"]
