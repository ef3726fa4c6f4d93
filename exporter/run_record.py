"""Writes one export run into the ledger: every transaction begins with the fence of the workflow's lease.

A batch is written before it is sent and resolved after, together with what the stream now holds, the counts and the
checkpoint. Whatever a dead process left unresolved is resolved by the next run, as of unknown outcome.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, NamedTuple

import orjson
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from eventlog.timestamps import DAY_MS, now_ms
from exporter.lease import Lease
from exporter.ledger import BATCH, CHECKPOINT, COLUMN, REFUSED, ROW, RUN, TICK, Origin, State, Tally, show_run
from exporter.processors import Row
from exporter.rows import ColumnType, Fault
from exporter.store import Store
from exporter.workflow import Mode, Workflow

Scope = Literal["full", "incremental", "sample"]

_MAX_REFUSED: Final = 500
# Longer than the log keeps events: an id is forgotten when its event cannot be read again.
_KEPT_MS: Final = 90 * DAY_MS
_TICKS_KEPT_MS: Final = 8 * DAY_MS

_HOLDS = text(
    "INSERT INTO export_row (workflow_id, key, content, run_id, batch, sent_at)"
    " VALUES (:workflow_id, :key, :content, :run_id, :batch, :sent_at) ON CONFLICT (workflow_id, key) DO UPDATE SET"
    " content = excluded.content, run_id = excluded.run_id, batch = excluded.batch, sent_at = excluded.sent_at"
)
_SETTLED = text(
    "INSERT INTO export_column (workflow_id, name, type, run_id) VALUES (:workflow_id, :name, :type, :run_id)"
    " ON CONFLICT (workflow_id, name) DO NOTHING"
)
_CHECKPOINT = text("INSERT INTO export_checkpoint (workflow_id) VALUES (:id) ON CONFLICT (workflow_id) DO NOTHING")


class Prepared(NamedTuple):
    """A row to be sent: `key` and `content` are hashes, `label` the key as people know it, `cursor` the source's."""

    key: bytes
    content: bytes
    label: str
    cursor: Any
    row: Row


class Refusal(NamedTuple):
    """A row that did not go through."""

    label: str
    stage: Literal["check", "CDP"]
    fault: Fault


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to do. `tick` is the moment of its schedule, `missed` how many ticks it makes up for."""

    mode: Mode
    full: bool = False
    tick: int | None = None
    missed: int = 0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a live run goes on; see the table."""

    high_water: int | None = None
    full_at: int | None = None
    live: str | None = None
    draft: str | None = None
    position: dict[str, Any] | None = None


@dataclass(slots=True)
class Result:
    """What became of one batch. `position`: the checkpoint's, from now on; None leaves it where it is."""

    accepted: Sequence[Prepared] = ()
    refused: Sequence[Refusal] = ()
    unknown: Sequence[Prepared] = ()
    bytes: int = 0
    columns: Mapping[str, ColumnType] = field(default_factory=dict)
    position: dict[str, Any] | None = None


