"""Which events of each page load have arrived."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

WORD = sa.Text().with_variant(sa.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "page_load",
        sa.Column("load", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("block", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("source", WORD, nullable=False),
        sa.Column("browser", WORD, nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("bits", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("load", "block"),
        sqlite_with_rowid=False,
    )
    op.create_index("page_load_first", "page_load", ["first"])


def downgrade() -> None:
    op.drop_table("page_load")
