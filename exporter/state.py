"""What the services behind the log tell of themselves: whether they are ready, and their numbers."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import structlog
from sqlalchemy import text

from eventlog.errors import Unavailable
from eventlog.log import Bounds, Partition
from eventlog.numbers import Numbers, process_numbers
from eventlog.readiness import Check, put_checks
from eventlog.telemetry import ROW_OUTCOMES
from eventlog.timestamps import HOUR_MS, now_ms
from eventlog.topics import EVENTS, REJECTED
from exporter.aggregate import Progress
from exporter.failing import Failing, failing_workflows
from exporter.lease import pause
from exporter.outgoing import decode
from exporter.page_loads import BrowserEvents, browser_events
from exporter.poison import stopped_text
from exporter.settings import ExporterSettings
from exporter.store import STORE_AWAY, Store

_log = structlog.get_logger(__name__)

_ANSWER_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 5.0
_COUNT_SECONDS: Final = 60.0
_TELL_SECONDS: Final = 60.0
_AWAY: Final = "the store does not answer"


class StoreWatch:
    """Whether the store answers, and how fast."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.problem: str | None = None
        self.seconds = 0.0

    async def ask(self) -> None:
        """Ask it for its tables, for two seconds at most."""
        begun = time.monotonic()
        try:
            async with asyncio.timeout(_ANSWER_SECONDS), self._store.read() as connection:
                await connection.execute(text("SELECT 1 FROM position LIMIT 1"))
            self.problem = None
        except STORE_AWAY:
            self.problem = _AWAY
        self.seconds = time.monotonic() - begun


class ExporterState:
    """Of exports, API and console. Told of each run by `ended`."""

    def __init__(self, settings: ExporterSettings, store: Store) -> None:
        self._workflows = tuple(settings.workflows)
        self._store = store
        self._watch = StoreWatch(store)
        self._rows: Counter[tuple[str, str]] = Counter()
        self._runs: Counter[tuple[str, str]] = Counter()

    def ended(self, run: Mapping[str, Any]) -> None:
        """A run has ended; `run` as `ledger.list_runs` has it."""
        self._runs[run["workflow"], run["state"]] += 1
        for outcome in ROW_OUTCOMES:
            self._rows[run["workflow"], outcome] += run[outcome]

    async def checks(self) -> list[Check]:
        """`store` decides. `exports` is told only: API, console and the other exports work, whatever ails the CDP."""
        checks, _ = await self._look()
        return checks

    async def numbers(self) -> Numbers:
        """Its metrics, as of now."""
        checks, failing = await self._look()
        numbers = process_numbers("exporter")
        put_checks(numbers, "exporter", checks)
        for labels, count in self._rows.items():
            numbers.put("trackway_export_rows_total", count, *labels)
        for labels, count in self._runs.items():
            numbers.put("trackway_export_runs_total", count, *labels)
        for workflow, one in failing.items():
            numbers.put("trackway_export_failing_seconds", one.seconds, workflow)
            numbers.put("trackway_export_last_success_seconds", one.last_success / 1000, workflow)
        numbers.put("trackway_store_answer_seconds", self._watch.seconds, "exporter")
        return numbers

    async def _look(self) -> tuple[list[Check], dict[str, Failing]]:
        await self._watch.ask()
        failing: dict[str, Failing] = {}
        if self._watch.problem is None:
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    failing = await failing_workflows(self._store, self._workflows, now_ms())
            except STORE_AWAY:
                self._watch.problem = _AWAY
        ill = sorted(((one.seconds, name) for name, one in failing.items() if one.seconds), reverse=True)
        why = "; ".join(f"{name} has failed for {seconds:.0f} s" for seconds, name in ill) or None
        return [Check("store", self._watch.problem), Check("exports", why, decides=False)], failing


