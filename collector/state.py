"""What a collector tells of itself: whether it is ready, and its numbers."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Final

import structlog

from collector.settings import CollectorSettings
from eventlog.log import Backlog, Producer
from eventlog.numbers import Numbers, process_numbers
from eventlog.readiness import Check
from eventlog.timestamps import now_ms

if TYPE_CHECKING:
    from collector.endpoints import Intake

_log = structlog.get_logger(__name__)

_TELL_SECONDS: Final = 60.0


def checks_of(settings: CollectorSettings, producer: Producer, stopping: bool) -> list[Check]:
    """`log` and `disk` decide. Records that wait on our own disk are durable, and no other collector would do better
    while Kafka is away: `spool` is told only."""
    return [
        Check("stopping", "stopping" if stopping else None),
        Check("log", producer.unready()),
        Check("spool", _waiting(producer.backlog(), settings.spool.warn_seconds, now_ms()), decides=False),
        Check("disk", _no_room(free_bytes(settings), settings.spool.min_free_bytes)),
    ]


def numbers_of(intake: Intake) -> Numbers:
    """The metrics of one collector's process."""
    numbers, now = process_numbers("collector"), now_ms()
    answered = intake.answered
    told = dict.fromkeys(
        ((name, status, "") for name in intake.settings.sources for status in ("accepted", "duplicate")), 0
    )
    for (source, status), count in answered.totals.items():
        if status in ("accepted", "duplicate"):
            told[source, status, ""] = count
    told |= answered.reasons
    for (source, status, reason), count in told.items():
        numbers.put("trackway_events_total", count, source, status, reason)
    for code, count in answered.refused.items():
        numbers.put("trackway_requests_refused_total", count, code)
    numbers.put("trackway_child_deaths_total", 0, "collector")
    numbers.put("trackway_append_seconds", intake.appends.value)
    numbers.put("trackway_in_flight_bytes", intake.flight.held)
    backlog = intake.producer.backlog()
    numbers.put("trackway_spool_records", backlog.records)
    numbers.put("trackway_spool_bytes", backlog.bytes)
    numbers.put("trackway_spool_oldest_seconds", _waited(backlog, now))
    numbers.put("trackway_disk_free_bytes", free_bytes(intake.settings))
    numbers.put("trackway_dedup_window_seconds", intake.dedup.window_seconds(now))
    numbers.put("trackway_dedup_ids", len(intake.dedup))
    return numbers


async def tell_each_minute(intake: Intake, stop: asyncio.Event) -> None:
    """A line in the log for each minute in which something was answered, and one at the end."""
    told: Counter[str] = Counter()
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _TELL_SECONDS)
        now = _totals(intake)
        if now != told:
            backlog = intake.producer.backlog()
            _log.info("answered", **{name: now[name] - told[name] for name in sorted(now)}, waiting=backlog.records)
            told = now


def _totals(intake: Intake) -> Counter[str]:
    totals = Counter({"requests_refused": sum(intake.answered.refused.values())})
    for (_, status), count in intake.answered.totals.items():
        totals[status] += count
    return totals


def free_bytes(settings: CollectorSettings) -> int:
    """Room left where `data` is."""
    folder = settings.data.resolve()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _waited(backlog: Backlog, now: int) -> float:
    return 0.0 if backlog.oldest is None else max(0, now - backlog.oldest) / 1000


def _waiting(backlog: Backlog, most_seconds: float, now: int) -> str | None:
    waited = _waited(backlog, now)
    if waited <= most_seconds:
        return None
    return f"{backlog.records:,} records wait on this collector's disk, the oldest for {waited:.0f} s"


def _no_room(free: int, least: int) -> str | None:
    return (
        None
        if free >= least
        else f"the disk of `data` has {free // 2**20:,} MiB left, {least // 2**20:,} are the least"
    )
