"""The values of metrics at one moment: filled in by a service, added to those of its other processes, shown.

What counts on the way of an event is a plain number of its owner; it becomes a metric only when someone asks.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from eventlog.telemetry import BY_NAME, METRICS, Metric, Service

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_STARTED: Final = time.time()

# A histogram's value: the count of each bucket, then of what lies above all, then the sum of the values.
Value = float | list[float]


class Timings:
    """Durations counted by bucket; `observe` is for the hot path."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, name: str) -> None:
        self._bounds = BY_NAME[name].buckets
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    @property
    def value(self) -> list[float]:
        """As `Numbers` takes it."""
        return [*map(float, self._counts), self._sum]


class Numbers:
    """Values by metric and labels. Only declared metrics are taken, with the labels they were declared with."""

    def __init__(self) -> None:
        self._values: dict[str, dict[tuple[str, ...], Value]] = {}

    def put(self, name: str, value: Value, *labels: str) -> None:
        """Set a value; `labels` are the labels' values, in the order they were declared in."""
        metric = BY_NAME[name]
        if len(labels) != len(metric.labels):
            raise ValueError(f"{name} has the labels {list(metric.labels)}, not {len(labels)} of them")
        for given, (label, allowed) in zip(labels, metric.labels.items(), strict=True):
            if isinstance(allowed, tuple) and given not in allowed:
                raise ValueError(f"{name}: {given!r} is none of the values of its label {label}")
        self._values.setdefault(name, {})[labels] = value

    def add(self, other: Numbers) -> None:
        """Take in the values of another process, each by its metric's rule."""
        for name, values in other._values.items():
            mine = self._values.setdefault(name, {})
            for labels, value in values.items():
                mine[labels] = _merged(BY_NAME[name], mine[labels], value) if labels in mine else value

    def of(self, name: str, *labels: str) -> float | None:
        """A value, of a histogram how many it has counted; None where there is none."""
        value = self._values.get(name, {}).get(labels)
        return sum(value[:-1]) if isinstance(value, list) else value

    def told(self) -> dict[str, Any]:
        """As JSON can hold it, for another process of this version."""
        return {name: [[labels, value] for labels, value in values.items()] for name, values in self._values.items()}

    @classmethod
    def heard(cls, told: Mapping[str, Any]) -> Numbers:
        """What `told` said."""
        numbers = cls()
        for name, values in told.items():
            for labels, value in values:
                numbers.put(name, value, *labels)
        return numbers

    def text(self, services: Iterable[Service]) -> bytes:
        """As Prometheus reads it: every metric of these services, also those with nothing to tell yet."""
        wanted = set(services)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Families([self._family(one) for one in METRICS if wanted & set(one.services)]))
        return generate_latest(registry)

    def _family(self, metric: Metric) -> Family:
        values = self._values.get(metric.name, {})
        names = list(metric.labels)
        if metric.kind == "histogram":
            histogram = HistogramMetricFamily(metric.name, metric.help, labels=names)
            for labels, value in values.items():
                counts = value[:-1] if isinstance(value, list) else []
                bounds = [*map(str, metric.buckets), "+Inf"]
                total, buckets = 0.0, []
                for bound, count in zip(bounds, counts, strict=True):
                    total += count
                    buckets.append((bound, total))
                histogram.add_metric(labels, buckets, value[-1] if isinstance(value, list) else 0.0)
            return histogram
        kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
        family = kind(metric.name, metric.help, labels=names)
        for labels, value in values.items():
            if not isinstance(value, list):
                family.add_metric(labels, value)
        return family


class _Families(Collector):
    def __init__(self, families: list[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Family]:
        return self._families


def _merged(metric: Metric, one: Value, other: Value) -> Value:
    if isinstance(one, list) and isinstance(other, list):
        return [a + b for a, b in zip(one, other, strict=True)]
    if isinstance(one, list) or isinstance(other, list):
        raise ValueError(f"{metric.name} is a histogram here and none there")
    if metric.merge == "sum":
        return one + other
    return max(one, other) if metric.merge == "largest" else min(one, other)


def process_numbers(service: Service) -> Numbers:
    """What every process tells of itself."""
    numbers = Numbers()
    numbers.put("trackway_build_info", 1, service, version("trackway"))
    numbers.put("trackway_processes", 1, service)
    numbers.put("trackway_start_time_seconds", _STARTED, service)
    used = os.times()
    numbers.put("trackway_cpu_seconds_total", used.user + used.system, service)
    numbers.put("trackway_resident_memory_bytes", _resident_bytes(), service)
    return numbers


def _resident_bytes() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