class AggregatorState:
    """Of the aggregator. `watch` keeps what must be asked for."""

    def __init__(self, settings: ExporterSettings, store: Store, progress: Progress) -> None:
        self._settings = settings
        self._store = store
        self._progress = progress
        self._watch = StoreWatch(store)
        self._stopping = False
        self._lag: dict[str, tuple[int, float]] = {}
        self._outbox = (0, 0.0)
        self._sessions = 0
        self._browsers: list[BrowserEvents] = []
        self._browsers_again = 0.0
        self._count_again = 0.0
        prefix = settings.topic_prefix
        self._topics = {EVENTS.full_name(prefix): "events", REJECTED.full_name(prefix): "rejected"}

    async def watch(self, stop: asyncio.Event) -> None:
        """Look every few seconds, and tell the log each minute what was folded, until `stop` is set."""
        told, at = Counter(self._progress.counts), time.monotonic()
        while not stop.is_set():
            await self.look()
            await pause(stop, _LOOK_SECONDS)
            if time.monotonic() - at >= _TELL_SECONDS or stop.is_set():
                now, at = Counter(self._progress.counts), time.monotonic()
                if now != told:
                    waiting = sum(records for records, _ in self._lag.values())
                    _log.info("folded", **{name: now[name] - told[name] for name in sorted(now)}, waiting=waiting)
                    told = now
        self._stopping = True

    async def look(self) -> None:
        """Ask store and log."""
        await self._watch.ask()
        try:
            await self._look_at_the_log()
            if self._watch.problem is None:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    await self._look_at_the_store()
                    await self._look_at_the_browsers()
        except (Unavailable, *STORE_AWAY) as error:
            _log.warning("state_unknown", error=type(error).__name__)

    def checks(self) -> list[Check]:
        """As of the last look."""
        settings = self._settings.aggregate
        records = sum(records for records, _ in self._lag.values())
        seconds = max((seconds for _, seconds in self._lag.values()), default=0.0)
        behind = (settings.lag_records and records > settings.lag_records) or (
            settings.lag_seconds and seconds > settings.lag_seconds
        )
        return [
            Check("stopping", "stopping" if self._stopping else None),
            Check("store", self._watch.problem),
            Check("log", self._progress.waits),
            Check("partitions", stopped_text(self._progress.stopped)),
            Check("lag", f"{records:,} records wait, the log is {seconds:.0f} s ahead" if behind else None),
        ]

    def numbers(self) -> Numbers:
        """Its metrics, as of the last look."""
        numbers, progress = process_numbers("aggregator"), self._progress
        put_checks(numbers, "aggregator", self.checks())
        numbers.put("trackway_child_deaths_total", 0, "aggregator")
        for status, count in progress.counts.items():
            numbers.put("trackway_records_total", count, status)
        for reason, count in progress.poison.items():
            numbers.put("trackway_poison_total", count, reason)
        numbers.put("trackway_batch_seconds", progress.batches.value)
        numbers.put("trackway_profile_pass_seconds", progress.passes.value)
        numbers.put("trackway_profiles_made_total", progress.made)
        for topic in self._topics.values():
            records, seconds = self._lag.get(topic, (0, 0.0))
            numbers.put("trackway_lag_records", records, topic)
            numbers.put("trackway_lag_seconds", seconds, topic)
        numbers.put("trackway_stopped_partitions", len(progress.stopped))
        numbers.put("trackway_outbox_records", self._outbox[0])
        numbers.put("trackway_outbox_oldest_seconds", self._outbox[1])
        numbers.put("trackway_sessions_changing", self._sessions)
        for one in self._browsers:
            numbers.put("trackway_browser_events_made", one.made, one.source, one.browser)
            numbers.put("trackway_browser_events_arrived", one.arrived, one.source, one.browser)
        numbers.put("trackway_store_answer_seconds", self._watch.seconds, "aggregator")
        return numbers

    async def _look_at_the_log(self) -> None:
        consumer = self._progress.consumer
        if consumer is not None:
            self._lag = self._lag_of(await consumer.bounds(), now_ms())

    def _lag_of(self, bounds: Mapping[Partition, Bounds], now: int) -> dict[str, tuple[int, float]]:
        found: dict[str, tuple[int, float]] = {}
        for partition, at in dict(self._progress.next).items():
            held = bounds[partition]
            waiting = max(0, held.next - (held.first if at is None else at))
            newest = self._progress.newest.get(partition)
            age = (now - newest) / 1000 if waiting and newest is not None else 0.0
            records, seconds = found.get(self._topics[partition.topic], (0, 0.0))
            found[self._topics[partition.topic]] = records + waiting, max(seconds, age)
        return found

    async def _look_at_the_store(self) -> None:
        async with self._store.read() as connection:
            waiting = int(await connection.scalar(text("SELECT COALESCE(SUM(size), 0) FROM outbox")) or 0)
            body = await connection.scalar(text("SELECT body FROM outbox ORDER BY number LIMIT 1"))
            if time.monotonic() >= self._count_again:
                # One row each: with many visitors not something to do every few seconds.
                count = await connection.scalar(text("SELECT COUNT(*) FROM session WHERE due IS NOT NULL"))
                self._sessions = int(count or 0)
                self._count_again = time.monotonic() + _COUNT_SECONDS
        oldest = min((one.timestamp for one in decode(body, 0)), default=now_ms()) if body else now_ms()
        self._outbox = waiting, max(0.0, (now_ms() - oldest) / 1000) if waiting else 0.0

    async def _look_at_the_browsers(self) -> None:
        begun = time.monotonic()
        if begun < self._browsers_again:
            return
        self._browsers_again = begun + _COUNT_SECONDS
        now = now_ms()
        self._browsers = await browser_events(self._store, now - HOUR_MS, now)
        # A hundredth of the time at most, however many page loads there are.
        self._browsers_again = time.monotonic() + 100 * (time.monotonic() - begun)
