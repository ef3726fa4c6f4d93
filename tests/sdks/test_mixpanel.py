"""Mixpanel's SDKs, unmodified: each call is in the log once, as what it is, and the SDK knows that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.sdks.conftest import Collector
from tests.sdks.lossy import losing
from tests.sdks.running import HERE, node, python
from tests.sdks.shown import shown
from tests.sdks.visit import EMAIL, GIVEN, GROUP, NAME, OWN, TEXT, USER, check_numbered, check_purchase, only
from tests.services.broker import make_certificates

pytestmark = pytest.mark.sdks
ON_SERVERS = ("identify", "purchase", "alias", "group", "text", "batch")
IN_BROWSERS = ("identify", "purchase", "page", "alias", "group", "text", "batch", "retry")


class Server(NamedTuple):
    """An SDK for servers; `largest`: an integer its script sends."""

    language: str
    folder: str
    version: str
    largest: int

    def send(self, url: str, **given: Any) -> dict[str, Any]:
        if self.language == "Python":
            return python(self.folder, {"url": url, "key": "sk_shop", **GIVEN, **given}, "../mixpanel/send.py")
        folder = str(HERE / "node" / self.folder)
        given = {"url": url, "key": "sk_shop", "folder": folder, **GIVEN, **given}
        return node(self.folder, given, "../mixpanel/send.js")


SERVERS = [
    pytest.param(Server("Python", "mixpanel", "5.4.1", 2**53 + 1), id="python",
                 marks=pytest.mark.sdk("mixpanel", "5.4.1", "Python", (*ON_SERVERS, "retry"))),
    pytest.param(Server("Python", "mixpanel-4", "4.10.0", 2**53 + 1), id="python-4",
                 marks=pytest.mark.sdk("mixpanel", "4.10.0", "Python", ON_SERVERS)),
    pytest.param(Server("Node.js", "mixpanel", "0.24.0", 2**53 - 1), id="node",
                 marks=pytest.mark.sdk("mixpanel", "0.24.0", "Node.js", ON_SERVERS)),
    pytest.param(Server("Node.js", "mixpanel-old", "0.17.0", 2**53 - 1), id="node-old",
                 marks=pytest.mark.sdk("mixpanel", "0.17.0", "Node.js", ON_SERVERS)),
]  # fmt: skip


@pytest.mark.parametrize("other", [False, True], ids=["", "other"])
@pytest.mark.parametrize("sdk", SERVERS)
def test_a_visit_lands_once_and_as_what_it_is(sdk: Server, other: bool, collector: Collector) -> None:
    """`other`: Python's consumer that sends batches, Node.js's answers in full."""
    collector.new()
    assert sdk.send(collector.url, buffered=other, verbose=other) == {"sent": 9, "failures": []}
    events = collector.new(9)
    assert len(events) == 9
    assert {event["channel"] for event in events if event["name"] != "Imported"} == {"server"}
    assert only(events, "Imported")["channel"] == "import"
    assert {event.get("client", {}).get("ip") for event in events} == {None}
    own = only(events, OWN)
    assert (own["anonymous_id"], own["properties"]) == ("anon-1", {"text": TEXT, "n": sdk.largest})
    assert own["library"] == {"name": sdk.language.lower().removesuffix(".js"), "version": sdk.version}
    assert (own["time_source"], only(events, "Imported")["time_source"]) == ("exact", "exact")
    assert only(events, "Imported")["occurred_at"] == "2020-09-13T12:26:40.000Z"
    alias = only(events, "alias")
    assert (alias["user_id"], alias["previous_id"]) == (USER, "anon-1")
    people = [one for one in events if one["name"] == "identify"]
    assert {one["user_id"] for one in people} == {USER}
    assert [one["identifiers"] for one in people if "identifiers" in one] == [{"email": EMAIL}]
    assert {"email": EMAIL, "name": NAME} in [one.get("traits") for one in people]
    assert {"plan": None} in [one.get("traits") for one in people]
    assert {"first": "2026"} in [one.get("traits_once") for one in people]
    assert only(events, "$add")["properties"] == {"$add": {"visits": 1}}
    group = only(events, "group")
    assert (group["group_id"], group["traits"], group["properties"]) == (
        GROUP,
        {"plan": "pro"},
        {"$group_key": "company"},
    )
    bought = only(events, "buy")
    assert bought["user_id"] == USER
    check_purchase(bought)


@pytest.mark.parametrize("sdk", SERVERS)
def test_250_events_land_once_each(sdk: Server, collector: Collector) -> None:
    collector.new()
    sent = sdk.send(collector.url, count=250, buffered=True)
    assert sent["failures"] == []
    check_numbered(collector.new(250), 250)


@pytest.mark.parametrize("sdk", SERVERS[:1])
def test_250_events_sent_again_count_once(sdk: Server, collector: Collector, tmp_path: Path) -> None:
    """Python's SDK sends again by itself where it sends by https."""
    collector.new()
    certificates = make_certificates(tmp_path, "127.0.0.1")
    with losing(collector.url, keystore=certificates.keystore) as proxy:
        sent = sdk.send(proxy.url, count=250, buffered=True, verify=str(certificates.ca))
    assert sent == {"sent": 250, "failures": []}
    assert [one.status for one in proxy.seen] == [503, 503] + [200] * 5
    check_numbered(collector.new(250), 250)


# --- Browsers ---------------------------------------------------------------------------------------------------------


