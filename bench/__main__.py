"""`make bench`: single events and batches of 100 into both logs, beside a bare ASGI app in the same run.

Judge by the ratios: on a shared machine the numbers move by a quarter from run to run.
Options: `--seconds N` a measurement, `--only embedded|kafka`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.load import KEY
from tests.services import start_kafka

# Ratios to the bare app of the same run, each with the events a second it means on one core.
AIMS = {("embedded", 1): 0.38, ("kafka", 1): 0.38, ("embedded", 100): 1.6, ("kafka", 100): 1.9}
CONNECTIONS = {1: 128, 100: 16}


@dataclass
class Measured:
    """One scenario's result; rates are per second."""

    name: str
    batch: int
    events_rate: float
    p50_ms: float
    p99_ms: float
    refused: int
    memory_mb: float


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def process(command: list[str], port: int, environ: dict[str, str]) -> Iterator[psutil.Process]:
    """A server that listens on `port`, pinned to one core; ended by its id."""
    child = subprocess.Popen(command, env={**os.environ, **environ})
    try:
        pinned = psutil.Process(child.pid)
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if child.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"bench: {' '.join(command)} did not start")
            time.sleep(0.05)
        pinned.cpu_affinity([0])
        yield pinned
    finally:
        child.terminate()
        child.wait(40)


def load(port: int, batch: int, seconds: float) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.load", str(port), str(CONNECTIONS[batch]), str(seconds), str(batch)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 60)
    return dict(json.loads(done.stdout))


def measure(name: str, command: list[str], environ: dict[str, str], seconds: float) -> list[Measured]:
    port = int(environ["PORT"])
    results = []
    with process(command, port, environ) as server:
        for batch in (1, 100):
            load(port, batch, 1)  # warm: caches, first files, branches
            got = load(port, batch, seconds)
            statuses: dict[str, int] = got["statuses"]  # type: ignore[assignment]
            refused = sum(count for status, count in statuses.items() if status != "200")
            memory = server.memory_info().rss / 1e6
            results.append(Measured(name, batch, got["events_rate"], got["p50_ms"], got["p99_ms"], refused, memory))
            print(f"  {name}, {batch} a request: {got['events_rate']:,.0f} events/s", file=sys.stderr, flush=True)
    return results


def collector(folder: Path, port: int, log: str) -> tuple[list[str], dict[str, str]]:
    config = folder / "trackway.yml"
    config.write_text(f"sources:\n  bench: {{server_key: {KEY}}}\n", encoding="utf-8")
    environ = {
        "PORT": str(port),
        "TRACKWAY_DATA": str(folder / "data"),
        "TRACKWAY_LISTEN": f"127.0.0.1:{port}",
        "TRACKWAY_SECRET": "bench",
        "TRACKWAY_LOG": log,
    }
    return [sys.executable, "-m", "trackway", "--config", str(config), "collect"], environ


def check_stored(port: int) -> None:
    """Figures of a collector that refuses would be worthless."""
    body = b'{"batch":[{"type":"track","event":"x","anonymousId":"a"}],"writeKey":"%s"}' % KEY.encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/batch", data=body, timeout=5) as answer:
        receipts = json.load(answer)["receipts"]
    if receipts[0]["status"] != "accepted":
        raise SystemExit(f"bench: the collector answers {receipts[0]}")


def table(results: list[Measured]) -> None:
    bare = {result.batch: result for result in results if result.name == "bare ASGI"}
    reference = bare[1].events_rate
    print(f"\n{'':12}{'a request':>10}{'events/s':>12}{'ratio':>8}{'aim':>7}{'p50 ms':>9}{'p99 ms':>9}{'MB':>7}")
    for one in results:
        aim = AIMS.get((one.name, one.batch))
        ratio = one.events_rate / reference
        shown = f"{aim:.2f}" if aim else "-"
        line = f"{one.name:12}{one.batch:>10}{one.events_rate:>12,.0f}{ratio:>8.2f}{shown:>7}"
        print(
            f"{line}{one.p50_ms:>9.1f}{one.p99_ms:>9.1f}{one.memory_mb:>7.0f}"
            + (f"  {one.refused} refused" if one.refused else "")
        )
    print("\nratio: events/s to the bare app's requests/s with one event a request, one core each, same run.")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=5)
    options.add_argument("--only", choices=["embedded", "kafka"])
    chosen = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="trackway-bench-"))
    try:
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", "bench.bare:app", "--port", str(port), "--log-level", "warning"]
        results = measure("bare ASGI", command, {"PORT": str(port)}, chosen.seconds)
        if chosen.only != "kafka":
            port = free_port()
            command, environ = collector(folder, port, f"sqlite:///{folder}/log")
            results += measure("embedded", command, environ, chosen.seconds)
        if chosen.only != "embedded":
            with start_kafka(folder / "kafka") as kafka:
                port = free_port()
                command, environ = collector(folder, port, kafka.url)
                apply = [*command[:-1], "topics", "--apply"]
                subprocess.run(apply, check=True, env={**os.environ, **environ}, stdout=subprocess.DEVNULL)
                results += measure("kafka", command, environ, chosen.seconds)
        table(results)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
