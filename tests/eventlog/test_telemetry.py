"""Metrics as values: only what is declared, added up by rule, shown as Prometheus reads it. Readiness. Log lines."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from eventlog.numbers import Numbers, Timings
from eventlog.readiness import Check, answer, worst
from eventlog.telemetry import METRICS


def test_names_follow_the_conventions_of_prometheus_and_each_is_declared_once() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert metric.name.startswith("trackway_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert bool(metric.buckets) == (metric.kind == "histogram")
        assert metric.help.endswith(".")
        # A process has one value of a metric without a label that tells services apart; two services would collide.
        assert len(metric.services) == 1 or "service" in metric.labels


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("trackway_requests_refused_total", ["because"]),
        ("trackway_requests_refused_total", []),
        ("trackway_in_flight_bytes", ["x"]),
    ],
)
def test_what_was_not_declared_is_refused(name: str, labels: list[str]) -> None:
    with pytest.raises(ValueError, match=name):
        Numbers().put(name, 1, *labels)
    with pytest.raises(KeyError):
        Numbers().put("trackway_invented", 1)


def test_processes_add_up_by_each_metrics_rule() -> None:
    whole = Numbers()
    for window, ids, oldest in ((60.0, 5, 1.0), (10.0, 7, 3.0)):
        one = Numbers()
        one.put("trackway_dedup_window_seconds", window)
        one.put("trackway_dedup_ids", ids)
        one.put("trackway_spool_oldest_seconds", oldest)
        timings = Timings("trackway_append_seconds")
        for seconds in (0.0005, 0.001, 0.3, 99.0):
            timings.observe(seconds)
        one.put("trackway_append_seconds", timings.value)
        # As it comes from another process.
        whole.add(Numbers.heard(json.loads(json.dumps(one.told()))))
    whole.put("trackway_requests_refused_total", 3, "slow_body")
    families = {one.name: one for one in text_string_to_metric_families(whole.text(["collector"]).decode())}
    assert families["trackway_dedup_window_seconds"].samples[0].value == 10
    assert families["trackway_dedup_ids"].samples[0].value == 12
    assert families["trackway_spool_oldest_seconds"].samples[0].value == 3
    assert families["trackway_requests_refused"].samples[0].labels == {"reason": "slow_body"}
    buckets = {
        sample.labels["le"]: sample.value
        for sample in families["trackway_append_seconds"].samples
        if sample.name.endswith("_bucket")
    }
    # A value at a bound belongs to it.
    assert (buckets["0.001"], buckets["0.25"], buckets["0.5"], buckets["2.5"], buckets["+Inf"]) == (4, 4, 6, 6, 8)
    # What has nothing to tell is there, and only what these services have.
    assert "trackway_events" in families
    assert not families["trackway_events"].samples
    assert "trackway_lag_records" not in families


def test_ready_is_decided_by_checks_that_decide_and_all_are_told() -> None:
    status, body = answer([Check("log"), Check("exports", "people fails", decides=False)])
    assert (status, json.loads(body)) == (
        200,
        {
            "ready": True,
            "reason": "ready",
            "checks": {"log": {"ok": True, "decides": True},
                       "exports": {"ok": False, "decides": False, "why": "people fails"}},
        },
    )  # fmt: skip
    status, body = answer([Check("log", "away"), Check("disk", "full"), Check("exports", "x", decides=False)])
    assert (status, json.loads(body)["reason"]) == (503, "away; full")


def test_of_several_processes_the_worst_check_counts() -> None:
    good, bad = [Check("log"), Check("disk")], [Check("log", "away"), Check("disk")]
    assert worst([good, bad]) == worst([bad, good]) == [Check("log", "away"), Check("disk")]


def test_a_log_line_tells_of_an_exception_all_but_its_text() -> None:
    program = (
        "import logging, structlog\n"
        "from eventlog.telemetry import set_up_logging\n"
        "set_up_logging()\n"
        "try:\n"
        "    try: int('canary@mark.example')\n"
        "    except ValueError as error: raise RuntimeError('canary') from error\n"
        "except RuntimeError: logging.getLogger('uvicorn.error').exception('Exception in ASGI application')\n"
        "structlog.get_logger().info('answered', accepted=3)\n"
        "{}['canary']\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["Exception in ASGI application", "answered", "died"]
    assert [line.get("error") for line in lines] == ["RuntimeError from ValueError", None, "KeyError"]
    assert all(line["timestamp"].endswith("Z") and line["level"] for line in lines)
    assert lines[0]["frames"] == ["<string>:6"]
    assert "canary" not in done.stderr
