"""Segment's SDKs for Python and Node.js, unmodified: each message is in the log once, and the SDK knows that."""

from __future__ import annotations

import re
import subprocess
import sys
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from eventlog.topics import REJECTED
from tests.sdks.conftest import Collector
from tests.sdks.lossy import losing
from tests.sdks.messages import messages
from tests.sdks.running import HERE, Sdk
from tests.trackway.processes import stored


def many(count: int) -> list[dict[str, Any]]:
    return [
        {"type": "track", "userId": "4711", "event": "Read", "messageId": str(uuid.uuid4()), "properties": {"n": n}}
        for n in range(count)
    ]


def kept(collector: Collector, ids: set[str]) -> list[dict[str, Any]]:
    return [event for event in stored(collector.config) if event["id"] in ids]


def test_every_message_lands_once_and_as_what_it_is(sdk: Sdk, collector: Collector) -> None:
    table = {str(uuid.uuid4()): message for message in messages(sdk.largest_integer)}
    sent = [*({**message.sent, "messageId": one} for one, message in table.items()), *many(250)]
    ids = {message["messageId"] for message in sent}
    report = sdk.send(collector.url, sent)
    assert report["failures"] == []
    assert Counter(report["delivered"]) == Counter(ids)
    found = kept(collector, ids)
    assert Counter(event["id"] for event in found) == Counter(ids)
    assert {event["time_source"] for event in found} == {"exact"}
    assert {event["library"]["name"] for event in found} == {sdk.library}
    events = {event["id"]: event for event in found}
    for one, message in table.items():
        assert {name: events[one].get(name) for name in message.stored} == message.stored
    assert {event["properties"]["n"] for event in found if event["name"] == "Read"} == set(range(250))


def test_a_retry_after_a_lost_answer_counts_once(sdk: Sdk, collector: Collector) -> None:
    sent = many(270)
    ids = {message["messageId"] for message in sent}
    with losing(collector.url) as proxy:
        report = sdk.send(proxy.url, sent)
    assert report["failures"] == []
    assert Counter(report["delivered"]) == Counter(ids)
    assert min(proxy.retries) == 1
    assert Counter(event["id"] for event in kept(collector, ids)) == Counter(ids)
    refused = [outcome for outcome in stored(collector.config, REJECTED) if outcome["id"] in ids]
    assert {outcome["status"] for outcome in refused} == {"duplicate"}
    twice = Counter(outcome["id"] for outcome in refused)
    assert set(twice.values()) == {1}


@pytest.mark.parametrize(
    ("language", "command"),
    [("python", [sys.executable, "-"]), ("js", ["node", "--input-type=module"])],
    ids=["python", "js"],
)
def test_what_the_docs_show_works(language: str, command: list[str], collector: Collector) -> None:
    (code,) = re.findall(rf"```{language}\n(.*?)```", Path("docs/server-side.md").read_text(), re.DOTALL)
    before = {event["id"] for event in stored(collector.config)}
    code = code.replace("http://127.0.0.1:8080", collector.url)
    subprocess.run(command, input=code, text=True, check=True, timeout=60, cwd=HERE / "node")
    (event,) = (event for event in stored(collector.config) if event["id"] not in before)
    assert (event["name"], event["user_id"], event["items"][0]["price"]) == ("visit", "4711", "89.9")
