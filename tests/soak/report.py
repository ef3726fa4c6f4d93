"""What a load saw: every request, each of its tries, and the latencies by phase."""

from __future__ import annotations

import bisect
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Try:
    """One sending of a request. Times are of the monotonic clock, in seconds; `life` counts the collector's starts."""

    begun: float
    ended: float
    life: int
    status: int | None = None
    failure: str | None = None

    @property
    def seconds(self) -> float:
        return self.ended - self.begun


@dataclass(slots=True)
class Asked:
    """One request, of one event: the `number`-th of its connection, due at `due`. `again`: the one before once more."""

    connection: int
    number: int
    event_id: str
    again: bool
    due: float
    tries: list[Try] = field(default_factory=list)
    receipt: dict[str, Any] | None = None

    @property
    def acknowledged(self) -> bool:
        return self.receipt is not None and self.receipt["status"] in ("accepted", "duplicate")

    @property
    def life(self) -> int | None:
        """The life of the collector this was sent to, were all its tries in one."""
        lives = {tried.life for tried in self.tries}
        return lives.pop() if len(lives) == 1 else None


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from sending to the answer."""

    phase: str
    count: int
    p50: float
    p99: float
    worst: float


class Report:
    """Grows while the load runs. `life` is counted up by whoever ends a collector."""

    def __init__(self, *, careful: bool) -> None:
        self.careful = careful
        self.asked: list[Asked] = []
        self.life = 1
        self._phases: list[tuple[float, str]] = [(time.monotonic(), "normal")]

    def phase(self, name: str) -> None:
        """What is sent from now on belongs to this phase."""
        self._phases.append((time.monotonic(), name))

    @property
    def acknowledged(self) -> set[str]:
        """Ids of events a 2xx was answered for."""
        return {one.event_id for one in list(self.asked) if one.acknowledged}

    @property
    def receipts(self) -> Counter[str]:
        return Counter(one.receipt["status"] for one in list(self.asked) if one.receipt)

    @property
    def answers(self) -> Counter[str]:
        """How often which status was answered, or how often a request failed in which way."""
        return Counter(str(tried.status or tried.failure) for one in list(self.asked) for tried in one.tries)

    def tries(self, phase: str | None = None) -> Iterator[Try]:
        """All tries, or those begun in a phase."""
        begins = [at for at, _ in self._phases]
        for one in list(self.asked):
            for tried in one.tries:
                if phase is None or self._phases[bisect.bisect(begins, tried.begun) - 1][1] == phase:
                    yield tried

    def latencies(self) -> list[Latency]:
        """Of what was answered, phase by phase."""
        found = []
        for phase in dict.fromkeys(name for _, name in self._phases):
            seconds = sorted(tried.seconds for tried in self.tries(phase) if tried.status)
            if seconds:
                found.append(
                    Latency(phase, len(seconds), _share(seconds, 0.5), _share(seconds, 0.99), seconds[-1]),
                )
        return found

    def table(self) -> str:
        """The latencies as text."""
        lines = [f"{'phase':10} {'answers':>8} {'p50 ms':>8} {'p99 ms':>8} {'worst ms':>9}"]
        for one in self.latencies():
            times = f"{one.p50 * 1000:8.1f} {one.p99 * 1000:8.1f} {one.worst * 1000:9.1f}"
            lines.append(f"{one.phase:10} {one.count:8} {times}")
        return "\n".join(lines)


def _share(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
