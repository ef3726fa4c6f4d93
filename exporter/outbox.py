"""Sends what the store has for the log: profiles, sessions and poison records, in order, by one process at a time.

At least once: after a crash the same record may be sent again, under the same number (header `tw_seq`).
"""

from __future__ import annotations

import asyncio

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from eventlog.errors import NoSpace, RecordTooLarge, Unavailable
from eventlog.log import Outgoing, Producer
from eventlog.topics import REJECTED
from exporter.lease import Lease, LeaseLost, held, pause
from exporter.outgoing import decode
from exporter.store import Store

_log = structlog.get_logger(__name__)

_IDLE_SECONDS = 0.5
_AGAIN_SECONDS = 2.0
_ROWS = 20

_NUMBER = "SELECT number, size FROM outbox WHERE first IS NULL ORDER BY number LIMIT 1000"
_NUMBERED = f"SELECT number, first, body FROM outbox WHERE first IS NOT NULL ORDER BY first LIMIT {_ROWS}"


async def send_outbox(store: Store, producer: Producer, stop: asyncio.Event) -> None:
    """Send until `stop` is set; what is left then is sent by whoever comes next."""
    while not stop.is_set():
        try:
            async with held(store, "outbox", stop=stop) as lease:
                while lease is not None and not stop.is_set():
                    if not await send_some(store, producer, lease):
                        await pause(stop, _IDLE_SECONDS)
        except (LeaseLost, Unavailable, NoSpace, SQLAlchemyError, OSError) as error:
            _log.warning("outbox_waits", error=type(error).__name__)
            await pause(stop, _AGAIN_SECONDS)


async def send_some(store: Store, producer: Producer, lease: Lease) -> int:
    """Send the oldest rows; answers how many. Raises Unavailable, NoSpace, LeaseLost."""
    async with store.read() as connection:
        waiting = await connection.scalar(text("SELECT 1 FROM outbox LIMIT 1"))
    if waiting is None:
        return 0
    async with store.write() as connection:
        await lease.fence(connection)
        first = int(await connection.scalar(text("SELECT next FROM sequence WHERE name = 'outbox'")) or 0)
        given = []
        for number, size in await connection.execute(text(_NUMBER)):
            given.append({"number": number, "first": first})
            first += size
        if given:
            await connection.execute(text("UPDATE outbox SET first = :first WHERE number = :number"), given)
            await connection.execute(text("UPDATE sequence SET next = :next WHERE name = 'outbox'"), {"next": first})
        rows = list(await connection.execute(text(_NUMBERED)))
    for _, start, body in rows:
        await _append(producer, decode(body, start))
    async with store.write() as connection:
        await lease.fence(connection)
        await connection.execute(
            text("DELETE FROM outbox WHERE number = :number"), [{"number": number} for number, *_ in rows]
        )
    return len(rows)


async def _append(producer: Producer, records: list[Outgoing]) -> None:
    try:
        await producer.append(records)
    except RecordTooLarge:
        if len(records) > 1:
            for record in records:
                await _append(producer, [record])
        else:
            # Kept in the store, where the API gives it whole; the topic cannot carry it. Its key is one that others
            # may have made, so it is not told where it may be anything.
            topic, key = records[0].topic, records[0].key.decode("ascii", "replace")
            own = not topic.endswith(REJECTED.name)
            _log.error("record_too_large_for_its_topic", topic=topic, **({"key": key} if own else {}))
