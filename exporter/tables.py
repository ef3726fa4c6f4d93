"""The store's tables. Times are milliseconds UTC.

Each row has one writer: what several processes add to (timeline, link, alias, dirty, trace, outbox) is only ever
inserted, `claim` only ever moves forward and `page_load` only ever gains, counts belong to the owner of their
partition, profiles and sessions to the holder of their root's shard.
"""

from __future__ import annotations

from typing import Final, Literal

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects import postgresql

METADATA: Final = MetaData()

# Strings are compared by their bytes, whatever the database's locale.
Word: Final = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
Number: Final = BigInteger().with_variant(Integer, "sqlite")

# The next offset to fold: moved in the transaction of the batch, and the fence against a late owner. `first` is the
# first that was folded: what follows from the log follows from all of it since then.
POSITION: Final = Table(
    "position",
    METADATA,
    Column("topic", Word, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next", BigInteger, nullable=False),
    Column("first", BigInteger, nullable=False, server_default=text("0")),
    sqlite_with_rowid=False,
)

# What became of each record. The rows with `seen` are the identities (source, id) that were accepted: a second record
# of one is a twin. `id_hash` is of the id alone (so that it can be asked for), `key_hash` of source and id: 128 bits.
# `topic`: 0 events, 1 rejected. `vid` is the visitor.
TRACE: Final = Table(
    "trace",
    METADATA,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("id_hash", BigInteger, nullable=False),
    Column("key_hash", BigInteger, nullable=False),
    Column("seen", Boolean, nullable=False),
    Column("source", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("topic", SmallInteger, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("vid", BigInteger),
)
Index(
    "trace_seen",
    TRACE.c.id_hash,
    TRACE.c.key_hash,
    unique=True,
    sqlite_where=text("seen"),
    postgresql_where=text("seen"),
)
Index("trace_other", TRACE.c.id_hash, sqlite_where=text("NOT seen"), postgresql_where=text("NOT seen"))

# Records by minute of received_at, source and what became of them; by partition too, so that each row has one writer.
COUNTS: Final = Table(
    "counts",
    METADATA,
    Column("minute", BigInteger, primary_key=True, autoincrement=False),
    Column("source", Word, primary_key=True),
    Column("status", Word, primary_key=True),
    Column("topic", SmallInteger, primary_key=True, autoincrement=False),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("n", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Which events of a page load have arrived, as our tracker numbers them: bit n of `bits` is number 63 * block + n + 1.
# `load` is a hash of source and page id. `first` is when the earliest of them was received, `browser` the first in the
# alphabet of those stated. Whoever adds to a row unites: the events of a page load may stand in several partitions.
PAGE_LOAD: Final = Table(
    "page_load",
    METADATA,
    Column("load", BigInteger, primary_key=True, autoincrement=False),
    Column("block", Integer, primary_key=True, autoincrement=False),
    Column("source", Word, nullable=False),
    Column("browser", Word, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("bits", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
Index("page_load_first", PAGE_LOAD.c.first)

# A batch's members of one visitor, as one chunk. `vid` is a hash of the visitor's key; members name their visitor
# themselves, so two keys under one number do no harm.
TIMELINE: Final = Table(
    "timeline",
    METADATA,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("vid", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
Index("timeline_vid", TIMELINE.c.vid)

# Which visitors named an identifier (`user:4711`): those that may matter to its profile.
LINK: Final = Table(
    "link",
    METADATA,
    Column("identifier", Word, primary_key=True),
    Column("vid", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

# An event named e-mail or ruid `identifier` together with user `owner`: the latest such event of each pair.
CLAIM: Final = Table(
    "claim",
    METADATA,
    Column("identifier", Word, primary_key=True),
    Column("owner", Word, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("source", Word, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("event_id", Word, nullable=False),
    sqlite_with_rowid=False,
)
Index("claim_owner", CLAIM.c.owner)

# An alias said that anonymous id `anon` is user `owner`'s: every such event.
ALIAS: Final = Table(
    "alias",
    METADATA,
    Column("anon", Word, primary_key=True),
    Column("owner", Word, primary_key=True),
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    Column("source", Word, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("event_id", Word, primary_key=True),
    sqlite_with_rowid=False,
)
Index("alias_owner", ALIAS.c.owner)

# Whose profile has to be made anew: a JSON array of marks (marks.py), all of one shard.
DIRTY: Final = Table(
    "dirty",
    METADATA,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("shard", SmallInteger, nullable=False),
    Column("body", Text, nullable=False),
)
Index("dirty_shard", DIRTY.c.shard, DIRTY.c.number)

# What aggregation could not do and went on without: a mark (its kind and value) whose profiles could not be made, or
# `partition` topic/number, which was stopped. `reason` names no person.
SET_ASIDE: Final = Table(
    "set_aside",
    METADATA,
    Column("kind", Word, primary_key=True),
    Column("value", Word, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# One row a shard, locked by the transaction that makes its profiles.
SHARD: Final = Table("shard", METADATA, Column("number", SmallInteger, primary_key=True, autoincrement=False))

# `body` is the profile's JSON without its revision; NULL once the root owns nothing any more (the revision goes on
# should it come back). `digest` is of the body.
PROFILE: Final = Table(
    "profile",
    METADATA,
    Column("id", Word, primary_key=True),
    Column("kind", Word, nullable=False),
    Column("value", Word, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("digest", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("body", Text),
)
Index("profile_changed", PROFILE.c.changed_at, PROFILE.c.id)

# `body` as for profiles; NULL once this profile has the session no more: it is another's now, or `deleted`. Its row
# stays, because revisions of a session grow over all its profiles. `due` is when the clock alone changes the state;
# NULL when it will not.
SESSION: Final = Table(
    "session",
    METADATA,
    Column("id", Word, primary_key=True),
    Column("profile_id", Word, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("digest", BigInteger, nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("due", BigInteger),
    Column("body", Text),
    sqlite_with_rowid=False,
)
Index("session_profile", SESSION.c.profile_id, SESSION.c.start)
Index("session_due", SESSION.c.due, sqlite_where=text("due IS NOT NULL"), postgresql_where=text("due IS NOT NULL"))

# What is to be sent, `size` records in one compressed row. `first` is the number of its first record, given by the
# holder of the lease `outbox` once the row is committed: the same number is the same record.
OUTBOX: Final = Table(
    "outbox",
    METADATA,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("first", BigInteger),
    Column("size", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

# Numbers that only grow: `outbox` is the number of the next record to be sent.
SEQUENCE: Final = Table(
    "sequence",
    METADATA,
    Column("name", Word, primary_key=True),
    Column("next", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Who does what only one process may do. `token` grows with every new holder.
LEASE: Final = Table(
    "lease",
    METADATA,
    Column("name", Word, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Rejected and poison records, by their place in the rejected topic, that were replayed: into the events topic under the
# identity (source, event_id). `received_at` tells a topic that was made anew from the one before it.
REPLAY: Final = Table(
    "replay",
    METADATA,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    Column("received_at", BigInteger, primary_key=True, autoincrement=False),
    Column("id_hash", BigInteger, nullable=False),
    Column("key_hash", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
Index("replay_identity", REPLAY.c.id_hash, REPLAY.c.key_hash)

# Whether a table's rows follow from the log, so that a rebuild makes them anew, or are kept as they are. The tables of
# the exports are declared in ledger.py.
ORIGINS: Final[dict[str, Literal["derived", "kept"]]] = {
    "alias": "derived",
    "claim": "derived",
    "counts": "derived",
    "dirty": "derived",
    "export_batch": "kept",
    "export_checkpoint": "kept",
    "export_column": "kept",
    "export_refused": "kept",
    "export_row": "kept",
    "export_run": "kept",
    "export_tick": "kept",
    "lease": "kept",
    "link": "derived",
    "outbox": "kept",
    "page_load": "derived",
    "position": "derived",
    "profile": "derived",
    "replay": "kept",
    "sequence": "kept",
    "session": "derived",
    "set_aside": "derived",
    "shard": "kept",
    "timeline": "derived",
    "trace": "derived",
}
