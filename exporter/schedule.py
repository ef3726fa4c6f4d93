"""When workflows run: each tick of a schedule at most once, however many processes schedule.

Ticks that passed while nobody was there are made up for by one run, if the latest is no older than `misfire_grace`. A
tick that comes while the workflow runs is skipped and counted. A run whose process died, or was stopped, is continued.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import bindparam, func, select, text
from sqlalchemy.exc import DBAPIError

from eventlog.timestamps import DAY_MS, format_ms, now_ms
from exporter.cron import Cron, in_words, parse_cron, ticks_after
from exporter.lease import CLOCK, LeaseLost, pause
from exporter.ledger import TICK
from exporter.run import Busy, run_planned
from exporter.run_record import Plan
from exporter.settings import ExporterSettings
from exporter.store import STORE_AWAY, Store
from exporter.workflow import Workflow, find_workflow

_log = structlog.get_logger(__name__)

# The wall clock may jump, and other processes die: both are looked for this often. Seconds.
_LOOK_EVERY: Final = 5.0
_UNFINISHED_EVERY: Final = 30.0
# Ticks further back are not counted as missed.
_COUNTED_MS: Final = 7 * DAY_MS
_NEXT_SHOWN: Final = 3

_TAKE: Final = text(
    "INSERT INTO export_tick (workflow, tick, outcome, missed, at) VALUES (:workflow, :tick, :outcome, :missed, :at)"
    " ON CONFLICT (workflow, tick) DO NOTHING RETURNING tick"
)
_SKIP: Final = (
    text("UPDATE export_tick SET outcome = 'skipped' WHERE workflow = :workflow AND tick = :tick"),
    text("UPDATE export_run SET skipped = skipped + 1 WHERE workflow_id = :workflow_id AND state = 'running'"),
)


async def schedule(
    settings: ExporterSettings,
    store: Store,
    stop: asyncio.Event,
    now: Callable[[], int] = now_ms,
    ended: Callable[[Mapping[str, Any]], None] = lambda run: None,
) -> None:
    """Run the workflows when they are due, until `stop` is set; then what runs may finish its batch. `ended` is told
    of each run that has come to its end, as `ledger.list_runs` has it."""
    scheduler = Scheduler(settings, store, now, ended)
    async with asyncio.TaskGroup() as group:
        looked = float("-inf")
        running: set[asyncio.Task[None]] = set()
        while not stop.is_set():
            try:
                due = await scheduler.due()
                clock = asyncio.get_running_loop().time()
                if clock - looked >= _UNFINISHED_EVERY:
                    due += await scheduler.unfinished(stopped_too=looked == float("-inf"))
                    looked = clock
            except (*STORE_AWAY, DBAPIError) as error:
                _log.warning("schedule_waits_for_the_store", error=type(error).__name__)
                due = []
            for workflow, plan in due:
                running.add(task := group.create_task(scheduler.run(workflow, plan, stop)))
                task.add_done_callback(running.discard)
            await pause(stop, scheduler.seconds_to_next())
        if running:
            await asyncio.wait(running, timeout=settings.drain_time * 0.8)
        for task in running:
            task.cancel()


class Scheduler:
    """The schedules of one process; `now` is the wall clock (ms)."""

    def __init__(
        self,
        settings: ExporterSettings,
        store: Store,
        now: Callable[[], int],
        ended: Callable[[Mapping[str, Any]], None] = lambda run: None,
    ) -> None:
        self._ended = ended
        self._settings = settings
        self._store = store
        self._now = now
        self._zone = ZoneInfo(settings.timezone)
        self._workflows = {
            name: (find_workflow(settings, name), parse_cron(one.every))
            for name, one in settings.workflows.items()
            if one.every
        }
        # When each is to be looked at again; another process may have taken the tick by then.
        self._next = dict.fromkeys(self._workflows, 0)

    async def due(self) -> list[tuple[Workflow, Plan]]:
        """Take the ticks that have come: the runs to start."""
        now = self._now()
        found = []
        for name, (workflow, cron) in self._workflows.items():
            if self._next[name] <= now:
                plan = await self._take(workflow, cron, now)
                self._next[name] = next(ticks_after(cron, now, self._zone), now + DAY_MS)
                if plan is not None:
                    found.append((workflow, plan))
        return found

    def seconds_to_next(self) -> float:
        """How long nothing will be due."""
        soonest = min(self._next.values(), default=self._now() + DAY_MS)
        return min(max((soonest - self._now()) / 1000, 0.01), _LOOK_EVERY)

    async def _take(self, workflow: Workflow, cron: Cron, now: int) -> Plan | None:
        """The newest tick that has come and that nobody took yet, if it is not too old."""
        name = workflow.name
        async with self._store.read() as connection:
            last = await connection.scalar(select(func.max(TICK.c.tick)).where(TICK.c.workflow == name))
        if last is None:
            await self._write(name, now, "begun", 0)
            return None
        grace = int(workflow.settings.misfire_grace * 1000)
        ticks = []
        for tick in ticks_after(cron, max(last, now - max(_COUNTED_MS, grace)), self._zone):
            if tick > now:
                break
            ticks.append(tick)
        if not ticks:
            return None
        too_old = now - ticks[-1] > grace
        taken = await self._write(name, ticks[-1], "missed" if too_old else "taken", len(ticks) - 1)
        if taken and len(ticks) > 1:
            _log.warning("ticks_missed", workflow=name, count=len(ticks) - 1)
        if not taken or too_old:
            return None
        return Plan(workflow.settings.mode or "draft", tick=ticks[-1], missed=len(ticks) - 1)

    async def _write(self, workflow: str, tick: int, outcome: str, missed: int) -> bool:
        values = {"workflow": workflow, "tick": tick, "outcome": outcome, "missed": missed, "at": self._now()}
        async with self._store.write() as connection:
            return await connection.scalar(_TAKE, values) is not None

    async def unfinished(self, *, stopped_too: bool) -> list[tuple[Workflow, Plan]]:
        """Scheduled live runs that are to be gone on with: their process died; or, `stopped_too`, it was stopped."""
        ids = {workflow.id: workflow for workflow, _ in self._workflows.values()}
        if not ids:
            return []
        of = "state = 'running' AND COALESCE(lease.until, 0) < " + CLOCK[self._store.dialect]
        if stopped_too:
            of += " OR state = 'aborted' AND origin = 'Trackway'"
        statement = text(
            "SELECT workflow_id, tick FROM export_run LEFT JOIN lease ON lease.name = 'export:' || workflow_id"
            f" WHERE workflow_id IN :ids AND mode = 'live' AND tick IS NOT NULL AND ({of}) AND NOT EXISTS ("
            "SELECT 1 FROM export_run later WHERE later.workflow_id = export_run.workflow_id"
            " AND later.started_at > export_run.started_at AND later.mode = 'live')"
        ).bindparams(bindparam("ids", expanding=True))
        async with self._store.read() as connection:
            rows = await connection.execute(statement, {"ids": list(ids)})
            return [(ids[workflow_id], Plan("live", tick=tick)) for workflow_id, tick in rows]

    async def run(self, workflow: Workflow, plan: Plan, stop: asyncio.Event) -> None:
        """One run, its failures told in ledger and log."""
        try:
            self._ended(await run_planned(self._settings, self._store, workflow, plan, stop))
        except Busy:
            _log.warning("tick_skipped", workflow=workflow.name, tick=format_ms(plan.tick or 0))
            await self._skip(workflow, plan)
        except LeaseLost:
            _log.warning("export_taken_over", workflow=workflow.name)
        except (*STORE_AWAY, DBAPIError) as error:
            _log.error("export_left_by_the_store", workflow=workflow.name, error=type(error).__name__)

    async def _skip(self, workflow: Workflow, plan: Plan) -> None:
        values = {"workflow": workflow.name, "workflow_id": workflow.id, "tick": plan.tick}
        async with self._store.write() as connection:
            for statement in _SKIP:
                await connection.execute(statement, values)


def next_ticks(settings: ExporterSettings, now: int) -> list[dict[str, Any]]:
    """Every workflow with its schedule: workflow, kind, mode, every, in_words, next (three ticks, UTC) and local (the
    first of them as clocks in the installation's time zone show it). What runs by hand only has no ticks."""
    zone = ZoneInfo(settings.timezone)
    rows: list[dict[str, Any]] = []
    for name, workflow in settings.workflows.items():
        row: dict[str, Any] = {"workflow": name, "kind": workflow.kind, "mode": workflow.mode, "every": workflow.every}
        row |= {"in_words": "by hand", "next": [], "local": None}
        if workflow.every:
            cron = parse_cron(workflow.every)
            ticks = list(islice(ticks_after(cron, now, zone), _NEXT_SHOWN))
            row |= {"in_words": in_words(cron), "next": [format_ms(tick) for tick in ticks]}
            if ticks:
                local = datetime.fromtimestamp(ticks[0] / 1000, UTC).astimezone(zone)
                row["local"] = f"{local:%Y-%m-%d %H:%M} {settings.timezone}"
        rows.append(row)
    return rows
