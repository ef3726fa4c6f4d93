"""The export ledger: its tables, and what people read of it. run_record.py writes it.

What was sent when, to which stream, and what became of it. Times are milliseconds UTC in the tables, RFC 3339 in what
is read. Rows of one workflow have one writer, the holder of its lease; only a skipped tick is counted by whoever skips.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import orjson
from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, RowMapping, Table, Text, TextClause, text

from eventlog.timestamps import MINUTE_MS, format_ms
from exporter.lease import CLOCK
from exporter.store import Store
from exporter.tables import METADATA, Number, Word

State = Literal["running", "succeeded", "partial", "failed", "aborted"]
# Where a run's failure comes from.
Origin = Literal["source", "Trackway", "network", "CDP"]

# One run. `workflow` is the name in the settings, `workflow_id` outlives edits of it. `tally` is the JSON of its
# counts, `skipped` the ticks that came while it ran, `missed` those that had passed unused before the one it is for.
RUN: Final = Table(
    "export_run",
    METADATA,
    Column("id", Word, primary_key=True),
    Column("workflow", Word, nullable=False),
    Column("workflow_id", Word, nullable=False),
    Column("kind", Word, nullable=False),
    Column("stream", Text, nullable=False),
    Column("mode", Word, nullable=False),
    Column("scope", Word, nullable=False),
    Column("tick", BigInteger),
    Column("missed", Integer, nullable=False),
    Column("skipped", Integer, nullable=False),
    Column("state", Word, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("tally", Text, nullable=False),
    Column("error", Text),
    Column("origin", Text),
)
Index("export_run_started", RUN.c.started_at, RUN.c.id)
Index("export_run_workflow", RUN.c.workflow, RUN.c.started_at)
Index("export_run_state", RUN.c.workflow_id, RUN.c.state)

# One batch, written before it is sent and resolved after: `sending` after a crash means an unknown outcome.
BATCH: Final = Table(
    "export_batch",
    METADATA,
    Column("run_id", Word, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", Word, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("accepted", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("unknown", Integer, nullable=False),
    Column("sent_at", BigInteger, nullable=False),
    Column("resolved_at", BigInteger),
)

# What the stream holds of each key: an unchanged item is not sent again, an interaction never twice. Both columns are
# hashes; the content of an emptied row is empty. Interactions are written before they are sent, the rest once accepted.
ROW: Final = Table(
    "export_row",
    METADATA,
    Column("workflow_id", Word, primary_key=True),
    Column("key", LargeBinary, primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("run_id", Word, nullable=False),
    Column("batch", Integer, nullable=False),
    Column("sent_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
Index("export_row_sent", ROW.c.workflow_id, ROW.c.sent_at)
Index("export_row_batch", ROW.c.run_id, ROW.c.batch)

# The columns of a live stream with their types: what was settled once is neither dropped nor retyped.
COLUMN: Final = Table(
    "export_column",
    METADATA,
    Column("workflow_id", Word, primary_key=True),
    Column("name", Word, primary_key=True),
    Column("type", Word, nullable=False),
    Column("run_id", Word, nullable=False),
    sqlite_with_rowid=False,
)

# Rows that did not go through, at most some hundreds a run, without their content. `stage`: check or CDP.
REFUSED: Final = Table(
    "export_refused",
    METADATA,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("run_id", Word, nullable=False),
    Column("key", Text, nullable=False),
    Column("stage", Word, nullable=False),
    Column("code", Word, nullable=False),
    Column("column", Text),
    Column("reason", Text, nullable=False),
)
Index("export_refused_run", REFUSED.c.run_id)

# Where the next live run goes on. `high_water`: items changed before it have been sent. `position`: the JSON of a pass
# that has not ended, or of where the log is to be read on. `draft`: fingerprint of the last draft the CDP took, `live`:
# of the last live run that went through.
CHECKPOINT: Final = Table(
    "export_checkpoint",
    METADATA,
    Column("workflow_id", Word, primary_key=True),
    Column("high_water", BigInteger),
    Column("full_at", BigInteger),
    Column("live", Text),
    Column("draft", Text),
    Column("position", Text),
)

# The ticks of each workflow that somebody took: each at most once, however many processes schedule. `begun` is not a
# tick but when the workflow was first seen, so that nothing before it counts as missed.
TICK: Final = Table(
    "export_tick",
    METADATA,
    Column("workflow", Word, primary_key=True),
    Column("tick", BigInteger, primary_key=True, autoincrement=False),
    Column("outcome", Word, nullable=False),
    Column("missed", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

_REFUSED_SHOWN: Final = 100
_BATCHES: Final = "SELECT * FROM export_batch WHERE run_id = :run ORDER BY number"
_BY_KIND: Final = (
    'SELECT stage, code, "column", COUNT(*) AS rows, MIN(reason) AS reason FROM export_refused'
    ' WHERE run_id = :run GROUP BY stage, code, "column" ORDER BY rows DESC, stage, code'
)
_BY_MINUTE: Final = (
    f"SELECT export_batch.sent_at / {MINUTE_MS} AS minute, workflow, mode, CAST(SUM(rows) AS BIGINT) AS sent,"
    " CAST(SUM(accepted) AS BIGINT) AS accepted, CAST(SUM(refused) AS BIGINT) AS refused,"
    " CAST(SUM(unknown) AS BIGINT) AS unknown FROM export_batch JOIN export_run ON export_run.id = export_batch.run_id"
    " WHERE export_batch.sent_at >= :start AND export_batch.sent_at < :end GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
)
_FIRST: Final = (
    'SELECT key, stage, code, "column", reason FROM export_refused WHERE run_id = :run ORDER BY number LIMIT :limit'
)


@dataclass(slots=True)
class Tally:
    """A run's counts, of items unless the name says otherwise. `waited` is in seconds. In a live run that has ended by
    itself read = unchanged + suppressed + invalid + sent, and always sent = accepted + refused + unknown."""

    read: int = 0
    unchanged: int = 0
    suppressed: int = 0
    invalid: int = 0
    sent: int = 0
    accepted: int = 0
    refused: int = 0
    unknown: int = 0
    requests: int = 0
    retries: int = 0
    bytes: int = 0
    waited: float = 0.0

    @property
    def bad(self) -> int:
        """Rows that were found wrong, here or by the CDP."""
        return self.invalid + self.refused


def lease_name(workflow_id: str) -> str:
    """The lease whose holder runs the workflow."""
    return f"export:{workflow_id}"


def _runs(store: Store, which: str) -> TextClause:
    """Runs with whether the lease of their workflow is held (`alive`)."""
    return text(
        f"SELECT export_run.*, lease.until AS lease_until, COALESCE(lease.until >= {CLOCK[store.dialect]}, FALSE)"
        f" AS alive FROM export_run LEFT JOIN lease ON lease.name = 'export:' || export_run.workflow_id {which}"
    )


async def list_runs(store: Store, limit: int, workflow: str | None = None) -> list[dict[str, Any]]:
    """The newest runs, of one workflow or of all: id, workflow, kind, stream (its last characters), mode, scope, state,
    started_at, ended_at, outcome (a sentence), the counts of `Tally`, tick, missed, skipped, error and origin."""
    of = "WHERE export_run.workflow = :workflow " if workflow else ""
    asked = {"limit": limit} | ({"workflow": workflow} if workflow else {})
    async with store.read() as connection:
        statement = _runs(store, f"{of}ORDER BY started_at DESC, id DESC LIMIT :limit")
        return [summary(row) for row in (await connection.execute(statement, asked)).mappings()]


async def rows_by_minute(store: Store, start: int, end: int) -> list[dict[str, Any]]:
    """Rows sent in [start, end) (ms) by minute, workflow and mode: `minute` (ms), `sent`, `accepted`, `refused`,
    `unknown`; those on their way now count as sent only."""
    async with store.read() as connection:
        rows = await connection.execute(text(_BY_MINUTE), {"start": start, "end": end})
        return [{**row, "minute": row["minute"] * MINUTE_MS} for row in rows.mappings()]


async def show_run(store: Store, run_id: str) -> dict[str, Any] | None:
    """A run as `list_runs` has it, with its `batches`, its `refusals` by kind (stage, code, column, rows, reason of one
    of them) and the first of its `refused_rows`; None where there is none of this id."""
    asked = {"run": run_id, "limit": _REFUSED_SHOWN}
    async with store.read() as connection:
        row = (await connection.execute(_runs(store, "WHERE id = :run"), asked)).mappings().first()
        if row is None:
            return None
        found = summary(row)
        found["batches"] = [_batch(one) for one in (await connection.execute(text(_BATCHES), asked)).mappings()]
        found["refusals"] = [_stated(one) for one in (await connection.execute(text(_BY_KIND), asked)).mappings()]
        found["refused_rows"] = [_stated(one) for one in (await connection.execute(text(_FIRST), asked)).mappings()]
        return found


def summary(row: RowMapping) -> dict[str, Any]:
    """One run for reading. A `running` one whose process has gone says since when (`stalled_since`)."""
    tally = Tally(**orjson.loads(row["tally"]))
    found: dict[str, Any] = {name: row[name] for name in ("id", "workflow", "kind", "stream", "mode", "scope", "state")}
    for name in ("tick", "started_at", "ended_at"):
        found[name] = None if row[name] is None else format_ms(row[name])
    if row["state"] == "running" and not row["alive"]:
        found["stalled_since"] = format_ms(row["lease_until"] or row["started_at"])
    found["outcome"] = outcome(found, tally, row["error"])
    found |= asdict(tally)
    return found | {name: row[name] for name in ("missed", "skipped", "error", "origin")}


def outcome(run: Mapping[str, Any], tally: Tally, error: str | None) -> str:
    """What became of the run, in one sentence."""
    if "stalled_since" in run:
        return f"its process has gone (no word since {run['stalled_since']}); the next run goes on where it ended"
    counts = _counts(tally)
    if run["state"] == "running":
        return f"running: {counts}"
    if run["state"] in ("failed", "aborted"):
        return f"{run['state']}: {error or 'unknown reason'}; {counts}"
    if run["mode"] == "draft":
        return f"{run['state']}: the CDP took a draft, {counts}; look at it in the Data Manager before a live run"
    again = "; safe to run again" if run["state"] == "partial" and run["kind"] != "interaction" else ""
    return f"{run['state']}: {counts}{again}"


def _counts(tally: Tally) -> str:
    parts = [f"{tally.accepted:,} of {tally.sent:,} rows accepted" if tally.sent else "nothing sent"]
    for number, words in (
        (tally.unchanged, "unchanged"),
        (tally.suppressed, "withheld (no consent to third_party_sharing, or a profile that is no more)"),
        (tally.invalid, "invalid"),
        (tally.refused, "refused by the CDP"),
        (tally.unknown, "of unknown outcome"),
    ):
        if number:
            parts.append(f"{number:,} {words}")
    return ", ".join(parts)


def _batch(row: RowMapping) -> dict[str, Any]:
    names = ("number", "state", "rows", "bytes", "accepted", "refused", "unknown")
    times = {name: None if row[name] is None else format_ms(row[name]) for name in ("sent_at", "resolved_at")}
    return {name: row[name] for name in names} | times


def _stated(row: RowMapping) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value not in (None, "")}
