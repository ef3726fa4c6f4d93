"""What is measured, as processes: each server on one core, load generator and broker on the others."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.load import KEY
from tests.services.processes import end_process, free_ports, start_process, wait_until

# In flight, by events a request: enough to keep a core busy, few enough to answer within the append deadline.
CONNECTIONS = {1: 128, 100: 16}

_pin: list[str] = []


def leave_a_core() -> bool:
    """Keep this process and what it starts off one core, which is the servers'. False where that cannot be done."""
    if sys.platform != "linux" or shutil.which("taskset") is None or len(os.sched_getaffinity(0)) < 2:
        return False
    first, *others = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, others)
    _pin[:] = ["taskset", "-c", str(first)]
    return True


@dataclass
class Server:
    """A server that runs, on the servers' core."""

    port: int
    process: psutil.Process

    def load(self, batch: int, seconds: float, rate: float = 0.0) -> dict[str, float]:
        """Send it requests of `batch` events; what the load generator counted, and the server's CPU seconds."""
        arguments = [str(value) for value in (self.port, CONNECTIONS[batch], seconds, batch, rate)]
        before = self.process.cpu_times()
        found = _json_of([sys.executable, "-m", "bench.load", *arguments], seconds)
        after = self.process.cpu_times()
        return found | {"cpu": after.user + after.system - before.user - before.system}

    def memory(self) -> float:
        """Resident, in MB."""
        return float(self.process.memory_info().rss) / 1e6


def produce(kind: str, url: str, batch: int, seconds: float) -> dict[str, float]:
    """What a producer without HTTP before it does, on the servers' core."""
    arguments = [kind, url, str(CONNECTIONS[batch]), str(seconds), str(batch)]
    return _json_of([*_pin, sys.executable, "-m", "bench.producer", *arguments], seconds)


def _json_of(command: list[str], seconds: float) -> dict[str, float]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    if done.returncode:
        raise SystemExit(f"bench: {' '.join(command)} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout))


@contextlib.contextmanager
def _server(command: list[str], port: int, log: Path) -> Iterator[Server]:
    process = start_process([*_pin, *command], log)

    def listens() -> bool:
        if process.poll() is not None:
            raise SystemExit(f"bench: {' '.join(command)} ended:\n{log.read_text()[-2000:]}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    try:
        wait_until(listens, " ".join(command))
        yield Server(port, psutil.Process(process.pid))
    finally:
        end_process(process, signal.SIGTERM)


@contextlib.contextmanager
def bare_app(folder: Path) -> Iterator[Server]:
    """The bare ASGI app, served as the collector is."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "uvicorn", "bench.bare:app", "--port", str(port), "--loop", "uvloop"]
    options = [
        "--http",
        "httptools",
        "--no-access-log",
        "--no-server-header",
        "--no-proxy-headers",
        "--lifespan",
        "off",
    ]
    with _server([*command, *options, "--log-level", "warning"], port, folder / "bare.log") as started:
        yield started


@contextlib.contextmanager
def collector(folder: Path, name: str, url: str) -> Iterator[Server]:
    """`trackway collect` on the log at `url`; on Kafka its topics are made first."""
    (port,) = free_ports(1)
    config = folder / f"{name}.yml"
    settings: dict[str, Any] = {
        "data": str(folder / name), "listen": f"127.0.0.1:{port}", "log": url, "secret": "bench",
        "sources": {"bench": {"server_key": KEY}},
    }  # fmt: skip
    config.write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, "-m", "trackway", "--config", str(config)]
    if url.startswith("kafka"):
        subprocess.run([*command, "topics", "--apply"], check=True, stdout=subprocess.DEVNULL)
    with _server([*command, "collect"], port, folder / f"{name}.log") as started:
        yield started
