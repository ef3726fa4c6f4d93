"""The collector as a process on both logs: the examples, the commands, a real SDK."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections import Counter
from pathlib import Path

from segment.analytics import Client

from tests.services import Kafka
from tests.trackway.processes import collecting, config_in, stored, trackway


def test_the_example_of_posting_gets_a_receipt_and_counts_once(config: Path) -> None:
    with collecting(config) as url:
        command = [sys.executable, "examples/post_event.py", url, "sk_shop"]
        receipts = [json.loads(subprocess.check_output(command, text=True, timeout=60)) for _ in range(2)]
    assert [receipt["status"] for receipt in receipts] == ["accepted", "duplicate"]
    (event,) = stored(config)
    assert (event["name"], event["order"]["order_id"], event["items"][0]["price"]) == ("buy", "1001", "89.90")
    assert (event["partition"], event["offset"]) == (receipts[0]["partition"], receipts[0]["offset"])
    shown = trackway("events", "tail", "--from", "start", config=config)
    assert "buy" in shown.stdout
    assert "4711" not in shown.stdout


def test_segments_python_sdk_unmodified_lands_every_message_once(config: Path) -> None:
    ids = [str(uuid.uuid4()) for _ in range(256)]
    failures: list[object] = []
    with collecting(config) as url:
        client = Client("sk_shop", host=url, gzip=True, on_error=lambda error, _: failures.append(error), max_retries=2)
        client.identify("4711", {"email": "ada@example.com", "name": "Ada Ærøskøbing 🚲"}, message_id=ids[0])
        client.page("4711", "Shop", "Home", {"url": "https://shop.example/"}, message_id=ids[1])
        client.screen("4711", "App", "Home", message_id=ids[2])
        client.group("4711", "g-1", {"plan": "pro"}, message_id=ids[3])
        client.alias("anon-1", "4711", message_id=ids[4])
        order = {"order_id": "A-1", "currency": "EUR", "products": [{"product_id": "S-1", "price": 9.9, "quantity": 2}]}
        client.track("4711", "Order Completed", order, message_id=ids[5])
        for message_id in ids[6:]:
            client.track("4711", "Läsning 📚", {"n": 9007199254740993}, message_id=message_id)
        client.flush()
        client.join()
    assert failures == []
    found = stored(config)
    assert Counter(event["id"] for event in found) == Counter(ids)
    events = {event["id"]: event for event in found}
    kinds = ["identify", "page", "screen", "group", "alias", "track"]
    assert [events[one]["kind"] for one in ids[:6]] == kinds
    assert events[ids[0]]["traits"]["name"] == "Ada Ærøskøbing 🚲"
    assert events[ids[0]]["identifiers"] == {"email": "ada@example.com"}
    assert (events[ids[4]]["previous_id"], events[ids[4]]["user_id"]) == ("anon-1", "4711")
    assert events[ids[5]]["items"] == [{"product_id": "S-1", "price": "9.9", "quantity": 2, "currency": "EUR"}]
    assert {events[one]["name"] for one in ids[6:]} == {"Läsning 📚"}
    assert {events[one]["properties"]["n"] for one in ids[6:]} == {9007199254740993}
    assert {event["time_source"] for event in events.values()} == {"exact"}


def test_the_example_of_reading_prints_each_event_of_the_topic(kafka: Kafka, tmp_path: Path) -> None:
    config = config_in(tmp_path, kafka.url)
    assert trackway("topics", "--apply", config=config).returncode == 0
    with collecting(config) as url:
        subprocess.run([sys.executable, "examples/post_event.py", url, "sk_shop"], check=True, capture_output=True)
    topic = f"{tmp_path.name}-{os.getpid()}.events.v1"
    command = [sys.executable, "examples/read_topic.py", kafka.url.removeprefix("kafka://"), topic, "1"]
    (line,) = subprocess.check_output(command, text=True, timeout=60).splitlines()
    assert json.loads(line)["name"] == "buy"


def test_a_second_collector_on_one_embedded_log_is_told_why_not(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    with collecting(config):
        second = trackway("collect", config=config)
    assert second.returncode == 3
    assert "kafka://" in second.stderr
