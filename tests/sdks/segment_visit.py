"""SDKs whose messages are Segment's: their scripts for servers, and what of their visit must be in the log."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.sdks.conftest import Collector
from tests.sdks.lossy import losing
from tests.sdks.running import node, python
from tests.sdks.visit import (
    GIVEN,
    GROUP,
    OWN,
    TEXT,
    USER,
    check_numbered,
    check_person,
    check_purchase,
    only,
)

ALL = ("identify", "purchase", "page", "alias", "group", "text", "batch", "retry")


class Server(NamedTuple):
    """An SDK for servers: its folder, what it calls itself, an integer its script sends; of Python, where its client is
    and what that is given."""

    folder: str
    library: str
    largest: int
    module: str = ""
    options: dict[str, Any] = {}  # noqa: RUF012 - never written to

    def send(self, url: str, **given: Any) -> dict[str, Any]:
        given = {"url": url, "key": "sk_shop", **GIVEN, **given}
        if self.module:
            given |= {"module": self.module, "options": self.options}
            return python(self.folder, given, "../segment/send.py")
        return node(self.folder, given, "send.mjs")


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
    check_person(events)
    group = only(events, "group")
    assert (group["user_id"], group["group_id"], group["traits"]) == (USER, GROUP, {"plan": "pro"})
    check_purchase(only(events, "buy"))


def check_retries(sdk: Server, collector: Collector) -> None:
    """250 events whose answers are lost are sent again, and count once."""
    collector.new()
    with losing(collector.url) as proxy:
        assert sdk.send(proxy.url, count=250) == {"sent": 250, "failures": []}
    assert [one.status for one in proxy.seen[:2]] == [503, 503]
    check_numbered(collector.new(250), 250)
