"""The event log on Apache Kafka: the producer.

Each partition has an ordered queue of its own, and at most one of its batches is in aiokafka's hands at a time: what
arrives while that one is on its way forms the next. The broker's round trip is the only wait (group commit), and at
most one batch a partition is ever of unknown outcome.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerClosed
from aiokafka.producer.message_accumulator import BatchBuilder

from eventlog.connection import connection_options
from eventlog.errors import Unavailable
from eventlog.log import Outgoing, Partition, Position, partition_of, refuse_too_large
from eventlog.settings import LogSettings
from eventlog.topics import MAX_MESSAGE_BYTES, TOPICS

_log = structlog.get_logger(__name__)

# Larger batches gain nothing (measured); smaller ones cost a request each.
_BATCH_BYTES: Final = 512 * 1024
_RECONNECT_FIRST, _RECONNECT_MOST = 1.0, 10.0
_CONNECT: Final = 10.0


class _Waiter:
    """One append: settled when the last of its batches is, or when its deadline has passed."""

    __slots__ = ("future", "pending", "positions")

    def __init__(self, future: asyncio.Future[None], count: int) -> None:
        self.future = future
        self.pending = 0
        self.positions: list[Position | None] = [None] * count

    def part_done(self) -> None:
        self.pending -= 1
        if not self.pending and not self.future.done():
            self.future.set_result(None)

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class _Batch:
    """Records of one partition that travel together; `places` says whose record each is."""

    __slots__ = ("builder", "places", "waiters")

    def __init__(self, builder: BatchBuilder) -> None:
        self.builder = builder
        self.places: list[tuple[_Waiter, int]] = []
        self.waiters: set[_Waiter] = set()

    def acknowledged(self, partition: Partition, base: int) -> None:
        for at, (waiter, place) in enumerate(self.places):
            waiter.positions[place] = Position(partition, base + at)
        for waiter in self.waiters:
            waiter.part_done()

    def is_awaited(self) -> bool:
        return any(not waiter.future.done() for waiter in self.waiters)

    def fail(self, error: Exception) -> None:
        for waiter in self.waiters:
            waiter.fail(error)


class _Lane:
    """One partition: its queue, and whether a batch is on its way, since when. `stalled`: that batch is overdue."""

    __slots__ = ("partition", "queue", "sending", "since", "stalled")

    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        self.queue: deque[_Batch] = deque()
        self.sending: asyncio.Task[None] | None = None
        self.since = 0.0
        self.stalled = False


class KafkaProducer:
    """`Producer` on Kafka: idempotent, acks=all, own deadlines."""

    def __init__(self, settings: LogSettings) -> None:
        self._settings = settings
        self._options = connection_options(settings)
        # Of every topic its partitions, by number.
        self._lanes: dict[str, list[_Lane]] = {}
        self._producer: AIOKafkaProducer | None = None
        self._replacing: asyncio.Task[None] | None = None
        self._problem: str | None = "not started"
        self._stopping = False

    async def start(self) -> None:
        await self._connect()

    async def append(self, records: Sequence[Outgoing]) -> list[Position | None]:
        refuse_too_large(records)
        if self._problem is not None or self._producer is None:
            raise Unavailable(f"Kafka: {self._problem}")
        if not records:
            return []
        on = [self._lane(record) for record in records]
        loop = asyncio.get_running_loop()
        waiter = _Waiter(loop.create_future(), len(records))
        lanes = self._enqueue(self._producer, records, on, waiter)
        timer = loop.call_later(self._settings.append_deadline, self._overdue, waiter, lanes)
        try:
            await waiter.future
        finally:
            timer.cancel()
        return waiter.positions

    def unready(self) -> str | None:
        if self._stopping:
            return "stopping"
        stalled = sum(lane.stalled for lane in self._all_lanes())
        if self._problem is None and stalled:
            return f"{stalled} partitions do not answer"
        return self._problem

    async def stop(self) -> None:
        self._stopping, self._problem = True, "stopping"
        # Every append is answered by its deadline: what is acknowledged later helps nobody.
        patience = min(self._settings.append_deadline, self._settings.drain_time / 3)
        sending = [lane.sending for lane in self._all_lanes() if lane.sending]
        if sending:
            await asyncio.wait(sending, timeout=patience)
        if self._replacing:
            self._replacing.cancel()
            await asyncio.wait({self._replacing})
        for lane in self._all_lanes():
            _fail_queue(lane, Unavailable("stopping"))
        producer, self._producer, self._problem = self._producer, None, "stopped"
        if producer:
            await _close(producer, patience)
        await _end_sending(self._all_lanes())

    def _enqueue(
        self, producer: AIOKafkaProducer, records: Sequence[Outgoing], on: Sequence[_Lane], waiter: _Waiter
    ) -> set[_Lane]:
        for place, (record, lane) in enumerate(zip(records, on, strict=True)):
            batch = lane.queue[-1] if lane.queue else None
            if batch is None or not _add(batch, record):
                batch = _Batch(producer.create_batch())
                lane.queue.append(batch)
                _add(batch, record)
            if waiter not in batch.waiters:
                batch.waiters.add(waiter)
                waiter.pending += 1
            batch.places.append((waiter, place))
        lanes = set(on)
        for lane in lanes:
            if lane.stalled:
                # The queue behind an overdue batch would only grow: what is not sent is certainly not stored.
                _fail_queue(lane, _no_answer())
            elif lane.sending is None:
                lane.sending = asyncio.create_task(self._send(lane, producer))
        return lanes

    def _lane(self, record: Outgoing) -> _Lane:
        lanes = self._lanes.get(record.topic)
        if lanes is None:
            raise Unavailable(f"Kafka: topic {record.topic} is missing; run `trackway topics --apply`")
        return lanes[partition_of(record.key, len(lanes))]

    def _all_lanes(self) -> list[_Lane]:
        return [lane for lanes in self._lanes.values() for lane in lanes]

    async def _send(self, lane: _Lane, producer: AIOKafkaProducer) -> None:
        try:
            while lane.queue:
                batch = lane.queue.popleft()
                if not batch.is_awaited():
                    # Its senders were told to try again; so the queue holds one deadline's worth at most.
                    continue
                batch.builder.close()
                lane.since = asyncio.get_running_loop().time()
                try:
                    future = await producer.send_batch(
                        batch.builder, lane.partition.topic, partition=lane.partition.number
                    )
                    metadata = await future
                except KafkaError as error:
                    batch.fail(_no_answer())
                    if producer is self._producer:
                        self._replace(f"{type(error).__name__} on {lane.partition.topic}")
                    return
                lane.stalled = False
                batch.acknowledged(lane.partition, metadata.offset)
        finally:
            lane.sending = None

    def _overdue(self, waiter: _Waiter, lanes: set[_Lane]) -> None:
        waiter.fail(_no_answer())
        # A batch just handed over shares a partition's way with this append, but is not what held it up.
        long_ago = asyncio.get_running_loop().time() - self._settings.append_deadline / 2
        for lane in lanes:
            if lane.sending is not None and lane.since <= long_ago:
                lane.stalled = True
                _fail_queue(lane, _no_answer())

    def _replace(self, why: str) -> None:
        # After a failed future aiokafka's sequence numbers have a hole: that producer gets nothing through any more.
        if self._replacing is None and not self._stopping:
            self._problem = why
            _log.warning("kafka_producer_replaced", reason=why)
            self._replacing = asyncio.create_task(self._reconnect())

    async def _reconnect(self) -> None:
        old, self._producer = self._producer, None
        for lane in self._all_lanes():
            _fail_queue(lane, _no_answer())
        if old:
            await _close(old, self._settings.append_deadline)
        await _end_sending(self._all_lanes())
        wait = _RECONNECT_FIRST
        while not self._stopping:
            try:
                await self._connect()
            except Unavailable as error:
                self._problem = str(error)
                await asyncio.sleep(wait)
                wait = min(wait * 2, _RECONNECT_MOST)
            else:
                break
        self._replacing = None

    async def _connect(self) -> None:
        producer = AIOKafkaProducer(
            **self._options,
            enable_idempotence=True,
            acks="all",
            linger_ms=0,
            max_batch_size=_BATCH_BYTES,
            max_request_size=4 * MAX_MESSAGE_BYTES,
        )
        try:
            async with asyncio.timeout(_CONNECT):
                await producer.start()
                counts = await self._partition_counts(producer)
        except (KafkaError, TimeoutError, OSError) as error:
            await _close(producer, self._settings.append_deadline)
            raise Unavailable(f"Kafka did not answer ({type(error).__name__})") from None
        except Unavailable:
            await _close(producer, self._settings.append_deadline)
            raise
        self._lanes = {name: [_Lane(Partition(name, at)) for at in range(count)] for name, count in counts.items()}
        self._producer, self._problem = producer, None

    async def _partition_counts(self, producer: AIOKafkaProducer) -> dict[str, int]:
        # Not partitions_for(): of a topic that is missing it only tells after its own 40 s.
        cluster = await producer.client.fetch_all_metadata()
        names = [topic.full_name(self._settings.topic_prefix) for topic in TOPICS]
        found = {name: len(cluster.partitions_for_topic(name) or ()) for name in names}
        for name, count in found.items():
            if not count:
                raise Unavailable(f"Kafka: topic {name} is missing; run `trackway topics --apply`")
        return found


def _add(batch: _Batch, record: Outgoing) -> bool:
    metadata = batch.builder.append(
        timestamp=record.timestamp, key=record.key, value=record.value, headers=list(record.headers)
    )
    return metadata is not None


def _no_answer() -> Unavailable:
    return Unavailable("Kafka did not acknowledge in time")


def _fail_queue(lane: _Lane, error: Unavailable) -> None:
    for batch in lane.queue:
        batch.fail(error)
    lane.queue.clear()


async def _end_sending(lanes: Iterable[_Lane]) -> None:
    # Once the producer is closed, what still waits is for a topic's metadata, and would for 40 s.
    sending = [lane.sending for lane in lanes if lane.sending]
    for task in sending:
        task.cancel()
    if sending:
        await asyncio.wait(sending)


async def _close(producer: AIOKafkaProducer, deadline: float) -> None:
    """Stop it within twice the deadline, whatever the broker does."""
    stopping = asyncio.create_task(producer.stop())
    await asyncio.wait({stopping}, timeout=deadline)
    if stopping.done():
        return
    # stop() waits for pending batches and running requests, with a frozen broker for ever. In this order nothing
    # is left behind: the sender takes up nothing more, its requests fail, then what waited for them is told.
    if producer._sender is not None and producer._sender.sender_task is not None:
        producer._sender.sender_task.cancel()
    await producer.client.close()
    await asyncio.wait({stopping}, timeout=deadline)
    accumulator = producer._message_accumulator
    for queued in accumulator._batches.values():
        # A batch queued again has a callback that looks for it among the pending ones.
        accumulator._pending_batches.update(queued)
    for batch in list(accumulator._pending_batches):
        if not batch.future.done():
            batch.future.set_exception(ProducerClosed())
    await asyncio.wait({stopping}, timeout=deadline)
