"""`make bench`: single events and batches of 100 into both logs, beside a bare ASGI app and bare producers.

Everything runs at once and is measured in turn, several rounds; each ratio is to the bare app in the same round. Judge
by the ratios: on a shared machine the numbers move by a quarter from run to run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import statistics
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.load import KEY
from bench.servers import Server, bare_app, collector, leave_a_core, produce
from tests.services import start_kafka

BARE = "bare ASGI app"
# Ratios of events/s to the bare app's requests/s. On Kafka they mean 12,000 and 60,000 events/s where the bare app
# does 31,500; on the embedded log 12,000 and 50,000.
AIMS = {("embedded", 1): 0.38, ("embedded", 100): 1.6, ("kafka", 1): 0.38, ("kafka", 100): 1.9}
# What latency is asked at: a server that has all it can take only shows how long its queue is.
CALM = 0.7
CALM_P99_MS = 25


@dataclass
class Scenario:
    """One way of sending; `run` takes seconds, gives `rate` in requests a second, latencies, refusals, CPU seconds."""

    name: str
    batch: int
    run: Callable[[float], dict[str, float]]
    server: Server | None = None
    found: list[dict[str, float]] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    calm: dict[str, float] = field(default_factory=dict)
    memory: float = 0.0

    def median(self, name: str) -> float:
        return statistics.median(one[name] for one in self.found)

    def cpu(self) -> float:
        """Microseconds of CPU time an event, all threads."""
        return statistics.median(one["cpu"] / one["requests"] / self.batch * 1e6 for one in self.found)


def served(name: str, server: Server) -> list[Scenario]:
    return [Scenario(name, batch, lambda s, b=batch: server.load(b, s), server) for batch in (1, 100)]  # type: ignore[misc]


def produced(name: str, kind: str, url: str) -> list[Scenario]:
    return [Scenario(name, batch, lambda s, b=batch: produce(kind, url, b, s)) for batch in (1, 100)]  # type: ignore[misc]


@contextlib.contextmanager
def scenarios(folder: Path, only: str | None) -> Iterator[tuple[list[Scenario], list[Scenario]]]:
    """What is measured each round, the bare app first; and the producers, which are measured once."""
    with contextlib.ExitStack() as stack:
        rounds, once = served(BARE, stack.enter_context(bare_app(folder)))[:1], []
        if only != "kafka":
            url = f"sqlite:///{folder}/log"
            rounds += served("embedded", stack.enter_context(collector(folder, "embedded", url)))
            once += produced("embedded, no HTTP", "log", f"sqlite:///{folder}/log-alone")
        if only != "embedded":
            url = stack.enter_context(start_kafka(folder / "broker")).url
            rounds += served("kafka", stack.enter_context(collector(folder, "kafka", url)))
            once += produced("kafka, no HTTP", "log", url) + produced("bare aiokafka", "aiokafka", url)
        yield rounds, once


def check_accepts(server: Server) -> None:
    """Figures of a collector that refuses would be worthless."""
    body = b'{"batch":[{"type":"track","event":"x","anonymousId":"a"}],"writeKey":"%s"}' % KEY.encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/v1/batch", data=body, timeout=5) as answer:
        receipts = json.load(answer)["receipts"]
    if receipts[0]["status"] != "accepted":
        raise SystemExit(f"bench: the collector answers {receipts[0]}")


def measure(rounds: list[Scenario], once: list[Scenario], number: int, seconds: float) -> None:
    for one in rounds[1:]:
        if one.server:
            check_accepts(one.server)
            one.run(1.0)  # caches, first files, branches
    rounds[0].run(0.5)
    for at in range(number):
        for one in rounds + (once if at == 0 else []):
            one.found.append(one.run(seconds))
            one.ratios.append(one.found[-1]["rate"] * one.batch / rounds[0].found[-1]["rate"])
            say(f"  {one.name}, {one.batch} a request: {one.found[-1]['rate'] * one.batch:,.0f} events/s")
    for one in rounds:
        if one.server:
            one.memory = one.server.memory()
            one.calm = one.server.load(one.batch, seconds, one.median("rate") * CALM)


def table(everything: list[Scenario]) -> None:
    head = f"{'':20}{'a request':>10}{'events/s':>10}{'ratio':>8}{'aim':>6}{'CPU us/ev':>11}{'p50 ms':>8}{'p99 ms':>8}"
    say(f"\n{head}{'p50*':>7}{'p99*':>7}{'MB':>6}{'refused':>9}")
    for one in everything:
        aim = AIMS.get((one.name, one.batch))
        rate = one.median("rate") * one.batch
        line = f"{one.name:20}{one.batch:>10}{rate:>10,.0f}{statistics.median(one.ratios):>8.2f}"
        line += f"{aim or '-':>6}{one.cpu():>11.1f}{one.median('p50_ms'):>8.1f}{one.median('p99_ms'):>8.1f}"
        calm = f"{one.calm['p50_ms']:>7.1f}{one.calm['p99_ms']:>7.1f}" if one.calm else f"{'-':>7}{'-':>7}"
        refused = sum(int(found["refused"]) for found in (*one.found, *([one.calm] if one.calm else [])))
        print(f"{line}{calm}{one.memory:>6.0f}{refused:>9}" if one.memory else f"{line}{calm}{'-':>6}{refused:>9}")
    say(
        "\nratio: events/s to the bare app's requests/s in the same round, median of all rounds; one core a server."
        f"\n*: at {CALM:.0%} of these events/s; the aim is a p99 below {CALM_P99_MS} ms."
    )


def say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=1.5, help="of one measurement")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--only", choices=["embedded", "kafka"])
    chosen = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="trackway-bench-"))
    try:
        if not leave_a_core():
            print("bench: processes cannot be kept apart here (taskset, two cores); ratios mean less", file=sys.stderr)
        with scenarios(folder, chosen.only) as (rounds, once):
            measure(rounds, once, chosen.rounds, chosen.seconds)
            table(rounds + once)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
