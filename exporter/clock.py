"""What time alone changes, seen to by one process at a time: sessions close and become final, old traces go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from eventlog.timestamps import DAY_MS, HOUR_MS, now_ms
from exporter.apply import put_marks
from exporter.lease import Lease, LeaseLost, held, pause
from exporter.marks import Mark
from exporter.settings import ExporterSettings
from exporter.store import Store

_log = structlog.get_logger(__name__)

_EVERY_SECONDS = 5.0
_AGAIN_SECONDS = 5.0
_AT_ONCE = 1000
COUNTS_MS = 400 * DAY_MS

_DUE = (
    "SELECT DISTINCT profile.kind, profile.value FROM session JOIN profile ON profile.id = session.profile_id"
    f" WHERE session.due <= :now LIMIT {_AT_ONCE}"
)
# Traces stand in the order they were stored, so the oldest are the first.
_OLD_TRACES = (
    f"DELETE FROM trace WHERE number IN (SELECT number FROM trace ORDER BY number LIMIT {_AT_ONCE})"
    " AND received_at < :before"
)


async def keep_time(settings: ExporterSettings, store: Store, stop: asyncio.Event) -> None:
    """See to it until `stop` is set."""
    cleaned = 0
    while not stop.is_set():
        try:
            async with held(store, "clock", stop=stop) as lease:
                while lease is not None and not stop.is_set():
                    now = now_ms()
                    await mark_due_sessions(store, lease, now)
                    if now - cleaned > HOUR_MS:
                        await drop_old(store, lease, settings, now)
                        cleaned = now
                    await pause(stop, _EVERY_SECONDS)
        except (LeaseLost, SQLAlchemyError, OSError) as error:
            _log.warning("clock_waits", error=type(error).__name__)
            await pause(stop, _AGAIN_SECONDS)


async def mark_due_sessions(store: Store, lease: Lease, now: int) -> int:
    """Have the profiles made anew of which a session's state has changed by `now`; answers how many."""
    async with store.read() as connection:
        rows = list(await connection.execute(text(_DUE), {"now": now}))
    if rows:
        async with store.write() as connection:
            await lease.fence(connection)
            await put_marks(connection, {Mark("root", f"{kind}:{value}") for kind, value in rows})
    return len(rows)


async def drop_old(store: Store, lease: Lease, settings: ExporterSettings, now: int) -> None:
    """Forget traces, replays, page loads and counts older than they are kept."""
    before = now - settings.trace_days * DAY_MS
    await _repeat(store, lease, "DELETE FROM replay WHERE at < :before", before, _once)
    await _repeat(store, lease, "DELETE FROM page_load WHERE first < :before", before, _once)
    gone = await _repeat(store, lease, _OLD_TRACES, before, lambda n: n == _AT_ONCE)
    await _repeat(store, lease, "DELETE FROM counts WHERE minute < :before", now - COUNTS_MS, _once)
    if gone:
        _log.info("old_traces_dropped", count=gone)


def _once(_: int) -> bool:
    return False


async def _repeat(store: Store, lease: Lease, statement: str, before: int, again: Callable[[int], bool]) -> int:
    total = 0
    while True:
        async with store.write() as connection:
            await lease.fence(connection)
            count = (await connection.execute(text(statement), {"before": before})).rowcount
        total += count
        if not again(count):
            return total