class Web(NamedTuple):
    """The SDK for browsers, with settings of its own; `calls`: of a visit, with those it makes by itself."""

    folder: str
    calls: int
    settings: dict[str, Any]

    def open(self, context: BrowserContext, collector: Collector, url: str, init: str = "") -> Page:
        """A page with the SDK in it, and what it says of each call in `window.said`."""
        settings = {"api_host": url, "debug": False, "batch_flush_interval_ms": 200, **self.settings}
        script = f"""
        <script src="/sdk/{self.folder}/node_modules/mixpanel-browser/dist/mixpanel.umd.js"></script>
        <script>
          window.said = [];
          window.say = (result) => window.said.push(result);
          {init or f"mixpanel.init('wk_shop', {json.dumps(settings)})"};
        </script>"""
        page = context.new_page()
        page.goto(collector.pages.put("/mixpanel", script))
        return page


NOW = ("2.83.0", "mixpanel", 8)
OLD = ("2.47.0", "mixpanel-old", 7)
WAYS: dict[str, dict[str, Any]] = {
    "batches": {},
    "batches-json": {"api_payload_format": "json"},
    "post": {"batch_requests": False, "verbose": True},
    "get": {"batch_requests": False, "api_method": "GET"},
    "beacon": {"batch_requests": False, "api_transport": "sendBeacon"},
}


def webs(*ways: str, checks: tuple[str, ...] = IN_BROWSERS) -> list[Any]:
    return [
        pytest.param(
            Web(folder, calls, WAYS[way]), id=f"{version}-{way}",
            marks=pytest.mark.sdk("mixpanel-browser", version, "browser", checks),
        )
        for version, folder, calls in (NOW, OLD)
        for way in ways
    ]  # fmt: skip


VISIT = """(given) => {
  mixpanel.track_pageview();
  mixpanel.track(given.own, {text: given.text, n: Number.MAX_SAFE_INTEGER}, {}, say);
  mixpanel.identify(given.user);
  mixpanel.people.set({$email: given.email, $name: given.name}, say);
  mixpanel.people.increment('visits', 1, say);
  mixpanel.get_group('company', given.group).set('plan', 'pro', say);
  mixpanel.track('Order Completed', given.order, {}, say);
}"""


@pytest.mark.parametrize("sdk", webs(*WAYS))
def test_a_visit_in_a_browser_lands_once(sdk: Web, context: BrowserContext, collector: Collector) -> None:
    collector.new()
    page = sdk.open(context, collector, collector.url)
    page.evaluate(VISIT, GIVEN)
    events = collector.new(sdk.calls)
    page.wait_for_function("said.length === 5")
    said = page.evaluate("said")
    assert all(one in (1, {"status": 1, "error": None}) for one in said), said
    assert len(events) == sdk.calls
    assert {event["channel"] for event in events} == {"web"}
    assert {event["client"]["ip"] for event in events} == {"127.0.0.0"}
    pageview = only(events, "pageview")
    visitor = pageview["anonymous_id"]
    assert (pageview["kind"], pageview["page"]["url"]) == ("page", page.url)
    assert pageview["page"]["title"] == page.title()
    assert pageview["time_source"] == "client"
    own = only(events, OWN)
    assert (own["properties"]["text"], own["properties"]["n"], "user_id" in own) == (TEXT, 2**53 - 1, False)
    identified = [one for one in events if one["name"] == "identify"]
    assert {(one["user_id"], one["anonymous_id"]) for one in identified} == {(USER, visitor)}
    assert len([one for one in identified if "page" in one]) == 1
    (person,) = [one for one in identified if "traits" in one]
    assert (person["traits"]["email"], person["traits"]["name"]) == (EMAIL, NAME)
    assert person["identifiers"] == {"email": EMAIL}
    assert only(events, "$add")["properties"] == {"$add": {"visits": 1}}
    group = only(events, "group")
    assert (group["group_id"], group["traits"]) == (GROUP, {"plan": "pro"})
    bought = only(events, "buy")
    assert (bought["user_id"], bought["anonymous_id"]) == (USER, visitor)
    check_purchase(bought)


@pytest.mark.parametrize("sdk", webs("batches"))
def test_who_was_nobody_becomes_a_user_by_alias(sdk: Web, context: BrowserContext, collector: Collector) -> None:
    collector.new()
    page = sdk.open(context, collector, collector.url)
    page.evaluate(f"mixpanel.alias('{USER}')")
    device = page.evaluate("mixpanel.get_property('$device_id')")
    alias = only(collector.new(1), "alias")
    assert (alias["user_id"], alias["previous_id"], alias["anonymous_id"]) == (USER, device, device)


@pytest.mark.parametrize("sdk", webs("batches"))
def test_250_events_of_a_browser_sent_again_count_once(sdk: Web, context: BrowserContext, collector: Collector) -> None:
    collector.new()
    with losing(collector.url) as proxy:
        page = sdk.open(context, collector, proxy.url)
        page.evaluate("for (let n = 0; n < 250; n++) mixpanel.track('Read', {n}, {}, say)")
        check_numbered(collector.new(250), 250)
        page.wait_for_function("said.length === 250")
        assert set(page.evaluate("said")) == {1}
        assert [one.status for one in proxy.seen[:2]] == [503, 503]
        assert len(proxy.seen) > 5


def test_what_the_docs_show_for_pages_works(context: BrowserContext, collector: Collector) -> None:
    collector.new()
    page = Web("mixpanel", 1, {}).open(context, collector, "", shown("mixpanel.md", "js\nmixpanel.", collector))
    page.evaluate("mixpanel.track('Product Viewed', {product_id: 'SKU-1'}, {send_immediately: true})")
    assert only(collector.new(1), "visit")["items"] == [{"product_id": "SKU-1"}]
