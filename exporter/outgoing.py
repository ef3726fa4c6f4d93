"""What the store sends to the log: put into the outbox by the transaction that it follows from, sent by outbox.py."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from eventlog.log import Outgoing
from eventlog.topics import PROFILES, REJECTED, SESSIONS
from exporter.fold import Folded, poison_outcome
from exporter.tables import OUTBOX

_JSON = ("content-type", b"application/json")
# Records of one row: it is sent by one append.
_MOST = 500


async def put_outbox(connection: AsyncConnection, records: Sequence[Outgoing]) -> None:
    """Have the records sent once this transaction is committed."""
    rows = [
        {"size": len(some), "body": encode(some)}
        for some in (records[at : at + _MOST] for at in range(0, len(records), _MOST))
    ]
    if rows:
        await connection.execute(insert(OUTBOX), rows)


def encode(records: Sequence[Outgoing]) -> bytes:
    """Records as one compressed row."""
    rows = [
        (one.topic, one.key.decode(), None if one.value is None else one.value.decode(), one.timestamp)
        for one in records
    ]
    return zlib.compress(orjson.dumps(rows), 1)


def decode(body: bytes, first: int) -> list[Outgoing]:
    """The records of a row; `tw_seq` of the first is `first`: the same number is the same record, sent again."""
    return [
        Outgoing(
            topic,
            key.encode(),
            None if value is None else value.encode(),
            (_JSON, ("tw_seq", str(first + at).encode())),
            timestamp,
        )
        for at, (topic, key, value, timestamp) in enumerate(orjson.loads(zlib.decompress(body)))
    ]


def rejected_record(folded: Folded, topic_prefix: str) -> Outgoing:
    """What the rejected topic gets of a record that cannot be folded."""
    value = orjson.dumps(poison_outcome(folded))
    key = folded.record.key.decode("ascii", "replace").encode("ascii", "replace") or folded.source.encode()
    return Outgoing(topic_prefix + REJECTED.name, key, value, (), folded.record.timestamp)


def profile_record(body: dict[str, Any] | None, profile_id: str, at: int, topic_prefix: str) -> Outgoing:
    """A profile as it is now; None: it is no more."""
    value = None if body is None else orjson.dumps(body)
    return Outgoing(topic_prefix + PROFILES.name, profile_id.encode(), value, (), at)


def session_record(body: dict[str, Any], at: int, topic_prefix: str) -> Outgoing:
    """A session as it is now, under its profile's id."""
    return Outgoing(topic_prefix + SESSIONS.name, str(body["profile_id"]).encode(), orjson.dumps(body), (), at)
