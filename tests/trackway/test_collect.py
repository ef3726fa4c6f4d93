"""The collector as a process on both logs: the examples, the commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

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


def test_a_database_of_countries_that_cannot_be_used_ends_the_start(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    config.write_text(config.read_text() + f"geo: {{database: {tmp_path}/GeoLite2-Country.mmdb}}\n")
    for said in ("cannot be read (No such file or directory)", "is no database in MaxMind's format (.mmdb)"):
        refused = trackway("collect", config=config)
        assert refused.returncode == 2
        assert refused.stderr.strip() == f"geo.database: {tmp_path}/GeoLite2-Country.mmdb: {said}"
        (tmp_path / "GeoLite2-Country.mmdb").write_text("<html>")
