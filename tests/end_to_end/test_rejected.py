"""docs/rejected.md, as it stands, on whole installations: broken events are repaired, replayed, and count once."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from eventlog.account import REPLAYED_HEADER
from eventlog.log import Bounds, Partition, Record
from eventlog.opening import open_consumer
from eventlog.topics import EVENTS, REJECTED
from tests.end_to_end.installation import Installation, eventually
from tests.trackway.commanding import Commands, commanding
from trackway.settings import load

PAGE = Path("docs/rejected.md").read_text()
REPAIRED = ("b-1", "b-2", "b-3", "b-4", "b-5")


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def test_broken_events_are_repaired_and_replayed_once(
    installation: Installation, command: Commands, tmp_path: Path
) -> None:
    post(installation, json.loads(block("json")))
    rules = tmp_path / "rules.yml"
    rules.write_text(block("yml"))
    check_causes(command)
    refused = {one["id"]: one for one in records(installation, "rejected.v1")}

    _, out, said = command("rejected", "repair", str(rules), "--json")
    assert fates(out) == Counter(replayed=5)
    assert "a dry run: nothing was sent; --apply sends 5 events" in said
    assert "4711" not in out, "masked"
    assert [one["id"] for one in records(installation, "events.v1")] == ["b-6"]

    for line in block("sh").splitlines():
        words = [str(rules) if word == "rules.yml" else word for word in line.split()[1:]]
        command(*words)

    def profile() -> Any:
        found = installation.profile_of("user", "4711")
        return found if found and found["counts"]["events"] == 5 else None

    made = eventually(profile, "the profile to have all events of its user")
    assert made["counts"]["names"] == {"Logged In": 1, "Newsletter Ordered": 1, "Signed Up": 1, "buy": 1, "visit": 1}
    assert made["money"]["EUR"]["revenue"] == "89.90"
    check_events(installation, refused)

    # Again, and as they are: each is known to have been replayed.
    _, out, said = command("rejected", "repair", str(rules), "--apply", "--json")
    assert (fates(out), "nothing was sent" in said) == (Counter(already=5), True)
    _, out, _ = command("rejected", "replay", "--id", "b-1", "--apply", "--json")
    assert fates(out) == Counter(already=1)
    # What is sent later comes behind whatever was sent before: nothing of it is there twice.
    post(installation, [{"type": "track", "messageId": "b-7", "userId": "4711", "event": "Left the Shop"}])
    eventually(
        lambda: installation.profile_of("user", "4711")["counts"]["names"].get("Left the Shop"), "the last event"
    )
    assert sorted(one["id"] for one in records(installation, "events.v1")) == sorted((*REPAIRED, "b-6", "b-7"))
    command("ledger")
    check_api(installation)


def check_causes(command: Commands) -> None:
    """Before anything is repaired."""
    listed = lines(command("rejected", "list", "--json").out)
    assert Counter(one["reason"] for one in listed) == Counter(wrong_type=4, missing_field=1)
    causes = lines(command("rejected", "list", "--group", "--json").out)
    assert {one["path"]: (one["count"], one["kept"], one["replayed"], one["sample"]) for one in causes} == {
        "properties.price": (1, 1, 0, "b-1"),
        "properties.products[].price": (1, 1, 0, "b-2"),
        "event": (1, 1, 0, "b-3"),
        "timestamp": (1, 1, 0, "b-4"),
        "userId": (1, 1, 0, "b-5"),
    }


def check_events(installation: Installation, refused: Mapping[str, Any]) -> None:
    """Each stands in the events topic as if it had been right at first, and says where it comes from."""
    events = {one["id"]: one for one in records(installation, "events.v1")}
    key = events["b-6"]["record"].key
    for event_id in REPAIRED:
        event, rejection = events[event_id], refused[event_id]
        headers = dict(event["record"].headers)
        position = f"{rejection['record'].partition.number}/{rejection['record'].offset}"
        assert headers[REPLAYED_HEADER].decode() == position
        assert (headers["ce_id"].decode(), headers["ce_source"].decode()) == (event_id, "shop")
        assert event["record"].timestamp == rejection["record"].timestamp
        assert event["received_at"] == rejection["received_at"]
        assert (event["record"].key == key) is (event_id != "b-5"), "its user id was removed"
    assert not {name for name, _ in events["b-6"]["record"].headers} & {REPLAYED_HEADER}
    assert events["b-4"]["occurred_at"] == "2026-11-24T10:15:00.000Z"


def check_api(installation: Installation) -> None:
    """The API tells of the same, and its pages hold each record once."""
    told = installation.api("/api/v1/rejected?source=shop")
    assert (told["complete"], sum(one["replayed"] for one in told["causes"])) == (True, 5)
    assert installation.api("/api/v1/rejected?reason=missing_field")["causes"][0]["sample"] == "b-3"
    pages: list[list[str]] = []
    after = ""
    while not pages or after:
        page = installation.api(f"/api/v1/rejected/records?limit=2&after={after}")
        pages.append([one["outcome"]["id"] for one in page["records"]])
        after = page["next"]
    assert sorted(one for page in pages for one in page) == list(REPAIRED)
    assert max(map(len, pages)) == 2


def post(installation: Installation, batch: list[dict[str, Any]]) -> None:
    answer = httpx2.post(f"{installation.collector}/v1/batch", json={"batch": batch}, auth=("sk_shop", ""), timeout=30)
    assert answer.status_code == 200, answer.text


@pytest.fixture
def command(installation: Installation, capsys: pytest.CaptureFixture[str]) -> Iterator[Commands]:
    with commanding(installation.config, capsys) as commands:
        yield commands


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def fates(text: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for row in lines(text):
        found.update({name: row[name] for name in ("replayed", "already", "untouched", "refused", "unrepairable")})
    return +found


def records(installation: Installation, topic: str) -> list[dict[str, Any]]:
    """What stands in a topic, each with its `record`."""
    name = (EVENTS if topic == EVENTS.name else REJECTED).name
    return asyncio.run(_records(installation.config, name))


async def _records(config: Path, topic: str) -> list[dict[str, Any]]:
    settings = load(config, os.environ)
    bounds: dict[Partition, Bounds] = {}

    async def begin(_: frozenset[Partition]) -> dict[Partition, int]:
        bounds.update(await consumer.bounds())
        return {partition: held.first for partition, held in bounds.items()}

    consumer = open_consumer(settings, [settings.topic_prefix + topic], assigned=begin)
    await consumer.start()
    found: list[Record] = []
    try:
        while len(found) < sum(held.next - held.first for held in bounds.values()):
            found += await consumer.poll(500, 1.0)
    finally:
        await consumer.stop()
    return [{**json.loads(one.value or b"{}"), "record": one} for one in found]
