"""SDKs whose messages are Segment's: their scripts, what of a visit must be in the log, and what their docs show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from tests.sdks.conftest import Collector
from tests.sdks.lossy import losing
from tests.sdks.running import node, python
from tests.sdks.visit import EMAIL, GIVEN, GROUP, NAME, OWN, TEXT, USER, check_numbered, check_purchase, only

ALL = ("identify", "purchase", "page", "alias", "group", "text", "batch", "retry")


class Server(NamedTuple):
    """An SDK for servers; `largest`: an integer its script sends."""

    language: str
    folder: str
    library: str
    largest: int

    def send(self, url: str, **given: Any) -> dict[str, Any]:
        run = python if self.language == "Python" else node
        return run(self.folder, {"url": url, "key": "sk_shop", **GIVEN, **given})


def check_visit(sdk: Server, collector: Collector, protocol: str) -> None:
    """Each message lands once and as what it is, and the SDK says so."""
    collector.new()
    assert sdk.send(collector.url) == {"sent": 7, "failures": []}
    events = collector.new(7)
    assert len(events) == 7
    assert {event["time_source"] for event in events} == {"exact"}
    assert {event["library"]["name"] for event in events} == {sdk.library}
    assert {(event["channel"], event["protocol"]) for event in events} == {("server", protocol)}
    page = only(events, "pageview")
    assert (page["user_id"], page["properties"]["name"], page["campaign"]) == (USER, TEXT, {"source": "news"})
    own = only(events, OWN)
    assert (own["anonymous_id"], own["properties"]) == ("anon-1", {"text": TEXT, "n": sdk.largest})
    alias = only(events, "alias")
    assert (alias["user_id"], alias["previous_id"]) == (USER, "anon-1")
    identify = only(events, "identify")
    assert identify["traits"] == {"email": EMAIL, "name": NAME}
    assert (identify["user_id"], identify["identifiers"]) == (USER, {"email": EMAIL})
    group = only(events, "group")
    assert (group["user_id"], group["group_id"], group["traits"]) == (USER, GROUP, {"plan": "pro"})
    check_purchase(only(events, "buy"))


def shown(page: str, language: str, collector: Collector) -> str:
    """The code that `docs/protocols/<page>` shows in a language, for this collector."""
    (code,) = re.findall(rf"```{language}\n(.*?)```", Path("docs/protocols", page).read_text(), re.DOTALL)
    host = collector.url.removeprefix("http://")
    return str(code).replace("127.0.0.1:8080", host)


def check_shown(event: dict[str, Any]) -> None:
    """What all of that code sends."""
    assert (event["name"], event["items"][0]["price"], event["items"][0]["currency"]) == ("visit", "89.9", "EUR")


def check_retries(sdk: Server, collector: Collector) -> None:
    """250 events whose answers are lost are sent again, and count once."""
    collector.new()
    with losing(collector.url) as proxy:
        assert sdk.send(proxy.url, count=250) == {"sent": 250, "failures": []}
    assert [one.status for one in proxy.seen[:2]] == [503, 503]
    check_numbered(collector.new(250), 250)
