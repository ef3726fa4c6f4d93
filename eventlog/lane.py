"""One partition's way to Kafka: the appends that wait, the batches they travel in, and the state of the way."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final

from aiokafka.producer.message_accumulator import BatchBuilder

from eventlog.log import Outgoing, Partition, Position


class Waiter:
    """One append: settled when the last of its parts is, or when its deadline has passed."""

    __slots__ = ("future", "pending", "positions")

    def __init__(self, future: asyncio.Future[None], count: int) -> None:
        self.future = future
        self.pending = 0
        # None: not in the log yet.
        self.positions: list[Position | None] = [None] * count

    def part_done(self) -> None:
        """One of its parts is durable."""
        self.pending -= 1
        if not self.pending and not self.future.done():
            self.future.set_result(None)

    def fail(self, error: Exception) -> None:
        """Tell whoever appends, unless it was told already."""
        if not self.future.done():
            self.future.set_exception(error)


class Batch:
    """Records of one partition that travel together; `places` says whose record each is, and which of them. Without a
    builder they go to the spool only."""

    __slots__ = ("builder", "places", "records", "spooled", "waiters")

    def __init__(self, builder: BatchBuilder | None) -> None:
        self.builder = builder
        self.records: list[Outgoing] = []
        self.places: list[tuple[Waiter, int]] = []
        self.waiters: set[Waiter] = set()
        # Their ids in the spool, once they were written there too.
        self.spooled: asyncio.Future[range] | None = None

    def acknowledged(self, partition: Partition, base: int) -> None:
        """Kafka has stored it from offset `base` on."""
        for at, (waiter, place) in enumerate(self.places):
            waiter.positions[place] = Position(partition, base + at)
        self.parts_done()

    def parts_done(self) -> None:
        """It is durable: in the spool or in the log, whichever comes first; the second time tells nobody anything."""
        waiters, self.waiters = self.waiters, set()
        for waiter in waiters:
            waiter.part_done()

    def is_awaited(self) -> bool:
        """Whether somebody still waits for it."""
        return any(not waiter.future.done() for waiter in self.waiters)

    def fail(self, error: Exception) -> None:
        """Tell all who wait for it."""
        for waiter in self.waiters:
            waiter.fail(error)


class Lane:
    """One partition. Direct: appends are queued, a batch at a time is handed to aiokafka. Spooling: appends go to the
    spool; what it holds is sent once the batch on its way is settled; with nothing left the lane is direct again."""

    __slots__ = ("acked", "batch", "failing", "most", "partition", "queue", "sending", "spooled", "spooling", "unsure")

    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        self.queue: deque[Batch] = deque()
        # The task that sends, and the batch in aiokafka's hands.
        self.sending: asyncio.Task[None] | None = None
        self.batch: Batch | None = None
        # The offset after the last acknowledged record.
        self.acked: int | None = None
        self.spooling = False
        # How many records the spool holds or is about to.
        self.spooled = 0
        # Whether its last batch failed, for a reason that is not its records'.
        self.failing = False
        # Whether records of the spool may be in the topic without our knowing it.
        self.unsure = False
        # How many records a batch from the spool has at most: less, after Kafka refused one.
        self.most = MOST_RECORDS

    def waited_for_by(self, waiter: Waiter) -> bool:
        """Whether the append waits for this lane's batches."""
        return (self.batch is not None and waiter in self.batch.waiters) or any(
            waiter in batch.waiters for batch in self.queue
        )

    def take_all(self) -> list[Batch]:
        """What is on its way and what waits, in order; the queue is empty after."""
        batches = ([self.batch] if self.batch else []) + list(self.queue)
        self.queue.clear()
        return batches


# A batch from the spool has at most so many records.
MOST_RECORDS: Final = 5_000


async def end_sending(lanes: Iterable[Lane]) -> None:
    """Cancel what still sends. Once the producer is closed it may wait for a topic's metadata, for 40 s."""
    sending = [lane.sending for lane in lanes if lane.sending]
    for task in sending:
        task.cancel()
    if sending:
        await asyncio.wait(sending)


def add(batch: Batch, record: Outgoing) -> bool:
    """Add a record to the batch; False when it has no room."""
    if not _append(batch.builder, record):
        return False
    batch.records.append(record)
    return True


def fill(builder: BatchBuilder, records: Sequence[Outgoing]) -> int:
    """Add records until one has no room; answers how many are in."""
    return next((at for at, record in enumerate(records) if not _append(builder, record)), len(records))


def _append(builder: Any, record: Outgoing) -> bool:
    metadata = builder.append(
        timestamp=record.timestamp, key=record.key, value=record.value, headers=list(record.headers)
    )
    return metadata is not None
