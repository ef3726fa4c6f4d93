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
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)

from eventlog.errors import Misconfigured, NoSpace, Unavailable
from eventlog.kafka_client import close_producer, connect, partition_counts
from eventlog.known_partitions import known_partitions, note_partitions
from eventlog.lane import MOST_RECORDS, Batch, Lane, Waiter, add, end_sending, fill
from eventlog.leftovers import bring_leftovers
from eventlog.log import Backlog, Outgoing, Partition, Position, partition_of, refuse_too_large
from eventlog.loud_task import loud_task
from eventlog.overflow import Overflow
from eventlog.settings import LogSettings
from eventlog.slot import Slot
from eventlog.spool import NoSpool, Spooled, new_spool

_log = structlog.get_logger(__name__)

_RECONNECT_FIRST, _RECONNECT_MOST = 1.0, 10.0
# How long our own disk may take, on top of the append deadline.
_DISK_SECONDS: Final = 1.0
_AGAIN_SECONDS: Final = 1.0
# What Kafka says of a record it will never take.
_OF_A_RECORD: Final = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidTimestampError)

_NOT_ALLOWED: Final = (TopicAuthorizationFailedError, ClusterAuthorizationFailedError)


class KafkaProducer:
    """`Producer` on Kafka: idempotent, acks=all, own deadlines. With a slot it has a spool there."""

    def __init__(self, settings: LogSettings, slot: Slot | None = None) -> None:
        self._settings = settings
        self._slot = slot
        self._overflow = Overflow(settings, NoSpool())
        # Of every topic its partitions, by number.
        self._lanes: dict[str, list[Lane]] = {}
        self._producer: AIOKafkaProducer | None = None
        self._replacing: asyncio.Task[None] | None = None
        self._bringing: asyncio.Task[None] | None = None
        self._probing: asyncio.Task[None] | None = None
        self._problem: str | None = "not started"
        # Whether the problem is one that waiting does not mend; whether Kafka was reached since the start.
        self._misconfigured = False
        self._reached = False
        self._stopping = asyncio.Event()
        # How long to wait before the next try; grows until something is acknowledged.
        self._wait = 0.0

    async def start(self) -> None:
        if self._slot:
            self._overflow = Overflow(self._settings, new_spool(self._slot.folder, self._settings.spool), self._slot)
        try:
            self._producer = await self._connect()
            self._solved()
        except Unavailable as error:
            counts = known_partitions(self._settings.data) if self._slot else {}
            if not counts:
                await self._overflow.spool.close()
                raise
            self._use(counts)
            self._replace(str(error))
        if self._slot:
            self._bringing = loud_task(bring_leftovers(self._settings, self._slot, self, self._stopping))

    async def append(self, records: Sequence[Outgoing]) -> list[Position | None]:
        refuse_too_large(records)
        if self._stopping.is_set() or not self._lanes:
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
        if self._stopping.is_set() or self._misconfigured or not self._reached:
            return self._problem
        # Kafka may be away: as long as the spool has room, no other collector would do better.
        return None if self.is_direct else self._overflow.spool.unready()

    def backlog(self) -> Backlog:
        return self._overflow.spool.backlog()

    async def stop(self) -> None:
        self._stopping.set()
        self._problem = "stopping"
        # Every append is answered by its deadline; what waits longer than that goes to the spool.
        patience = min(self._settings.append_deadline, self._settings.drain_time / 4)
        sending = [lane.sending for lane in self._all_lanes() if lane.sending]
        if sending:
            await asyncio.wait(sending, timeout=patience)
        # Given a moment they end by themselves: cancelled while it connects, aiokafka leaves its connection open.
        background = [task for task in (self._bringing, self._replacing, self._probing) if task]
        if background:
            await asyncio.wait(background, timeout=patience)
            for task in background:
                task.cancel()
            await asyncio.wait(background)
        for lane in self._all_lanes():
            self._to_spool(lane)
        producer, self._producer = self._producer, None
        if producer:
            await close_producer(producer, patience)
        await end_sending(self._all_lanes())
        await self._overflow.spool.close()
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
                self._overflow.write(lane, [part])
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
                    # The queue behind it was written with it, and is still to be sent.
                    ids = (await batch.spooled)[: len(batch.records)]
            if ids:
                await self._overflow.forget(lane, ids, acked)
            lane.acked, lane.unsure = acked, False
        finally:
            lane.batch = None
        return True

    async def _send_spooled(self, lane: Lane, producer: AIOKafkaProducer) -> bool:
        """Send the oldest records of the spool; with none left the lane is direct again."""
        if not lane.spooled:
            lane.spooling = False
            return True
        rows = await self._overflow.oldest(lane)
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
            await self._overflow.forget(lane, [row.id for row in rows], base + len(rows))
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
                lane.failing = True
                self._misconfigured = isinstance(error, _NOT_ALLOWED)
                self._back_off()
            if producer is self._producer:
                self._replace(f"{type(error).__name__} on {lane.partition.topic}")
            return None
        lane.failing = False
        if self._problem is not None and not any(one.failing for one in self._all_lanes()):
            self._solved()
        return base

    async def _refuse(self, lane: Lane, row: Spooled, why: str) -> None:
        """Put a record aside that Kafka will never take, and have the rejected topic tell of it."""
        told = self._overflow.set_aside(row, why)
        if told is None:
            self._back_off()
            return
        if row.record.topic != told.topic:
            batch = Batch(None)
            batch.records = [told]
            other = self._lane(told)
            self._to_spool(other)
            self._overflow.write(other, [batch])
        await self._overflow.forget(lane, [row.id], lane.acked)

    def _solved(self) -> None:
        if not self._stopping.is_set():
            self._problem, self._misconfigured, self._reached, self._wait = None, False, True, 0.0

    def _back_off(self) -> None:
        self._wait = min(max(self._wait * 2, _RECONNECT_FIRST), _RECONNECT_MOST)

    def _overdue(self, waiter: Waiter, lanes: Iterable[Lane]) -> None:
        for lane in lanes:
            if lane.waited_for_by(waiter):
                self._to_spool(lane)
        if self._probing is None and self._producer is not None:
            self._probing = loud_task(self._probe(self._producer))
        late = Unavailable("neither Kafka nor the spool's disk answered in time")
        asyncio.get_running_loop().call_later(_DISK_SECONDS, waiter.fail, late)

    def _to_spool(self, lane: Lane) -> None:
        """From now on this partition's records go to the spool, those on their way and those that wait first."""
        if lane.spooling:
            return
        lane.spooling = True
        batches = lane.take_all()
        if batches:
            self._overflow.write(lane, batches)

    async def _probe(self, producer: AIOKafkaProducer) -> None:
        """While batches are overdue, ask whether their topics are still there: aiokafka would find out after 40 s."""
        wait = _RECONNECT_FIRST
        await self._pause(wait)
        while producer is self._producer and not self.is_direct:
            try:
                await partition_counts(producer, self._settings)
            except Misconfigured as error:
                if producer is self._producer:
                    self._misconfigured = True
                    self._replace(str(error))
            except (KafkaError, OSError):
                _log.info("kafka_does_not_answer")
            wait = min(wait * 2, _RECONNECT_MOST)
            await self._pause(wait)
        self._probing = None

    async def _pause(self, seconds: float) -> None:
        """Sleep, but not longer than the producer is wanted."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    def _replace(self, why: str) -> None:
        # After a failed future aiokafka's sequence numbers have a hole: that producer gets nothing through any more.
        if self._replacing is None and not self._stopping.is_set():
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
            await self._pause(self._wait)
            if self._stopping.is_set():
                return
            try:
                producer = await self._connect()
                try:
                    await self._overflow.read_back(self._all_lanes())
                except BaseException:
                    await close_producer(producer, self._settings.append_deadline)
                    raise
            except (Unavailable, NoSpace) as error:
                self._problem, self._misconfigured = str(error), isinstance(error, Misconfigured)
                self._back_off()
            else:
                break
        self._producer, self._replacing, self._reached = producer, None, True
        if not any(lane.failing for lane in self._all_lanes()):
            self._solved()
        for lane in self._all_lanes():
            if lane.spooling:
                lane.sending = loud_task(self._send(lane, producer))

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
