"""`collect --workers`: processes on one port and a real broker, killed, replaced, told of new settings, stopped."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.end_to_end.installation import Service, eventually
from tests.services import Kafka
from tests.services.processes import free_ports
from tests.trackway.processes import config_in, stored, trackway
from tests.trackway.processes import running as running_alone
from trackway.process import CannotListen
from trackway.serving import address_of
from trackway.workers import _listening


class Load:
    """Posts events of numbered ids, each until it is answered, over connections of their own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.acknowledged: set[str] = set()
        self.statuses: set[int] = set()
        self.key = "sk_shop"
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._post_all, args=(name,)) for name in "abcd"]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _post_all(self, name: str) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            self._post(f"{name}-{number}")

    def _post(self, event_id: str) -> None:
        body = {"batch": [{"type": "track", "event": "tick", "messageId": event_id, "userId": "u"}]}
        while not self._stop.is_set():
            # A worker that is killed cuts its connections; senders send the same again.
            with contextlib.suppress(httpx2.TransportError):
                answer = httpx2.post(f"{self.url}/v1/batch", json=body, auth=(self.key, ""), timeout=30)
                self.statuses.add(answer.status_code)
                if answer.status_code == 200:
                    self.acknowledged.add(event_id)
                    return


class Collectors:
    """A parent with its workers."""

    def __init__(self, service: Service, metrics: str) -> None:
        self.service = service
        self.metrics = metrics
        self.url = service.ready()

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.service.process.pid).children()

    def value(self, name: str, **labels: str) -> float:
        text = httpx2.get(f"{self.metrics}/metrics", timeout=30).text
        samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
        return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())


@pytest.fixture
def config(kafka: Kafka, tmp_path: Path) -> Path:
    made = config_in(tmp_path, kafka.url)
    (port,) = free_ports(1)
    made.write_text(made.read_text().replace("listen_metrics: '127.0.0.1:0'", f"listen_metrics: '127.0.0.1:{port}'"))
    assert trackway("topics", "--apply", config=made).returncode == 0
    return made


@contextlib.contextmanager
def collecting(config: Path) -> Iterator[Collectors]:
    metrics = config.read_text().partition("listen_metrics: '")[2].partition("'")[0]
    command = ("--config", str(config), "collect", "--workers", "2")
    service = Service.started("collect", config.parent, "trackway", *command)
    try:
        yield Collectors(service, f"http://{metrics}")
    finally:
        service.stop()


def test_a_killed_worker_is_replaced_and_nothing_acknowledged_is_lost(config: Path) -> None:
    with collecting(config) as running:
        with Load(running.url) as load:
            eventually(lambda: len(load.acknowledged) > 50, "some load")
            both = running.workers()
            assert len(both) == 2
            assert all(one.is_running() for one in both)
            both[0].kill()
            eventually(lambda: running.value("trackway_child_deaths_total") == 1, "the death to be noticed")
            eventually(lambda: running.value("trackway_processes") == 2, "a new worker to answer")
            assert both[1] in running.workers()
            so_far = len(load.acknowledged)
            eventually(lambda: len(load.acknowledged) > so_far + 50, "load after the kill")
            answer = httpx2.get(f"{running.metrics}/ready", timeout=30)
            assert (answer.status_code, answer.json()["checks"]["workers"]["ok"]) == (200, True)
            # Each has a slot of its own, and the new one has taken over the dead one's.
            assert sorted(one.name for one in (config.parent / "data" / "workers").iterdir()) == ["0", "1"]

            # Another key, in a file that takes the old one's place as a mounted one does.
            changed = config.with_suffix(".new")
            changed.write_text(config.read_text().replace("sk_shop", "sk_other"))
            changed.replace(config)
            running.service.process.send_signal(signal.SIGHUP)
            load.key = "sk_other"
            eventually(lambda: running.value("trackway_settings_read_total", result="taken") >= 2, "both to read it")
            so_far = len(load.acknowledged)
            eventually(lambda: len(load.acknowledged) > so_far + 50, "load under the new key")
            # TERM under load: the parent leaves with 0, and its workers before it.
            workers = running.workers()
            running.service.stop()
        assert not any(one.is_running() for one in workers)
    found = [event["id"] for event in stored(config)]
    assert load.acknowledged - set(found) == set()
    assert load.statuses <= {200, 401}
    assert '"event": "child_ended"' in running.service.log.read_text()


def test_workers_end_when_their_parent_is_killed_and_what_they_took_is_known_after_it(config: Path) -> None:
    body = {"batch": [{"type": "track", "event": "tick", "messageId": "only", "userId": "u"}]}
    statuses = []

    def post(url: str) -> None:
        answer = httpx2.post(f"{url}/v1/batch", json=body, auth=("sk_shop", ""), timeout=30)
        statuses.append(answer.json()["receipts"][0]["status"])

    with collecting(config) as running:
        # On so many connections both workers are asked.
        for _ in range(40):
            post(running.url)
        assert statuses.count("accepted") <= 2
        assert running.value("trackway_dedup_ids") == statuses.count("accepted") == 2
        workers = running.workers()
        running.service.process.kill()
        running.service.process.wait()
        gone, alive = psutil.wait_procs(workers, timeout=60)
        assert (len(gone), alive) == (2, [])
    # One collector by itself now, in the folder of one of them.
    with running_alone("collect", config) as url:
        post(url)
    assert statuses[-1] == "duplicate"
    assert len(stored(config)) == 2


def test_a_port_is_shared_by_workers_of_one_parent_only() -> None:
    with _listening("127.0.0.1:0", 3) as socks:
        (address,) = {address_of(one) for one in socks}
        with pytest.raises(CannotListen, match="is another process there"), _listening(address, 2):
            pass