class RunRecord:
    """One run in the ledger. A draft leaves rows, columns and positions of the stream alone."""

    def __init__(self, store: Store, lease: Lease, workflow: Workflow, plan: Plan) -> None:
        self.id = str(uuid.uuid4())
        self.tally = Tally()
        self._store = store
        self._lease = lease
        self._workflow = workflow
        self._plan = plan
        self._live = plan.mode == "live"
        self._refused = 0
        self._waiting: list[Refusal] = []

    @contextlib.asynccontextmanager
    async def _write(self) -> AsyncIterator[AsyncConnection]:
        async with self._store.write() as connection:
            await self._lease.fence(connection)
            yield connection

    async def last(self) -> Checkpoint:
        """The workflow's checkpoint."""
        async with self._store.read() as connection:
            found = (
                (await connection.execute(select(CHECKPOINT).where(CHECKPOINT.c.workflow_id == self._workflow.id)))
                .mappings()
                .first()
            )
        if found is None:
            return Checkpoint()
        position = None if found["position"] is None else orjson.loads(found["position"])
        return Checkpoint(found["high_water"], found["full_at"], found["live"], found["draft"], position)

    async def columns(self) -> dict[str, ColumnType]:
        """The stream's columns so far, with their types."""
        asked = select(COLUMN.c.name, COLUMN.c.type).where(COLUMN.c.workflow_id == self._workflow.id)
        async with self._store.read() as connection:
            return {row.name: row.type for row in await connection.execute(asked)}

    async def held(self, keys: Collection[bytes]) -> dict[bytes, bytes]:
        """What the stream holds of these keys: hashes of contents; of an emptied row nothing."""
        asked = select(ROW.c.key, ROW.c.content).where(ROW.c.workflow_id == self._workflow.id, ROW.c.key.in_(keys))
        async with self._store.read() as connection:
            return {bytes(key): bytes(content) for key, content in await connection.execute(asked)}

    async def begin(self, scope: Scope) -> None:
        """Resolve what a dead process left, and write the run down."""
        workflow = self._workflow
        now = now_ms()
        async with self._write() as connection:
            await self._bury(connection, now)
            await connection.execute(
                insert(RUN),
                {
                    "id": self.id,
                    "workflow": workflow.name,
                    "workflow_id": workflow.id,
                    "kind": workflow.settings.kind,
                    "stream": workflow.stream_tail,
                    "mode": self._plan.mode,
                    "scope": scope,
                    "tick": self._plan.tick,
                    "missed": self._plan.missed,
                    "skipped": 0,
                    "state": "running",
                    "started_at": now,
                    "tally": _json(asdict(self.tally)),
                },
            )

    async def sending(self, number: int, rows: Sequence[Prepared]) -> None:
        """Write the batch down before it is sent."""
        async with self._write() as connection:
            values = {"run_id": self.id, "number": number, "state": "sending", "rows": len(rows), "bytes": 0}
            values |= {"accepted": 0, "refused": 0, "unknown": 0, "sent_at": now_ms()}
            await connection.execute(insert(BATCH), values)
            if self._live and not self._workflow.repeatable:
                await self._hold(connection, number, rows)

    async def resolved(self, number: int, result: Result) -> None:
        """Write down what became of the batch."""
        async with self._write() as connection:
            values = {"state": "unknown" if result.unknown else "done", "bytes": result.bytes, "resolved_at": now_ms()}
            values |= {"accepted": len(result.accepted), "refused": len(result.refused), "unknown": len(result.unknown)}
            of = BATCH.c.run_id == self.id, BATCH.c.number == number
            await connection.execute(update(BATCH).where(*of).values(values))
            if self._live:
                await self._settle(connection, number, result)
            await self._write_refused(connection, result.refused)
            await connection.execute(update(RUN).where(RUN.c.id == self.id).values(tally=_json(asdict(self.tally))))

    def refuse(self, refusal: Refusal) -> None:
        """Have a row that was not sent written down with what comes next."""
        self._waiting.append(refusal)

    async def end(self, state: State, error: str | None, origin: Origin | None, checkpoint: Mapping[str, Any]) -> None:
        """The run is over; `checkpoint` holds the values that change."""
        async with self._write() as connection:
            await self._write_refused(connection, ())
            await self._leave_open_batches(connection, self.id, self.tally)
            values = {"state": state, "error": error, "origin": origin, "ended_at": now_ms()}
            values["tally"] = _json(asdict(self.tally))
            await connection.execute(update(RUN).where(RUN.c.id == self.id).values(values))
            await self._move(connection, checkpoint)
            if self.tally.sent or state != "succeeded":
                await self._forget(connection)
            elif self._plan.tick is not None and self._workflow.often:
                await self._forget_idle(connection)

    async def show(self) -> dict[str, Any]:
        """The run for reading."""
        found = await show_run(self._store, self.id)
        assert found is not None
        return {name: value for name, value in found.items() if name not in ("batches", "refusals", "refused_rows")}

    async def _hold(self, connection: AsyncConnection, number: int, rows: Sequence[Prepared]) -> None:
        if rows:
            common = {"workflow_id": self._workflow.id, "run_id": self.id, "batch": number, "sent_at": now_ms()}
            await connection.execute(_HOLDS, [{**common, "key": row.key, "content": row.content} for row in rows])

    async def _settle(self, connection: AsyncConnection, number: int, result: Result) -> None:
        """What the stream holds now, its columns, and where to go on."""
        workflow = self._workflow
        if workflow.repeatable:
            await self._hold(connection, number, result.accepted)
        else:
            keep = [*result.accepted, *(result.unknown if workflow.settings.unknown_outcome == "lose" else ())]
            gone = ROW.c.run_id == self.id, ROW.c.batch == number, ROW.c.key.not_in([row.key for row in keep])
            await connection.execute(delete(ROW).where(*gone))
        if result.columns:
            common = {"workflow_id": workflow.id, "run_id": self.id}
            settled = [{**common, "name": name, "type": kind} for name, kind in result.columns.items()]
            await connection.execute(_SETTLED, settled)
        if result.position is not None:
            await self._move(connection, {"position": result.position})

    async def _move(self, connection: AsyncConnection, values: Mapping[str, Any]) -> None:
        if not values:
            return
        await connection.execute(_CHECKPOINT, {"id": self._workflow.id})
        changed = {name: _json(value) if isinstance(value, dict) else value for name, value in values.items()}
        await connection.execute(
            update(CHECKPOINT).where(CHECKPOINT.c.workflow_id == self._workflow.id).values(changed)
        )

    async def _write_refused(self, connection: AsyncConnection, refused: Sequence[Refusal]) -> None:
        rows = [*self._waiting, *refused][: _MAX_REFUSED - self._refused]
        self._waiting.clear()
        self._refused += len(rows)
        if rows:
            values = [
                {"key": label[:256], "stage": stage, "run_id": self.id, **fault._asdict()}
                for label, stage, fault in rows
            ]
            await connection.execute(insert(REFUSED), values)

    async def _bury(self, connection: AsyncConnection, now: int) -> None:
        """Runs of processes that are gone: the lease is ours, so nobody works on them."""
        dead = select(RUN.c.id, RUN.c.tally).where(RUN.c.workflow_id == self._workflow.id, RUN.c.state == "running")
        for run_id, counts in list(await connection.execute(dead)):
            tally = Tally(**orjson.loads(counts))
            await self._leave_open_batches(connection, run_id, tally)
            error = "its process ended; the next run went on where it had come to"
            values = {"state": "aborted", "error": error, "origin": "Trackway", "ended_at": now}
            values["tally"] = _json(asdict(tally))
            await connection.execute(update(RUN).where(RUN.c.id == run_id).values(values))

    async def _leave_open_batches(self, connection: AsyncConnection, run_id: str, tally: Tally) -> None:
        """What was on its way when the run ended is of unknown outcome."""
        sending = BATCH.c.run_id == run_id, BATCH.c.state == "sending"
        for number, rows in list(await connection.execute(select(BATCH.c.number, BATCH.c.rows).where(*sending))):
            tally.sent += rows
            tally.unknown += rows
            values = {"state": "unknown", "unknown": rows, "resolved_at": now_ms()}
            await connection.execute(update(BATCH).where(*sending, BATCH.c.number == number).values(values))
            if not self._workflow.repeatable and self._workflow.settings.unknown_outcome == "duplicate":
                await connection.execute(delete(ROW).where(ROW.c.run_id == run_id, ROW.c.batch == number))

    async def _forget(self, connection: AsyncConnection) -> None:
        """Runs with their batches and refused rows, ticks (but the last) and ids of events sent go after a while."""
        before = now_ms() - _KEPT_MS
        old = select(RUN.c.id).where(RUN.c.workflow_id == self._workflow.id, RUN.c.started_at < before)
        await connection.execute(delete(BATCH).where(BATCH.c.run_id.in_(old)))
        await connection.execute(delete(REFUSED).where(REFUSED.c.run_id.in_(old)))
        await connection.execute(delete(RUN).where(RUN.c.id.in_(old)))
        last = select(func.max(TICK.c.tick)).where(TICK.c.workflow == self._workflow.name).scalar_subquery()
        ticks = TICK.c.workflow == self._workflow.name, TICK.c.at < now_ms() - _TICKS_KEPT_MS, TICK.c.tick < last
        await connection.execute(delete(TICK).where(*ticks))
        if not self._workflow.repeatable:
            gone = ROW.c.workflow_id == self._workflow.id, ROW.c.sent_at < before
            await connection.execute(delete(ROW).where(*gone))

    async def _forget_idle(self, connection: AsyncConnection) -> None:
        """Of scheduled runs that follow each other within seconds and have nothing to send, only the newest stays."""
        scheduled = RUN.c.workflow_id == self._workflow.id, RUN.c.tick.is_not(None), RUN.c.id != self.id
        newest = select(RUN.c.id, RUN.c.state, RUN.c.tally).where(*scheduled).order_by(RUN.c.started_at.desc()).limit(1)
        before = (await connection.execute(newest)).first()
        if before is not None and before.state == "succeeded" and not orjson.loads(before.tally)["sent"]:
            await connection.execute(delete(RUN).where(RUN.c.id == before.id))


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
