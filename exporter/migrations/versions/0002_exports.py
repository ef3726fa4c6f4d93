"""The export ledger: runs, batches, rows sent, columns, refused rows, checkpoints, ticks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

WORD = sa.Text().with_variant(sa.TEXT(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _create_runs()
    _create_rows()
    _create_schedule()


def _create_runs() -> None:
    op.create_table(
        "export_run",
        sa.Column("id", WORD, nullable=False),
        sa.Column("workflow", WORD, nullable=False),
        sa.Column("workflow_id", WORD, nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("mode", WORD, nullable=False),
        sa.Column("scope", WORD, nullable=False),
        sa.Column("tick", sa.BigInteger(), nullable=True),
        sa.Column("missed", sa.Integer(), nullable=False),
        sa.Column("skipped", sa.Integer(), nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("tally", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("origin", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("export_run_started", "export_run", ["started_at", "id"], unique=False)
    op.create_index("export_run_workflow", "export_run", ["workflow", "started_at"], unique=False)
    op.create_index("export_run_state", "export_run", ["workflow_id", "state"], unique=False)
    op.create_table(
        "export_batch",
        sa.Column("run_id", WORD, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("accepted", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("unknown", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=False),
        sa.Column("resolved_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", "number"),
    )


def _create_rows() -> None:
    op.create_table(
        "export_row",
        sa.Column("workflow_id", WORD, nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("run_id", WORD, nullable=False),
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workflow_id", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index("export_row_sent", "export_row", ["workflow_id", "sent_at"], unique=False)
    op.create_index("export_row_batch", "export_row", ["run_id", "batch"], unique=False)
    op.create_table(
        "export_column",
        sa.Column("workflow_id", WORD, nullable=False),
        sa.Column("name", WORD, nullable=False),
        sa.Column("type", WORD, nullable=False),
        sa.Column("run_id", WORD, nullable=False),
        sa.PrimaryKeyConstraint("workflow_id", "name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "export_refused",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("run_id", WORD, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("stage", WORD, nullable=False),
        sa.Column("code", WORD, nullable=False),
        sa.Column("column", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("export_refused_run", "export_refused", ["run_id"], unique=False)


def _create_schedule() -> None:
    op.create_table(
        "export_checkpoint",
        sa.Column("workflow_id", WORD, nullable=False),
        sa.Column("high_water", sa.BigInteger(), nullable=True),
        sa.Column("full_at", sa.BigInteger(), nullable=True),
        sa.Column("live", sa.Text(), nullable=True),
        sa.Column("draft", sa.Text(), nullable=True),
        sa.Column("position", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("workflow_id"),
    )
    op.create_table(
        "export_tick",
        sa.Column("workflow", WORD, nullable=False),
        sa.Column("tick", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("outcome", WORD, nullable=False),
        sa.Column("missed", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workflow", "tick"),
        sqlite_with_rowid=False,
    )
