"""PostHog's SDKs, unmodified: each call is in the log once, as what it is, and the SDK knows that."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.sdks.conftest import Collector
from tests.sdks.lossy import losing
from tests.sdks.running import HERE, node, python
from tests.sdks.shown import shown
from tests.sdks.visit import (
    EMAIL,
    GIVEN,
    GROUP,
    NAME,
    OWN,
    TEXT,
    USER,
    check_numbered,
    check_person,
    check_purchase,
    only,
)

pytestmark = pytest.mark.sdks
NO_RETRY = ("identify", "purchase", "page", "alias", "group", "text", "batch")
ALL = (*NO_RETRY, "retry")


def carries(method: str, target: str) -> bool:
    """Flags are asked for by POST too."""
    return method == "POST" and not target.startswith(("/flags", "/decide"))


# --- Servers ----------------------------------------------------------------------------------------------------------


class Server(NamedTuple):
    """An SDK for servers; `given`: what its script is given beside the visit, `largest`: an integer it sends."""

    library: str
    folder: str
    version: str
    given: dict[str, Any]
    largest: int

    def send(self, url: str, **given: Any) -> dict[str, Any]:
        given = {"url": url, "key": "sk_shop", **GIVEN, **self.given, **given}
        if self.library == "posthog-python":
            return python(self.folder, given, "../posthog/send.py")
        return node(self.folder, given | {"folder": str(HERE / "node" / self.folder)}, "../posthog/send.js")


def _server(language: str, folder: str, version: str, name: str = "", **given: Any) -> Any:
    library, largest = ("posthog-python", 2**53 + 1) if language == "Python" else ("posthog-node", 2**53 - 1)
    package = "posthog" if language == "Python" else "posthog-node"
    mark = pytest.mark.sdk(package, version, language, ALL)
    sdk = Server(library, folder, version, given, largest)
    return pytest.param(sdk, marks=mark, id=f"{package}-{version}{name}")


SERVERS = [
    _server("Python", "posthog", "7.91.1"),
    _server("Python", "posthog", "7.91.1", "-gzip", options={"gzip": True}),
    _server("Python", "posthog", "7.91.1", "-v1", options={"capture_mode": "v1"}),
    _server("Python", "posthog-older", "3.5.0"),
    _server("Node.js", "posthog", "5.70.0"),
    _server("Node.js", "posthog", "5.70.0", "-v1", mode="v1"),
    _server("Node.js", "posthog-older", "3.6.3"),
]


@pytest.mark.parametrize("sdk", SERVERS)
def test_a_visit_lands_once_and_as_what_it_is(sdk: Server, collector: Collector) -> None:
    collector.new()
    assert sdk.send(collector.url) == {"failures": [], "flags": {}}
    events = collector.new(6)
    assert len(events) == 6
    assert {event["channel"] for event in events} == {"server"}
    assert {event["time_source"] for event in events} == {"exact"}
    assert {event["protocol"] for event in events} == {"posthog"}
    assert [event["library"] for event in events] == [{"name": sdk.library, "version": sdk.version}] * 6
    assert not any("client" in event for event in events)
    page = only(events, "pageview")
    assert (page["user_id"], page["properties"], page["campaign"]) == (USER, {"name": TEXT}, {"source": "news"})
    own = only(events, OWN)
    assert own["properties"] == {"text": TEXT, "n": sdk.largest, "distinct_id": "anon-1"}
    assert not {"user_id", "anonymous_id"} & own.keys()
    check_person(events)
    group = only(events, "group")
    assert (group["group_id"], group["traits"], "user_id" in group) == (GROUP, {"plan": "pro"}, False)
    bought = only(events, "buy")
    assert (bought["user_id"], bought["group_id"]) == (USER, GROUP)
    check_purchase(bought)


@pytest.mark.parametrize("sdk", SERVERS)
def test_250_events_sent_again_count_once(sdk: Server, collector: Collector) -> None:
    collector.new()
    with losing(collector.url, carries) as proxy:
        assert sdk.send(proxy.url, count=250)["failures"] == []
    assert [one.status for one in proxy.seen[:2]] == [503, 503]
    assert {one.status for one in proxy.seen[2:]} == {200}
    check_numbered(collector.new(250), 250)


@pytest.mark.parametrize("sdk", [SERVERS[2], SERVERS[5]])
def test_v1_tells_which_events_are_refused(sdk: Server, collector: Collector) -> None:
    collector.new()
    order = GIVEN["order"] | {"total": "much"}
    (failure,) = sdk.send(collector.url, order=order)["failures"]
    assert "1 dropped" in failure or "1 event(s) dropped" in failure
    assert len(collector.new(5)) == 5


# --- Browsers ---------------------------------------------------------------------------------------------------------


class Web(NamedTuple):
    """The SDK for browsers, with settings of its own; `module`: what its package is imported as."""

    module: str
    settings: dict[str, Any]

    def open(self, context: BrowserContext, collector: Collector, url: str, path: str = "/posthog") -> Page:
        """A page with the SDK in it; `window.complaints` has what it and the browser complain of."""
        # It drops what it takes for an endless loop, of 100 events on; what it sends when a test closes its page is no
        # event of the next test.
        settings = {"api_host": url, "rate_limiting": {"events_per_second": 1000}, "capture_pageleave": False}
        settings |= self.settings
        script = f"""
        <script>
          window.complaints = [];
          addEventListener('error', (error) => complaints.push(String(error.message ?? error.target?.src)), true);
        </script>
        <script type="module">
          import posthog from '{self.module}';
          const settings = {json.dumps(settings)};
          settings.on_request_error = (answer) => complaints.push(answer.statusCode);
          posthog.init('wk_shop', settings);
          window.posthog = posthog;
        </script>"""
        page = context.new_page()
        page.goto(collector.pages.put(path, script) + "?utm_source=news&gclid=g-1")
        page.wait_for_function("window.posthog?.__loaded")
        return page


NOW = ("1.449.2", "/sdk/posthog/node_modules/posthog-js/dist/module.js")
OLD = ("1.116.0", "/sdk/posthog-older/node_modules/posthog-js/dist/es.js")
WAYS: dict[str, dict[str, Any]] = {"": {}, "-json": {"disable_compression": True}}


def webs(*ways: str) -> list[Any]:
    return [
        pytest.param(
            Web(module, WAYS[way]), id=f"posthog-js-{version}{way}",
            marks=pytest.mark.sdk("posthog-js", version, "browser", checks),
        )
        for version, module, checks in ((*NOW, ALL), (*OLD, NO_RETRY))
        for way in ways
    ]  # fmt: skip


VISIT = """(given) => {
  posthog.capture(given.own, {text: given.text, n: Number.MAX_SAFE_INTEGER});
  posthog.identify(given.user, {email: given.email, name: given.name}, {first: '2026'});
  posthog.group('company', given.group, {plan: 'pro'});
  posthog.capture('Order Completed', given.order);
}"""


MANY = "for (let n = 0; n < 250; n++) posthog.capture('Read', {n})"


@pytest.mark.parametrize("sdk", webs(*WAYS))
def test_a_visit_in_a_browser_lands_once(sdk: Web, context: BrowserContext, collector: Collector) -> None:
    collector.new()
    page = sdk.open(context, collector, collector.url)
    visitor = page.evaluate("posthog.get_distinct_id()")
    page.evaluate(VISIT, GIVEN)
    events = collector.new(5)
    assert page.evaluate("complaints") == []
    assert [event["name"] for event in events] == ["pageview", OWN, "identify", "group", "buy"]
    assert {event["channel"] for event in events} == {"web"}
    assert {event["time_source"] for event in events} == {"client"}
    assert {event["anonymous_id"] for event in events} == {visitor}
    assert [event.get("user_id") for event in events] == [None, None, USER, USER, USER]
    assert len({event["client_session_id"] for event in events}) == 1
    assert {event["page"]["url"] for event in events} == {page.url}
    assert {event["client"]["locale"] for event in events} == {"de-CH"}
    pageview, own, identify, group, bought = events
    assert (pageview["kind"], pageview["page"]["title"]) == ("page", page.title())
    assert pageview["campaign"] == {"source": "news", "click_id": "gclid:g-1"}
    assert (own["properties"]["text"], own["properties"]["n"]) == (TEXT, 2**53 - 1)
    assert identify["traits"] == {"email": EMAIL, "name": NAME}
    assert (identify["traits_once"]["first"], identify["identifiers"]) == ("2026", {"email": EMAIL})
    assert (group["group_id"], group["traits"]) == (GROUP, {"plan": "pro"})
    assert bought["group_id"] == GROUP
    check_purchase(bought)
    assert not [name for event in events for name in event["properties"] if name[0] == "$" and name != "$groups"]


@pytest.mark.parametrize("sdk", webs(""))
def test_who_was_nobody_becomes_a_user_by_alias_and_nobody_by_reset(
    sdk: Web, context: BrowserContext, collector: Collector
) -> None:
    collector.new()
    page = sdk.open(context, collector, collector.url)
    visitor = page.evaluate("posthog.get_distinct_id()")
    page.evaluate(f"posthog.alias('{USER}')")
    alias = only(collector.new(2), "alias")
    assert (alias["user_id"], alias["previous_id"]) == (USER, visitor)
    page.evaluate(f"posthog.identify('{USER}'); posthog.reset(); posthog.capture('Read')")
    read = only(collector.new(2), "Read")
    assert read["anonymous_id"] == page.evaluate("posthog.get_distinct_id()") != visitor
    assert "user_id" not in read


@pytest.mark.parametrize("sdk", webs("")[:1])
def test_a_page_without_cookies_makes_nobody_of_all_its_visitors(
    sdk: Web, context: BrowserContext, collector: Collector
) -> None:
    collector.new()
    page = sdk._replace(settings={"cookieless_mode": "always"}).open(context, collector, collector.url)
    page.evaluate(VISIT, GIVEN)
    events = collector.new(5)
    assert [event.get("user_id") for event in events] == [None, None, USER, USER, USER]
    assert not any("anonymous_id" in event for event in events)
    assert context.cookies() == []


@pytest.mark.parametrize("sdk", webs(""))
def test_a_click_is_told_by_itself(sdk: Web, context: BrowserContext, collector: Collector) -> None:
    collector.new()
    page = sdk.open(context, collector, collector.url)
    page.evaluate("document.body.innerHTML = '<button>Kaufen 🚲</button>'")
    page.wait_for_timeout(500)
    page.click("button")
    click = only(collector.new(2), "$autocapture")
    assert (click["properties"]["$event_type"], "Kaufen 🚲" in json.dumps(click, ensure_ascii=False)) == ("click", True)


@pytest.mark.parametrize("sdk", webs(""))
def test_what_happens_when_a_page_is_closed_is_not_lost(
    sdk: Web, context: BrowserContext, collector: Collector
) -> None:
    collector.new()
    page = sdk._replace(settings={"capture_pageleave": True}).open(context, collector, collector.url)
    page.evaluate(f"posthog.capture('{OWN}')")
    page.close(run_before_unload=True)
    assert [event["name"] for event in collector.new(3)] == ["pageview", OWN, "$pageleave"]


@pytest.mark.parametrize("sdk", webs("")[:1])
def test_250_events_of_a_browser_sent_again_count_once(sdk: Web, context: BrowserContext, collector: Collector) -> None:
    collector.new()
    with losing(collector.url, carries) as proxy:
        page = sdk.open(context, collector, proxy.url)
        page.evaluate(MANY)
        check_numbered(collector.new(251, 40), 250)
        assert page.evaluate("complaints") == [503, 503]
    assert [one.status for one in proxy.seen[:2]] == [503, 503]
    assert {one.status for one in proxy.seen[2:]} == {200}


@pytest.mark.parametrize("sdk", webs("")[1:])
def test_250_events_of_an_older_browser_sdk_land_once_each(
    sdk: Web, context: BrowserContext, collector: Collector
) -> None:
    """It does not send again what it sent together."""
    collector.new()
    page = sdk.open(context, collector, collector.url)
    page.evaluate(MANY)
    check_numbered(collector.new(251), 250)
    assert page.evaluate("complaints") == []


# --- The docs ---------------------------------------------------------------------------------------------------------


def test_what_the_docs_show_for_pages_works(context: BrowserContext, collector: Collector) -> None:
    collector.new()
    code = shown("posthog.md", "js\nimport posthog", collector).replace("'posthog-js'", f"'{NOW[1]}'")
    page = context.new_page()
    page.goto(collector.pages.put("/docs", f'<script type="module">{code}</script>'))
    assert only(collector.new(1), "pageview")["page"]["url"] == page.url
