"""Between the lanes and the spool: what goes to our own disk, what comes back from it, what is put aside for good."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

import orjson
import structlog

from eventlog.errors import NoSpace, Unavailable
from eventlog.kafka_client import BATCH_BYTES
from eventlog.lane import Batch, Lane
from eventlog.log import Outgoing
from eventlog.read_back import UNSURE_BYTES, UNSURE_RECORDS, Unsure, find_stored
from eventlog.refused import refuse, undeliverable
from eventlog.settings import LogSettings
from eventlog.slot import Slot
from eventlog.spool import Spool, Spooled
from eventlog.topics import REJECTED

_log = structlog.get_logger(__name__)

# How soon a full disk is tried again.
_AGAIN_SECONDS: Final = 1.0
_JSON: Final = (("content-type", b"application/json"),)


class Overflow:
    """A producer's spool, as its lanes use it. Every change of `Lane.spooled` is made here."""

    def __init__(self, settings: LogSettings, spool: Spool, slot: Slot | None = None) -> None:
        self._settings = settings
        self._slot = slot
        self.spool = spool

    def write(self, lane: Lane, batches: Sequence[Batch]) -> None:
        """Write the batches' records; who waits for them is told when they are durable, or that there is no room."""
        records = [one for batch in batches for one in batch.records]
        try:
            written = self.spool.write(lane.partition, lane.acked, records)
        except (NoSpace, Unavailable) as error:
            for batch in batches:
                batch.fail(error)
            return
        lane.spooled += len(records)
        if lane.batch is not None and batches[0] is lane.batch:
            lane.batch.spooled = written
        written.add_done_callback(partial(_written, lane, batches))

    async def oldest(self, lane: Lane) -> list[Spooled]:
        """The records to send next, as many as make a batch."""
        while True:
            try:
                return await self.spool.oldest(lane.partition, BATCH_BYTES, lane.most)
            except NoSpace:
                await asyncio.sleep(_AGAIN_SECONDS)

    async def forget(self, lane: Lane, ids: Sequence[int], acked: int | None) -> None:
        """The records are where they should be; a full disk may need a while to take note."""
        while True:
            try:
                await self.spool.delivered(lane.partition, ids, acked)
            except NoSpace:
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                lane.spooled -= len(ids)
                lane.acked = acked
                return

    def set_aside(self, row: Spooled, why: str) -> Outgoing | None:
        """Keep a record that Kafka will never take; what the rejected topic is to tell of it. None: the disk is full,
        and it stays in the spool."""
        assert self._slot is not None
        _log.error("record_refused", topic=row.record.topic, reason=why)
        try:
            refuse(self._slot.folder, row.record, why)
        except OSError:
            return None
        topic = REJECTED.full_name(self._settings.topic_prefix)
        body = orjson.dumps(undeliverable(row.record, why))
        return Outgoing(topic, row.record.key, body, _JSON, row.record.timestamp)

    async def read_back(self, lanes: Sequence[Lane]) -> None:
        """Forget what of the spool is in the topic already. Raises Unavailable."""
        unsure = [lane for lane in lanes if lane.unsure and lane.spooled]
        asked = {
            lane.partition: Unsure(lane.acked, await self.spool.oldest(lane.partition, UNSURE_BYTES, UNSURE_RECORDS))
            for lane in unsure
        }
        found = await find_stored(self._settings, {one: of for one, of in asked.items() if of.spooled})
        for lane in unsure:
            await self.forget(lane, found.get(lane.partition, []), lane.acked)


def _written(lane: Lane, batches: Sequence[Batch], written: asyncio.Future[range]) -> None:
    error = None if written.cancelled() else written.exception()
    if error is not None:
        lane.spooled -= sum(len(batch.records) for batch in batches)
    for batch in batches:
        if isinstance(error, Exception):
            batch.fail(error)
        else:
            batch.parts_done()
