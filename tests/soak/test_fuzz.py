"""Malformed bodies at a real collector: no answer of 5xx, no lost neighbour, and every answer in the accounts."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.protocols import rudderstack, segment, tracker
from eventlog.event import EVENT
from eventlog.topics import REJECTED
from tests.collector.test_canonical import contexts, messages, times, values
from tests.soak.malformed import Malformed, Request
from tests.soak.plain_http import Connection, Tally
from tests.trackway.processes import collecting, config_in, running, stored, trackway

FEW = 320
MANY = int(os.environ.get("FUZZ_BODIES", "200000"))
SENDERS = 8
SEED = int(os.environ.get("FUZZ_SEED", "20261124"))
# Whole requests refused are recorded too, at most one a second for each reason: these are their reasons.
BESIDE = ("partition", "offset", "status")
WHOLE = ("unknown_key", "origin_not_allowed", "server_key_in_browser")


def test_a_few(tmp_path: Path) -> None:
    fuzz(tmp_path, FEW)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_many(tmp_path: Path) -> None:
    fuzz(tmp_path, MANY)


def fuzz(folder: Path, bodies: int) -> None:
    config = config_in(folder)
    with collecting(config) as url:
        port = int(url.rsplit(":", 1)[1])
        with ThreadPoolExecutor(SENDERS) as threads:
            drawn = threads.map(lambda number: send(port, number, bodies // SENDERS), range(SENDERS))
            tally = joined(list(drawn))
        tally = joined([tally, send_drawn(port, max(20, bodies // 100))])
    # TERM made it leave with 0, so it lived until now.
    told = Counter(status for status, _ in tally.receipts.elements())
    print(f"\nfuzz: {dict(sorted(tally.statuses.items()))} {dict(told)}")
    assert tally.problems[:3] == []
    # Not everything is refused, nor accepted: the bodies reach the code.
    assert tally.statuses.keys() >= {200, 400, 404, 405}
    assert told.keys() >= {"accepted", "rejected"}
    everything = [{"status": "accepted", **event} for event in stored(config)]
    outcomes = [one for one in stored(config, REJECTED) if one["reason"] not in WHOLE]
    native = (*segment.PROTOCOLS, *tracker.PROTOCOLS)
    ours = of_protocols(everything + outcomes, native)
    # RudderStack's messages come to the same paths, and to others whose answers are not looked at.
    assert ours <= tally.receipts <= ours + of_protocols(everything + outcomes, rudderstack.PROTOCOLS)
    told_why = [one for one in outcomes if one["protocol"] in native and one["status"] == "rejected"]
    assert all(one["reason"] and one.get("path") for one in told_why)
    # Other protocols' answers tell no ids, but what is in the topics is an event, or has a reason.
    assert {event["protocol"] for event in everything} >= {"mixpanel", "posthog", "ga4", "raptor"}
    for event in everything:
        EVENT.validate_python({name: value for name, value in event.items() if name not in BESIDE})
    assert all(one["reason"] for one in outcomes)
    assert_law_holds(config, len(everything))


def of_protocols(records: list[dict[str, Any]], protocols: tuple[str, ...]) -> Counter[tuple[str, str]]:
    """Their statuses and ids."""
    return Counter((one["status"], one["id"]) for one in records if one["protocol"] in protocols)


def assert_law_holds(config: Path, accepted: int) -> None:
    with running("aggregate", config):
        deadline = time.monotonic() + 60 + accepted / 200
        while True:
            shown = trackway("ledger", "--from", "24h", config=config)
            if (
                "not in the store yet" not in shown.stdout + shown.stderr
                and "law 1 holds" in shown.stdout + shown.stderr
            ):
                assert shown.returncode == 0
                assert f" {accepted}" in shown.stdout
                return
            assert time.monotonic() < deadline, shown.stdout + shown.stderr
            time.sleep(1)


def send(port: int, number: int, count: int) -> Tally:
    tally, connection, source = Tally(), Connection(port), Malformed(SEED + number)
    for _ in range(count):
        request = source.request()
        tally.add(request, *connection.ask(request))
    connection.close()
    return tally


def send_drawn(port: int, count: int) -> Tally:
    """Batches that hypothesis draws, which shrinks what fails."""
    tally, connection = Tally(), Connection(port)

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(messages() | values, min_size=1, max_size=4), contexts | values, times | values, st.booleans())
    def each(batch: list[Any], context: Any, at: Any, is_tracker: bool) -> None:
        try:
            body = orjson.dumps({"writeKey": "sk_shop", "batch": batch, "context": context, "sentAt": at})
        except orjson.JSONEncodeError:
            body = repr({"batch": batch}).encode()
        request = Request(b"POST", b"/tw/e" if is_tracker else b"/v1/batch", [], body)
        answer = connection.ask(request)
        tally.add(request, *answer)
        assert tally.problems == []

    each()
    connection.close()
    return tally


def joined(parts: list[Tally]) -> Tally:
    whole = Tally()
    for one in parts:
        whole.statuses += one.statuses
        whole.receipts += one.receipts
        whole.problems += one.problems
    return whole


# --- What the published document makes somebody else's tool send ------------------------------------------------------


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_tool_that_reads_the_document_finds_no_fault(tmp_path: Path) -> None:
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    program = str(Path(sys.executable).parent / "schemathesis")
    with collecting(config_in(tmp_path)) as url:
        command = [program, "run", f"{url}/schema/openapi.json", "--checks", checks, "-H", "X-Write-Key: sk_shop"]
        command += ["--seed", str(SEED), "--suppress-health-check", "all", "--max-examples", "12"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
