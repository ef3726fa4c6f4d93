"""The event log on Apache Kafka: the producer.

Each partition has an ordered queue of its own, and at most one of its batches is in aiokafka's hands at a time: what
arrives while that one is on its way forms the next. The broker's round trip is the only wait (group commit), and at
most one batch a partition is ever of unknown outcome.

What Kafka has not acknowledged within the append deadline is written to the spool, that batch first and the queue
behind it, and the partition's further appends follow it there until all of it has been sent, in order. With a spool an
append is therefore durable within the deadline whatever Kafka does; without one it is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

import orjson
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)

from eventlog.errors import NoSpace, Unavailable
from eventlog.kafka_client import BATCH_BYTES, close_producer, connect
from eventlog.known_partitions import known_partitions, note_partitions
from eventlog.lane import MOST_RECORDS, Batch, Lane, Waiter, add, end_sending, fill
from eventlog.leftovers import bring_leftovers
from eventlog.log import Backlog, Outgoing, Partition, Position, partition_of, refuse_too_large
from eventlog.loud_task import loud_task
from eventlog.read_back import UNSURE_BYTES, UNSURE_RECORDS, Unsure, find_stored
from eventlog.refused import refuse, undeliverable
from eventlog.settings import LogSettings
from eventlog.slot import Slot
from eventlog.spool import NoSpool, Spool, Spooled, new_spool
from eventlog.topics import REJECTED

_log = structlog.get_logger(__name__)

_RECONNECT_FIRST, _RECONNECT_MOST = 1.0, 10.0
# How long our own disk may take, on top of the append deadline.
_DISK_SECONDS: Final = 1.0
_AGAIN_SECONDS: Final = 1.0
# What Kafka says of a record it will never take.
_OF_A_RECORD: Final = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidTimestampError)


class KafkaProducer:
    """`Producer` on Kafka: idempotent, acks=all, own deadlines. With a slot it has a spool there."""

    def __init__(self, settings: LogSettings, slot: Slot | None = None) -> None:
        self._settings = settings
        self._slot = slot
        self._spool: Spool = NoSpool()
        # Of every topic its partitions, by number.
        self._lanes: dict[str, list[Lane]] = {}
        self._producer: AIOKafkaProducer | None = None
        self._replacing: asyncio.Task[None] | None = None
        self._bringing: asyncio.Task[None] | None = None
        self._problem: str | None = "not started"
        self._stopping = False
        # How long to wait before the next try; grows until something is acknowledged.
        self._wait = 0.0

    async def start(self) -> None:
        if self._slot:
            self._spool = new_spool(self._slot.folder, self._settings.spool)
        try:
            self._producer = await self._connect()
            self._problem = None
        except Unavailable as error:
            counts = known_partitions(self._settings.data) if self._slot else {}
            if not counts:
                await self._spool.close()
                raise
            self._use(counts)
            self._replace(str(error))
        if self._slot:
            self._bringing = loud_task(bring_leftovers(self._settings, self._slot, self))

    async def append(self, records: Sequence[Outgoing]) -> list[Position | None]:
        refuse_too_large(records)
        if self._stopping or not self._lanes:
            raise Unavailable(f"Kafka: {self._problem}")
        if not records:
            return []
        on = [self._lane(record) for record in records]
        loop = asyncio.get_running_loop()
        waiter = Waiter(loop.create_future(), len(records))
        lanes = self._enqueue(records, on, waiter)
        timer = loop.call_later(self._settings.append_deadline, self._overdue, waiter, lanes)
        try:
            await waiter.future
        finally:
            timer.cancel()
        return waiter.positions

    @property
    def is_direct(self) -> bool:
        """Whether Kafka takes what is appended: nothing goes to the spool."""
        return self._producer is not None and not any(lane.spooling for lane in self._all_lanes())

    def unready(self) -> str | None:
        return self._problem or self._spool.unready(sum(lane.spooling for lane in self._all_lanes()))

    def backlog(self) -> Backlog:
        return self._spool.backlog()

    async def stop(self) -> None:
        self._stopping, self._problem = True, "stopping"
        # Every append is answered by its deadline; what waits longer than that goes to the spool.
        patience = min(self._settings.append_deadline, self._settings.drain_time / 4)
        sending = [lane.sending for lane in self._all_lanes() if lane.sending]
        if sending:
            await asyncio.wait(sending, timeout=patience)
        for task in (self._bringing, self._replacing):
            if task:
                task.cancel()
                await asyncio.wait({task})
        for lane in self._all_lanes():
            self._to_spool(lane)
        producer, self._producer = self._producer, None
        if producer:
            await close_producer(producer, patience)
        await end_sending(self._all_lanes())
        await self._spool.close()
        self._problem = "stopped"

    def _enqueue(self, records: Sequence[Outgoing], on: Sequence[Lane], waiter: Waiter) -> set[Lane]:
        spooled: dict[Lane, list[Outgoing]] = {}
        for place, (record, lane) in enumerate(zip(records, on, strict=True)):
            if lane.spooling or self._producer is None:
                spooled.setdefault(lane, []).append(record)
                continue
            batch = lane.queue[-1] if lane.queue else None
            if batch is None or not add(batch, record):
                batch = Batch(self._producer.create_batch())
                lane.queue.append(batch)
                add(batch, record)
            if waiter not in batch.waiters:
                batch.waiters.add(waiter)
                waiter.pending += 1
            batch.places.append((waiter, place))
        lanes = set(on)
        for lane in lanes:
            if lane in spooled:
                part = Batch(None)
                part.records, part.waiters = spooled[lane], {waiter}
                waiter.pending += 1
                self._write(lane, [part])
            elif lane.sending is None and self._producer is not None:
                lane.sending = loud_task(self._send(lane, self._producer))
        return lanes

    def _lane(self, record: Outgoing) -> Lane:
        lanes = self._lanes.get(record.topic)
        if lanes is None:
            raise Unavailable(f"Kafka: topic {record.topic} is missing; run `trackway topics --apply`")
        return lanes[partition_of(record.key, len(lanes))]

    def _all_lanes(self) -> list[Lane]:
        return [lane for lanes in self._lanes.values() for lane in lanes]

    async def _send(self, lane: Lane, producer: AIOKafkaProducer) -> None:
        """Send what waits, one batch at a time, until nothing does."""
        try:
            while producer is self._producer:
                if lane.spooling:
                    if not await self._send_spooled(lane, producer):
                        return
                elif not lane.queue:
                    return
                else:
                    batch = lane.queue.popleft()
                    # Without a waiter, its senders were told to try again.
                    if batch.is_awaited() and not await self._send_batch(lane, producer, batch):
                        return
        finally:
            lane.sending = None

    async def _send_batch(self, lane: Lane, producer: AIOKafkaProducer, batch: Batch) -> bool:
        lane.batch = batch
        try:
            base = await self._hand_over(lane, producer, batch)
            if base is None:
                return False
            acked = base + len(batch.records)
            batch.acknowledged(lane.partition, base)
            ids: Sequence[int] = ()
            if batch.spooled:
                with contextlib.suppress(NoSpace):
                    ids = await batch.spooled
            if ids:
                await self._forget(lane, ids, acked)
            lane.acked, lane.unsure = acked, False
        finally:
            lane.batch = None
        return True

    async def _send_spooled(self, lane: Lane, producer: AIOKafkaProducer) -> bool:
        """Send the oldest records of the spool; with none left the lane is direct again."""
        if not lane.spooled:
            lane.spooling = False
            return True
        try:
            rows = await self._spool.oldest(lane.partition, BATCH_BYTES, lane.most)
        except NoSpace:
            await asyncio.sleep(_AGAIN_SECONDS)
            return True
        if not rows:
            return True
        builder = producer.create_batch()
        rows = rows[: fill(builder, [row.record for row in rows])]
        batch = lane.batch = Batch(builder)
        try:
            base = await self._hand_over(lane, producer, batch, rows)
            if base is None:
                return False
            # Until the spool has taken note, they are of unknown outcome to whoever comes after us.
            await self._forget(lane, [row.id for row in rows], base + len(rows))
            lane.unsure = False
        finally:
            lane.batch = None
        lane.most = min(MOST_RECORDS, lane.most * 2)
        return True

    async def _hand_over(
        self, lane: Lane, producer: AIOKafkaProducer, batch: Batch, rows: Sequence[Spooled] = ()
    ) -> int | None:
        """The offset Kafka stored the batch at; None when it failed, and the producer is to be replaced."""
        assert batch.builder is not None
        batch.builder.close()
        count = len(rows) or len(batch.records)
        try:
            future = await producer.send_batch(batch.builder, lane.partition.topic, partition=lane.partition.number)
            base = int((await future).offset)
        except KafkaError as error:
            if isinstance(error, _OF_A_RECORD):
                lane.most = max(1, count // 2)
                if len(rows) == 1:
                    await self._refuse(lane, rows[0], type(error).__name__)
            else:
                self._back_off()
            if producer is self._producer:
                self._replace(f"{type(error).__name__} on {lane.partition.topic}")
            return None
        self._wait = 0.0
        return base

    async def _forget(self, lane: Lane, ids: Sequence[int], acked: int | None) -> None:
        """The records are where they should be; a full disk may need a while to take note."""
        while True:
            try:
                await self._spool.delivered(lane.partition, ids, acked)
            except NoSpace:
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                lane.spooled -= len(ids)
                lane.acked = acked
                return

    async def _refuse(self, lane: Lane, row: Spooled, why: str) -> None:
        """Put a record aside that Kafka will never take, and have the rejected topic tell of it."""
        assert self._slot is not None
        _log.error("record_refused", topic=lane.partition.topic, partition=lane.partition.number, reason=why)
        try:
            refuse(self._slot.folder, row.record, why)
        except OSError:
            # The disk is full: it stays in the spool and is tried again.
            self._back_off()
            return
        rejected = REJECTED.full_name(self._settings.topic_prefix)
        if row.record.topic != rejected:
            outcome = orjson.dumps(undeliverable(row.record, why))
            told = Batch(None)
            headers = (("content-type", b"application/json"),)
            told.records = [Outgoing(rejected, row.record.key, outcome, headers, row.record.timestamp)]
            other = self._lane(told.records[0])
            self._to_spool(other)
            self._write(other, [told])
        await self._forget(lane, [row.id], lane.acked)

    def _back_off(self) -> None:
        self._wait = min(max(self._wait * 2, _RECONNECT_FIRST), _RECONNECT_MOST)

    def _overdue(self, waiter: Waiter, lanes: Iterable[Lane]) -> None:
        for lane in lanes:
            if lane.waited_for_by(waiter):
                self._to_spool(lane)
        late = Unavailable("neither Kafka nor the spool's disk answered in time")
        asyncio.get_running_loop().call_later(_DISK_SECONDS, waiter.fail, late)

    def _to_spool(self, lane: Lane) -> None:
        """From now on this partition's records go to the spool, those on their way and those that wait first."""
        if lane.spooling:
            return
        lane.spooling = True
        batches = lane.take_all()
        if batches:
            self._write(lane, batches)

    def _write(self, lane: Lane, batches: Sequence[Batch]) -> None:
        count = sum(len(batch.records) for batch in batches)
        try:
            written = self._spool.write(lane.partition, lane.acked, [one for batch in batches for one in batch.records])
        except (NoSpace, Unavailable) as error:
            for batch in batches:
                batch.fail(error)
            return
        lane.spooled += count
        if lane.batch is not None and batches[0] is lane.batch:
            lane.batch.spooled = written
        written.add_done_callback(partial(self._written, lane, batches, count))

    def _written(self, lane: Lane, batches: Sequence[Batch], count: int, written: asyncio.Future[range]) -> None:
        error = None if written.cancelled() else written.exception()
        if error is not None:
            lane.spooled -= count
        for batch in batches:
            if isinstance(error, Exception):
                batch.fail(error)
            else:
                batch.parts_done()

    def _replace(self, why: str) -> None:
        # After a failed future aiokafka's sequence numbers have a hole: that producer gets nothing through any more.
        if self._replacing is None and not self._stopping:
            self._problem = why
            _log.warning("kafka_producer_replaced", reason=why)
            for lane in self._all_lanes():
                lane.unsure = lane.unsure or lane.batch is not None
                self._to_spool(lane)
            self._replacing = loud_task(self._reconnect())

    async def _reconnect(self) -> None:
        old, self._producer = self._producer, None
        if old:
            await close_producer(old, self._settings.append_deadline)
        await end_sending(self._all_lanes())
        while True:
            await asyncio.sleep(self._wait)
            try:
                producer = await self._connect()
                try:
                    await self._read_back()
                except BaseException:
                    await close_producer(producer, self._settings.append_deadline)
                    raise
            except (Unavailable, NoSpace) as error:
                self._problem = str(error)
                self._back_off()
            else:
                break
        self._producer, self._problem, self._replacing = producer, None, None
        for lane in self._all_lanes():
            if lane.spooling:
                lane.sending = loud_task(self._send(lane, producer))

    async def _read_back(self) -> None:
        """Find out what of the spool is in the topic already."""
        unsure = [lane for lane in self._all_lanes() if lane.unsure and lane.spooled]
        asked = {
            lane.partition: Unsure(
                lane.acked, await self._spool.oldest(lane.partition, UNSURE_BYTES, UNSURE_RECORDS)
            )
            for lane in unsure
        }  # fmt: skip
        found = await find_stored(self._settings, {one: of for one, of in asked.items() if of.spooled})
        for lane in unsure:
            await self._forget(lane, found.get(lane.partition, []), lane.acked)

    async def _connect(self) -> AIOKafkaProducer:
        producer, counts = await connect(self._settings)
        if self._slot:
            note_partitions(self._settings.data, counts)
        self._use(counts)
        return producer

    def _use(self, counts: dict[str, int]) -> None:
        """Have a lane for each partition; those there are keep what they hold."""
        for name, count in counts.items():
            lanes = self._lanes.setdefault(name, [])
            lanes += [Lane(Partition(name, number)) for number in range(len(lanes), count)]
            for lane in lanes:
                # While there is no producer nothing goes directly.
                lane.spooling = lane.spooling or self._replacing is not None
