"""Segment's SDKs, unmodified: each message is in the log once, as what it is, and the SDK knows that."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.sdks.conftest import Collector
from tests.sdks.lossy import losing
from tests.sdks.running import HERE, node, python
from tests.sdks.visit import EMAIL, GIVEN, GROUP, NAME, OWN, TEXT, USER, check_numbered, check_purchase, only

pytestmark = pytest.mark.sdks
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


PYTHON = Server("Python", "segment", "analytics-python", 2**53 + 1)
NODE = Server("Node.js", "segment", "@segment/analytics-node", 2**53 - 1)
SERVERS = [
    pytest.param(PYTHON, marks=pytest.mark.sdk("segment-analytics-python", "2.4.0", "Python", ALL), id="python"),
    pytest.param(NODE, marks=pytest.mark.sdk("@segment/analytics-node", "3.1.0", "Node.js", ALL), id="node"),
]


@pytest.mark.parametrize("sdk", SERVERS)
def test_a_visit_lands_once_and_as_what_it_is(sdk: Server, collector: Collector) -> None:
    collector.new()
    assert sdk.send(collector.url) == {"sent": 7, "failures": []}
    events = collector.new(7)
    assert len(events) == 7
    assert {event["time_source"] for event in events} == {"exact"}
    assert {event["library"]["name"] for event in events} == {sdk.library}
    assert {event["channel"] for event in events} == {"server"}
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


@pytest.mark.parametrize("sdk", SERVERS)
def test_a_batch_of_250_sent_again_counts_once(sdk: Server, collector: Collector) -> None:
    collector.new()
    with losing(collector.url) as proxy:
        assert sdk.send(proxy.url, count=250) == {"sent": 250, "failures": []}
    assert [int(one.headers["x-retry-count"]) for one in proxy.seen if "x-retry-count" in one.headers]
    check_numbered(collector.new(250), 250)


@pytest.mark.parametrize(
    ("language", "command"),
    [
        ("python", [str(HERE / "python/segment/.venv/bin/python"), "-"]),
        ("js", ["node", "--input-type=module"]),
    ],
    ids=["python", "js"],
)
def test_what_the_docs_show_works(language: str, command: list[str], collector: Collector) -> None:
    (code,) = re.findall(rf"```{language}\n(.*?)```", Path("docs/protocols/segment.md").read_text(), re.DOTALL)
    collector.new()
    code = code.replace("http://127.0.0.1:8080", collector.url)
    subprocess.run(command, input=code, text=True, check=True, timeout=60, cwd=HERE / "node/segment")
    (event,) = collector.new(1)
    assert (event["name"], event["user_id"], event["items"][0]["price"]) == ("visit", "4711", "89.9")
