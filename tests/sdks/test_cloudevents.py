"""The packages of CloudEvents, unmodified, in each of their modes: each event is in the log once, as what it is."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from tests.sdks.conftest import Collector
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

pytestmark = pytest.mark.sdks
# None of them sends again.
CHECKS = ("identify", "purchase", "page", "alias", "group", "text", "batch")


class Package(NamedTuple):
    """A package; `largest`: an integer its script sends, `source`: where its events say they come from."""

    language: str
    folder: str
    largest: int
    source: str = "/shop/kasse"

    def send(self, collector: Collector, **given: Any) -> list[Any]:
        run = python if self.language == "Python" else node
        sent = {"url": collector.url, "path": "/cloudevents", "key": "sk_shop", "mode": "structured", **GIVEN, **given}
        statuses: list[Any] = run(self.folder, sent)["statuses"]
        return statuses


PYTHON = Package("Python", "cloudevents", 2**53 + 1, "/shop/kasse Ü")
OLD = Package("Python", "cloudevents-1", 2**53 + 1)
NODE = Package("Node.js", "cloudevents", 2**53 - 1)
PACKAGES = [
    pytest.param(PYTHON, marks=pytest.mark.sdk("cloudevents", "2.2.0", "Python", CHECKS), id="python"),
    pytest.param(OLD, marks=pytest.mark.sdk("cloudevents", "1.12.0", "Python", CHECKS), id="python-1"),
    pytest.param(NODE, marks=pytest.mark.sdk("cloudevents", "10.0.0", "Node.js", CHECKS), id="node"),
]


@pytest.mark.parametrize("mode", ["structured", "binary"])
@pytest.mark.parametrize("package", PACKAGES)
def test_a_visit_lands_once_and_as_what_it_is(package: Package, mode: str, collector: Collector) -> None:
    collector.new()
    assert package.send(collector, mode=mode) == [200] * 6
    events = collector.new(6)
    assert len(events) == 6
    assert {(event["channel"], event["protocol"]) for event in events} == {("server", "cloudevents")}
    assert all(event["id"].startswith(f"{package.source}|") for event in events)
    # The packages note when an event was made.
    assert {event["time_source"] for event in events} == {"exact"}
    page = only(events, "pageview")
    assert (page["user_id"], page["page"]["title"], page["campaign"]) == (USER, TEXT, {"source": "news"})
    own = only(events, OWN)
    assert own["anonymous_id"] == "anon-1"
    assert own["properties"] == {"text": TEXT, "n": package.largest, "note": TEXT, "source": package.source}
    check_person(events)
    group = only(events, "group")
    assert (group["user_id"], group["group_id"], group["traits"]) == (USER, GROUP, {"plan": "pro"})
    check_purchase(only(events, "buy"))


@pytest.mark.parametrize("package", PACKAGES)
def test_a_batch_of_250_at_the_path_of_another_protocol(package: Package, collector: Collector) -> None:
    collector.new()
    assert package.send(collector, count=250, path="/v1/batch") == [200]
    check_numbered(collector.new(250), 250)
