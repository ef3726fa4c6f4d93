"""Which rejected records were replayed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "replay",
        sa.Column("partition", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("offset", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("id_hash", sa.BigInteger(), nullable=False),
        sa.Column("key_hash", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("partition", "offset", "received_at"),
        sqlite_with_rowid=False,
    )
    op.create_index("replay_identity", "replay", ["id_hash", "key_hash"])


def downgrade() -> None:
    op.drop_table("replay")
