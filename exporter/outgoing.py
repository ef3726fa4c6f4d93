"""What the store sends to the log: put into the outbox by the transaction that it follows from, sent by outbox.py."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from eventlog.log import Outgoing
from eventlog.topics import PROFILES, REJECTED, SESSIONS
from exporter.fold import Folded, poison_outcome
from exporter.tables import OUTBOX

_JSON = ("content-type", b"application/json")
# Records of one row, and the bytes of their values: it is sent by one append, within the log's deadline.
_MOST = 500
_MOST_BYTES = 1024 * 1024


async def put_outbox(connection: AsyncConnection, records: Sequence[Outgoing]) -> None:
    """Have the records sent once this transaction is committed."""
    rows = [{"size": len(some), "body": encode(some)} for some in _rows_of(records)]
    if rows:
        await connection.execute(insert(OUTBOX), rows)


def _rows_of(records: Sequence[Outgoing]) -> Iterator[list[Outgoing]]:
    row: list[Outgoing] = []
    size = 0
    for record in records:
        length = len(record.value or b"")
        if row and (len(row) == _MOST or size + length > _MOST_BYTES):
            yield row
            row, size = [], 0
        row.append(record)
        size += length
    if row:
        yield row


def encode(records: Sequence[Outgoing]) -> bytes:
    """Records as one compressed row."""
    rows = [
        (
            one.topic, one.key.decode(), None if one.value is None else one.value.decode(), one.timestamp,
            [(name, value.decode()) for name, value in one.headers],
        )
        for one in records
    ]  # fmt: skip
    return zlib.compress(orjson.dumps(rows), 1)


def decode(body: bytes, first: int) -> list[Outgoing]:
    """The records of a row; `tw_seq` of the first is `first`: the same number is the same record, sent again."""
    records = []
    for at, (topic, key, value, timestamp, *more) in enumerate(orjson.loads(zlib.decompress(body))):
        # A row from before an upgrade has no headers.
        headers = tuple((name, text.encode()) for name, text in more[0]) if more and more[0] else (_JSON,)
        number = ("tw_seq", str(first + at).encode())
        records.append(
            Outgoing(topic, key.encode(), None if value is None else value.encode(), (*headers, number), timestamp)
        )
    return records


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
