"""Whole installations as people run them: `trackway up --demo`, and three processes on Kafka and PostgreSQL."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import psutil

from tests.end_to_end.front import front
from tests.services.processes import free_ports, start_process
from tests.trackway.processes import trackway

T = TypeVar("T")

_CONFIG = """\
data: {folder}/data
listen: 127.0.0.1:{collector}
log: {log}
store: {store}
topic_prefix: {prefix}
secret: a-secret-of-the-tests
admin: {{listen: "127.0.0.1:{admin}", token: {token}}}
aggregate: {{listen: "127.0.0.1:{aggregator}"}}
sources:
  shop: {{browser_key: wk_shop, origins: ["http://127.0.0.1:{shop}"], server_key: sk_shop}}
cdp:
  default: {{account_number: "12345", endpoint: {cdp}}}
workflows:
  people: {{kind: user, from: profiles, stream_id: people-0001, every: 2s, mode: live, require_draft: false}}
  articles: {{kind: content, from: "ndjson:{demo}/articles.ndjson", stream_id: articles-0002, every: 2s, mode: live,
             require_draft: false}}
  products: {{kind: product, from: "ndjson:{demo}/products.ndjson", stream_id: products-0003, every: 2s, mode: live,
             require_draft: false}}
  interactions: {{kind: interaction, from: events, stream_id: interactions-0004, every: 2s, mode: live,
                 require_draft: false}}
"""
_TOKEN = "tw_a_token_of_the_tests"
_DEMO = Path(__file__).parent.parent.parent / "trackway" / "demo"


@dataclass
class Installation:
    """Where its parts are. `config` is its settings file."""

    config: Path
    shop: str
    collector: str
    admin: str
    cdp: str
    sign_in_link: str = ""
    processes: dict[str, Service] = field(default_factory=dict)

    def api(self, path: str, body: dict[str, str] | None = None) -> Any:
        """What the API answers; None for what it does not know."""
        headers = {"authorization": f"Bearer {_TOKEN}"}
        with httpx2.Client(base_url=self.admin, headers=headers, timeout=10) as client:
            answer = client.get(path) if body is None else client.post(path, json=body)
        if answer.status_code == 404:
            return None
        assert answer.status_code == 200, answer.text
        return answer.json()

    def profile_of(self, kind: str, value: str) -> Any:
        return self.api("/api/v1/profiles/lookup", {"kind": kind, "value": value})

    def rows(self, stream: str) -> list[dict[str, Any]]:
        """What reached the CDP on a stream, oldest first."""
        listed = httpx2.get(f"{self.cdp}/rows.json", timeout=10).json()["streams"]
        return [row for one in listed if one["stream"] == stream for row in one["newest"]]

    def kill_aggregator(self) -> None:
        """SIGKILL to the aggregator's process; a new one starts, by `up` or by whoever looks after the cluster."""
        if "aggregator" in self.processes:
            self.processes["aggregator"].crash_and_restart()
            return
        up = psutil.Process(self.processes["up"].process.pid)

        def running() -> psutil.Process | None:
            return next((one for one in up.children() if "aggregate" in one.cmdline()), None)

        eventually(running, "an aggregator to run").kill()

    def ledger(self) -> subprocess.CompletedProcess[str]:
        return trackway("ledger", "--from", "24h", config=self.config)


@dataclass
class Service:
    """One process of an installation, told its output."""

    command: list[str]
    log: Path
    process: subprocess.Popen[bytes]
    _said_before: int = 0

    @classmethod
    def started(cls, name: str, folder: Path, *arguments: str) -> Service:
        log = folder / f"{name}.log"
        command = [sys.executable, "-m", *arguments]
        return cls(command, log, cls._start(command, log))

    @staticmethod
    def _start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
        return start_process(command, log)

    def ready(self) -> str:
        """The address it says it is ready at, since it was last started."""

        def said() -> str | None:
            text = self.log.read_text()[self._said_before :]
            assert self.process.poll() is None, text
            found = re.search(r"Ready: (http://\S+)", text)
            return found.group(1).rstrip("/") if found else None

        return eventually(said, "a service to be ready")

    def crash_and_restart(self) -> None:
        """SIGKILL, and at once a new process of the same command."""
        self.crash()
        self.restart()

    def crash(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """A new process of the same command, once the last one has ended."""
        self._said_before = len(self.log.read_text())
        self.process = self._start(self.command, self.log)

    def term(self, within: float) -> float:
        """TERM must make it leave with 0 within so many seconds; how many it took."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still there {within:.0f} s after TERM:\n{self.log.read_text()[-3000:]}") from None
        assert code == 0, self.log.read_text()[-3000:]
        return time.monotonic() - begun

    def stop(self) -> None:
        """TERM must make it leave with 0."""
        if self.process.poll() is None:
            try:
                self.term(60)
            finally:
                self.process.kill()


def eventually(ask: Callable[[], T | None], what: str, seconds: float = 60) -> T:
    """Ask until there is an answer; the deadline is many times what it takes."""
    end = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.1)


@contextlib.contextmanager
def embedded(folder: Path, *, log: str = "", store: str = "", more: str = "") -> Iterator[Installation]:
    """`trackway up --demo` on a port of its own; log and store stand in `folder` where nothing else is said."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    ports = {"shop": port, "collector": port, "admin": port, "aggregator": 0}
    urls = {"log": log or f"sqlite:///{folder}/log", "store": store or f"sqlite:///{folder}/store.db"}
    config = _write(folder, {**urls, "cdp": f"{url}/demo/cdp"}, ports, more)
    service = Service.started("up", folder, "trackway", "--config", str(config), "up", "--demo")
    try:
        assert service.ready() == url
        link = re.search(r"Console +(http://\S+)", service.log.read_text())
        assert link
        yield Installation(config, url, url, url, f"{url}/demo/cdp", link.group(1), {"up": service})
    finally:
        service.stop()


@contextlib.contextmanager
def cluster(folder: Path, log: str, store: str, *, more: str = "", shop_front: bool = True) -> Iterator[Installation]:
    """Collector, aggregator and exporter as processes; the shop's own server passes /tw on to the collector. `more` are
    lines for the settings file."""
    shop, collector, admin, aggregator = free_ports(4)
    with contextlib.ExitStack() as stack:

        def start(name: str, *arguments: str) -> Service:
            service = Service.started(name, folder, *arguments)
            stack.callback(service.stop)
            return service

        cdp = start("cdp", "trackway.demo.cdp", "--listen", "127.0.0.1:0").ready()
        ports = {"shop": shop, "collector": collector, "admin": admin, "aggregator": aggregator}
        config = _write(folder, {"log": log, "store": store, "cdp": cdp}, ports, more)
        made = trackway("topics", "--apply", config=config)
        assert made.returncode == 0, made.stderr
        names = {"collector": "collect", "aggregator": "aggregate", "exporter": "export"}
        services = {name: start(name, "trackway", "--config", str(config), command) for name, command in names.items()}
        for one in services.values():
            one.ready()
        collector_url = f"http://127.0.0.1:{collector}"
        if shop_front:
            stack.enter_context(front(shop, collector_url))
        yield Installation(
            config, f"http://127.0.0.1:{shop}", collector_url, f"http://127.0.0.1:{admin}", cdp, processes=services
        )


def _write(folder: Path, urls: dict[str, str], ports: dict[str, int], more: str) -> Path:
    config = folder / "trackway.yml"
    values = {"folder": folder, "demo": _DEMO, "token": _TOKEN, **urls, **ports}
    config.write_text(_CONFIG.format(prefix=f"{folder.name}-{os.getpid()}.", **values) + more)
    return config
