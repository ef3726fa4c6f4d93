"""What processes tell of themselves: every declared metric is there, its labels hold what they may, and nobody's data.

One installation is run with values that can be recognised wherever they turn up, and made to fail in many ways.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from eventlog.log import Outgoing
from eventlog.opening import open_producer
from eventlog.telemetry import BY_NAME, METRICS, SERVICES, SOURCE, VERSION, WORKFLOW, Service
from eventlog.topics import EVENTS
from tests.appending import append_all
from tests.end_to_end.installation import Service as Process
from tests.end_to_end.installation import eventually
from tests.services.processes import free_ports
from trackway.settings import load

MARKS = {
    "e-mail": "canary.person@mark.example",
    "user id": "canary-user-4711",
    "anonymous id": "canary-visitor-0815",
    "address": "203.0.113.77",
    "name": "Canary Personsdatter",
    "write key": "sk_canary_key_1",
    "unknown key": "sk_canary_key_2",
    "token": "tw_canary_token_3",
    "secret": "canary-secret-of-the-tests",
    "event id": "canary-event-id-9",
}
CONFIG = """\
data: {folder}/data
listen: 127.0.0.1:{port}
secret: {secret}
admin: {{token: {token}}}
trusted_proxies: [127.0.0.1]
sources:
  shop: {{browser_key: wk_shop, origins: [https://shop.example], server_key: {key}, ip: keep}}
cdp:
  default: {{account_number: "12345", endpoint: "http://127.0.0.1:1", tries: 1}}
workflows:
  people: {{kind: user, from: profiles, stream_id: people-0001, every: 1s, mode: live, require_draft: false,
           consent: implied}}
"""


class Site:
    """A running `trackway up`."""

    def __init__(self, folder: Path, process: Process, url: str) -> None:
        self.config = folder / "trackway.yml"
        self.process = process
        self.url = url
        self.scraped = ""

    def value(self, name: str, **labels: str) -> float | None:
        """Of a metric scraped now; None where it is not told."""
        self.scraped = httpx2.get(f"{self.url}/metrics", timeout=30).text
        for family in text_string_to_metric_families(self.scraped):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return float(sample.value)
        return None

    def post(self, body: Any, key: str = MARKS["write key"], **headers: str) -> httpx2.Response:
        sent = {"x-forwarded-for": MARKS["address"], **headers}
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        return httpx2.post(f"{self.url}/v1/batch", auth=(key, ""), headers=sent, timeout=30, **content)


def person(number: int, **more: Any) -> dict[str, Any]:
    return {
        "type": "identify",
        "messageId": f"{MARKS['event id']}-{number}",
        "anonymousId": MARKS["anonymous id"],
        "userId": MARKS["user id"],
        "traits": {"email": MARKS["e-mail"], "name": MARKS["name"]},
    } | more


def poison(settings_file: Path) -> None:
    """A record in the events topic that nobody can read."""
    settings = load(settings_file, os.environ)

    async def append() -> None:
        producer = open_producer(settings)
        await producer.start()
        value = f"not JSON of {MARKS['e-mail']}".encode()
        topic = EVENTS.full_name(settings.topic_prefix)
        await append_all(producer, [Outgoing(topic, b"k", value, (), 1_700_000_000_000)])
        await producer.stop()

    asyncio.run(append())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An installation that has had all kinds of trouble; stopped at the end, its log complete."""
    folder = tmp_path_factory.mktemp("metrics")
    (port,) = free_ports(1)
    text = CONFIG.format(folder=folder, port=port, secret=MARKS["secret"], token=MARKS["token"], key=MARKS["write key"])
    (folder / "trackway.yml").write_text(text)
    process = Process.started("up", folder, "trackway", "--config", str(folder / "trackway.yml"), "up")
    try:
        site = Site(folder, process, process.ready())
        _trouble(site, text)
        yield site
    finally:
        process.stop()


def _trouble(site: Site, text: str) -> None:
    answer = site.post({"batch": [person(1), person(1), person(2, type=MARKS["e-mail"]), {"x": MARKS["name"]}]})
    assert [one["status"] for one in answer.json()["receipts"]] == ["accepted", "duplicate", "rejected", "rejected"]
    browser = {
        "origin": "https://shop.example",
        "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0",
    }
    # The third event of a page load, of which the first two are lost.
    context = {
        "page": {"view_id": f"{MARKS['event id']}.1"},
        "consent": {"categoryPreferences": {"analytics": True}},
    }
    tracked = {"writeKey": "wk_shop", "batch": [person(5, context=context, seq=3)]}
    answer = httpx2.post(f"{site.url}/tw/e", json=tracked, headers=browser, timeout=30)
    assert [one["status"] for one in answer.json()["receipts"]] == ["accepted"]
    assert site.post({"batch": [person(3)]}, MARKS["unknown key"], origin="https://canary.example").status_code == 401
    assert site.post({"batch": [person(4)]}, origin="https://shop.example").status_code == 403
    assert site.post(f'{{"batch": [{MARKS["e-mail"]}'.encode()).status_code == 400
    assert site.post(b"x" * 100, **{"content-encoding": "gzip"}).status_code == 400
    poison(site.config)
    api = {"authorization": f"Bearer {MARKS['token']}"}
    asked = {"kind": "user", "value": MARKS["user id"]}
    lookup = f"{site.url}/api/v1/profiles/lookup"
    eventually(lambda: httpx2.post(lookup, json=asked, headers=api, timeout=30).status_code == 200, "the profile")
    for wrong in ({}, {"authorization": f"Bearer {MARKS['token']}x"}):
        assert httpx2.post(lookup, json=asked, headers=wrong, timeout=30).status_code == 401
    assert httpx2.get(f"{site.url}/console/profiles?q={MARKS['e-mail']}", timeout=30).status_code < 500
    # A settings file that cannot be taken, then the old one again.
    site.config.write_text(text + f"nonsense: {MARKS['secret']}\n")
    eventually(lambda: site.value("trackway_settings_refused"), "the bad file to be refused")
    site.config.write_text(text)
    eventually(lambda: site.value("trackway_settings_read_total", result="taken"), "the good file to be taken")
    failing = {"workflow": "people"}
    eventually(
        lambda: site.value("trackway_export_failing_seconds", **failing), "the export to have failed for a while"
    )
    eventually(lambda: site.value("trackway_poison_total", reason="not_json"), "the poison record to be told")
    loads = {"source": "shop", "browser": "Firefox"}
    eventually(lambda: site.value("trackway_browser_events_made", **loads), "the page load to be told")
    # A look at the store later everything that was folded is told.
    eventually(lambda: site.value("trackway_lag_records", topic="events") == 0.0, "the lag to be known")


def scraped(site: Site) -> dict[str, list[Any]]:
    site.value("")
    return {family.name: family.samples for family in text_string_to_metric_families(site.scraped)}


def names_of(services: tuple[Service, ...]) -> set[str]:
    # The text has a counter's name without its ending.
    wanted = [metric for metric in METRICS if set(services) & set(metric.services)]
    return {metric.name.removesuffix("_total") if metric.kind == "counter" else metric.name for metric in wanted}


def test_every_declared_metric_is_there_and_no_other(site: Site) -> None:
    found = scraped(site)
    assert set(found) == names_of(SERVICES)
    silent = {name for name, samples in found.items() if not samples}
    assert silent == set()


def test_labels_hold_what_was_declared(site: Site) -> None:
    named = {
        SOURCE: ("shop",),
        WORKFLOW: ("people",),
        VERSION: (scraped(site)["trackway_build_info"][0].labels["version"],),
    }
    seen = 0
    for family in text_string_to_metric_families(site.scraped):
        metric = BY_NAME.get(family.name) or BY_NAME[f"{family.name}_total"]
        assert family.type == metric.kind
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels)
            for label, values in metric.labels.items():
                assert sample.labels[label] in (named[values] if isinstance(values, str) else values)
                seen += 1
    assert seen > 50


def test_the_numbers_are_those_of_what_was_done(site: Site) -> None:
    value = site.value
    assert value("trackway_events_total", source="shop", status="accepted", reason="") == 2
    assert value("trackway_events_total", source="shop", status="duplicate", reason="") == 1
    for reason in ("unknown_type", "missing_field"):
        assert value("trackway_events_total", source="shop", status="rejected", reason=reason) == 1
    for reason, count in {
        "unknown_key": 1,
        "server_key_in_browser": 1,
        "invalid_json": 1,
        "bad_compression": 1,
    }.items():
        assert value("trackway_requests_refused_total", reason=reason) == count
    assert value("trackway_append_seconds_count") == 2
    assert value("trackway_dedup_ids") == 2
    assert value("trackway_records_total", status="accepted") == 2
    assert value("trackway_browser_events_made", source="shop", browser="Firefox") == 3
    assert value("trackway_browser_events_arrived", source="shop", browser="Firefox") == 1
    # Two of the request that was parsed, one a refused request of another kind; the poison record is told of there too.
    assert value("trackway_records_total", status="rejected") == 4
    assert (value("trackway_export_runs_total", workflow="people", state="failed") or 0) >= 1


def test_ready_tells_what_is_wrong_and_an_export_that_fails_does_not_decide(site: Site) -> None:
    answer = httpx2.get(f"{site.url}/ready", timeout=30)
    told = answer.json()
    assert (answer.status_code, told["ready"], told["reason"]) == (200, True, "ready")
    wrong = {name: check["decides"] for name, check in told["checks"].items() if not check["ok"]}
    assert wrong == {"exporter.exports": False}
    assert "people has failed for" in told["checks"]["exporter.exports"]["why"]
    assert {name for name, check in told["checks"].items() if check["decides"]} == {"stopping", "log", "disk"}
    assert httpx2.get(f"{site.url}/health", timeout=30).json() == {"status": "up"}


def test_no_line_of_the_log_and_no_metric_holds_personal_data_or_a_secret(site: Site) -> None:
    os.kill(site.process.process.pid, signal.SIGHUP)
    metrics = httpx2.get(f"{site.url}/metrics", timeout=30).text
    ready = httpx2.get(f"{site.url}/ready", timeout=30).text
    site.process.stop()
    log = site.process.log.read_text()
    # The trouble is told of, so the log was looked at for a reason.
    for told in ('"event": "settings_refused"', '"event": "answered"', '"event": "folded"', '"event": "export_ended"'):
        assert told in log
    values = [*MARKS.values(), "canary"]
    found = [(value, line) for value in values for line in (*log.splitlines(), metrics, ready) if value in line]
    # The sign-in link is for whoever started the process; the token in it is not the one that was set.
    assert found == []


def test_a_collector_loads_neither_the_database_nor_what_only_others_need(tmp_path: Path) -> None:
    (tmp_path / "t.yml").write_text(f"data: {tmp_path}\nlisten: 127.0.0.1:0\n")
    program = (
        "import sys\nfrom trackway.cli import main\n"
        "code = main(['--config', sys.argv[1], 'collect', '--workers', '2'])\n"
        "print(code, *sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "t.yml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    code, *loaded = done.stdout.split()
    # Everything that a collector needs is loaded before it is found that this log can have one only.
    assert code == "2"
    assert re.search(r"--workers.*kafka://", done.stderr)
    assert {"collector", "aiokafka", "uvicorn"} <= set(loaded)
    assert {"sqlalchemy", "alembic", "jinja2", "httpx2", "aiosqlite", "asyncpg"} & set(loaded) == set()
