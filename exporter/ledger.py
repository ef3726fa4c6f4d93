"""The export ledger's tables: what was sent when, to which stream, and what became of it. Times are milliseconds UTC.

Rows of one workflow have one writer: the holder of its lease (run.py), which every transaction begins with.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text

from exporter.tables import METADATA, Number, Word

# One run, or a tick that was skipped. `workflow` is the name in the settings, `workflow_id` outlives edits of it.
# `tally` is the JSON of its counts, `refs` what resuming needs to tell (cursors before and after).
RUN: Final = Table(
    "export_run",
    METADATA,
    Column("id", Word, primary_key=True),
    Column("workflow", Word, nullable=False),
    Column("workflow_id", Word, nullable=False),
    Column("stream", Text, nullable=False),
    Column("mode", Word, nullable=False),
    Column("scope", Word, nullable=False),
    Column("tick", BigInteger),
    Column("state", Word, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("heartbeat_at", BigInteger, nullable=False),
    Column("tally", Text, nullable=False),
    Column("error", Text),
    Column("origin", Text),
    Column("cursor_before", Text),
    Column("cursor_after", Text),
)
Index("export_run_started", RUN.c.started_at, RUN.c.id)
Index("export_run_workflow", RUN.c.workflow, RUN.c.started_at)

# One batch, written before it is sent and resolved after: `sending` after a crash means an unknown outcome.
BATCH: Final = Table(
    "export_batch",
    METADATA,
    Column("run_id", Word, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("workflow_id", Word, nullable=False),
    Column("state", Word, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("accepted", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("unknown", Integer, nullable=False),
    Column("sent_at", BigInteger, nullable=False),
    Column("resolved_at", BigInteger),
    Column("position", Text, nullable=False),
)
Index("export_batch_state", BATCH.c.workflow_id, BATCH.c.state)

# What the stream holds of each key: an unchanged item is not sent again, an interaction never twice.
ROW: Final = Table(
    "export_row",
    METADATA,
    Column("workflow_id", Word, primary_key=True),
    Column("key", LargeBinary, primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("run_id", Word, nullable=False),
    Column("sent_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
Index("export_row_sent", ROW.c.sent_at)

# Rows that did not go through, at most some hundreds a run, without their content.
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

# Where the next live run goes on. `high_water`: items changed before it have been sent. `position`: the JSON of a
# pass that has not ended. `draft`: fingerprint of the last draft the CDP accepted.
CHECKPOINT: Final = Table(
    "export_checkpoint",
    METADATA,
    Column("workflow_id", Word, primary_key=True),
    Column("high_water", BigInteger),
    Column("full_at", BigInteger),
    Column("fingerprint", Text),
    Column("draft", Text),
    Column("position", Text),
)

# The ticks of each workflow that somebody took: each at most once, however many processes schedule.
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
