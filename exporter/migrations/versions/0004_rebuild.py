"""Where each partition's fold began, and what aggregation has set aside."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

WORD = sa.Text().with_variant(sa.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    # Of partitions folded before this was kept the beginning is taken to be the log's.
    op.add_column("position", sa.Column("first", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
    op.create_table(
        "set_aside",
        sa.Column("kind", WORD, nullable=False),
        sa.Column("value", WORD, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "value"),
        sqlite_with_rowid=False,
    )
