"""The first tables: positions, traces, counts, members, identity facts, profiles, sessions, outbox, leases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

WORD = sa.Text().with_variant(sa.TEXT(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SHARDS = 16


def upgrade() -> None:
    op.create_table(
        "alias",
        sa.Column("anon", WORD, nullable=False),
        sa.Column("owner", WORD, nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source", WORD, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", WORD, nullable=False),
        sa.PrimaryKeyConstraint("anon", "owner", "at", "source", "seq", "event_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("alias_owner", "alias", ["owner"], unique=False)
    op.create_table(
        "claim",
        sa.Column("identifier", WORD, nullable=False),
        sa.Column("owner", WORD, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("source", WORD, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("event_id", WORD, nullable=False),
        sa.PrimaryKeyConstraint("identifier", "owner"),
        sqlite_with_rowid=False,
    )
    op.create_index("claim_owner", "claim", ["owner"], unique=False)
    op.create_table(
        "counts",
        sa.Column("minute", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source", WORD, nullable=False),
        sa.Column("status", WORD, nullable=False),
        sa.Column("topic", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("minute", "source", "status", "topic", "partition"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "dirty",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("dirty_shard", "dirty", ["shard", "number"], unique=False)
    op.create_table(
        "lease",
        sa.Column("name", WORD, nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "link",
        sa.Column("identifier", WORD, nullable=False),
        sa.Column("vid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("identifier", "vid"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "outbox",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=True),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "position",
        sa.Column("topic", WORD, nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("next", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "profile",
        sa.Column("id", WORD, nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("value", WORD, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("profile_changed", "profile", ["changed_at", "id"], unique=False)
    op.create_table(
        "sequence",
        sa.Column("name", WORD, nullable=False),
        sa.Column("next", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "session",
        sa.Column("id", WORD, nullable=False),
        sa.Column("profile_id", WORD, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.BigInteger(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", "profile_id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "session_due",
        "session",
        ["due"],
        unique=False,
        sqlite_where=sa.text("due IS NOT NULL"),
        postgresql_where=sa.text("due IS NOT NULL"),
    )
    op.create_index("session_profile", "session", ["profile_id", "start"], unique=False)
    op.create_table(
        "shard",
        sa.Column("number", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "timeline",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("vid", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("timeline_vid", "timeline", ["vid"], unique=False)
    op.create_table(
        "trace",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("id_hash", sa.BigInteger(), nullable=False),
        sa.Column("key_hash", sa.BigInteger(), nullable=False),
        sa.Column("seen", sa.Boolean(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("topic", sa.SmallInteger(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("vid", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index(
        "trace_other",
        "trace",
        ["id_hash"],
        unique=False,
        sqlite_where=sa.text("NOT seen"),
        postgresql_where=sa.text("NOT seen"),
    )
    op.create_index(
        "trace_seen",
        "trace",
        ["id_hash", "key_hash"],
        unique=True,
        sqlite_where=sa.text("seen"),
        postgresql_where=sa.text("seen"),
    )
    op.bulk_insert(sa.table("shard", sa.column("number", sa.SmallInteger)), [{"number": n} for n in range(SHARDS)])
    op.bulk_insert(
        sa.table("sequence", sa.column("name", sa.Text), sa.column("next", sa.BigInteger)),
        [{"name": "outbox", "next": 1}],
    )
    if op.get_bind().dialect.name == "postgresql":
        # Rows that are written again and again leave room for their next version beside them.
        for table in ("profile", "session", "claim", "counts", "position"):
            op.execute(f"ALTER TABLE {table} SET (fillfactor = 70)")
