"""The event log on Apache Kafka: the consumer. Where reading begins is always said by whoever consumes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from eventlog.connection import connection_options
from eventlog.errors import Unavailable
from eventlog.kafka_client import stop_consumer
from eventlog.log import Assigned, Bounds, OutOfRange, Partition, Record, Revoked
from eventlog.settings import LogSettings
from eventlog.topics import TOPICS

# How long any answer is waited for, and how much longer than asked poll() may take.
_DEADLINE = 10.0
_PATIENCE = 0.5


class KafkaConsumer:
    """`Consumer` on Kafka: offsets are set by hand, never by `auto.offset.reset`."""

    def __init__(
        self, settings: LogSettings, topics: Sequence[str], group: str | None, assigned: Assigned, revoked: Revoked
    ) -> None:
        self._settings = settings
        self._topics = list(topics)
        self._group = group
        self._expected = {topic.full_name(settings.topic_prefix): topic.partitions for topic in TOPICS}
        self._assigned = assigned
        self._revoked = revoked
        self._consumer: AIOKafkaConsumer | None = None
        # What failed in a rebalance: aiokafka only logs it, poll() raises it.
        self._failure: Exception | None = None
        self._begun: set[TopicPartition] = set()

    async def start(self) -> None:
        self._consumer = consumer = AIOKafkaConsumer(
            **connection_options(self._settings),
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="none",
            # A fold of a large batch takes its time; what counts as dead is the heartbeat.
            max_poll_interval_ms=300_000,
            session_timeout_ms=10_000,
            heartbeat_interval_ms=3_000,
            fetch_max_wait_ms=500,
            max_partition_fetch_bytes=4 * 1024 * 1024,
        )
        try:
            async with asyncio.timeout(_DEADLINE):
                await consumer.start()
                await self._check_topics(consumer)
                if self._group:
                    consumer.subscribe(self._topics, listener=_Listener(self))
                else:
                    every = self._all(consumer)
                    consumer.assign(every)
                    await self.begin(frozenset(_ours(every)))
        except BaseException as error:
            await self.stop()
            if isinstance(error, KafkaError | TimeoutError | OSError):
                raise _unavailable(error) from None
            raise

    async def poll(self, max_records: int, timeout: float) -> list[Record]:
        consumer = self._started()
        if self._failure:
            raise self._failure
        try:
            async with asyncio.timeout(timeout + _PATIENCE):
                fetched = await consumer.getmany(timeout_ms=int(timeout * 1000), max_records=max_records)
        except TimeoutError:
            # While the group is joined aiokafka waits as long as it takes: with a frozen broker, for minutes.
            fetched = {}
        except NoOffsetForPartitionError:
            # aiokafka fetches from partitions just assigned before on_assigned has said where they begin.
            if self._failure is None and consumer.assignment() <= self._begun:
                raise
            await asyncio.sleep(min(timeout, 0.05))
            fetched = {}
        except OffsetOutOfRangeError as error:
            raise OutOfRange({Partition(*one): at for one, at in error.args[0].items()}) from None
        except KafkaError as error:
            raise _unavailable(error) from None
        if self._failure:
            raise self._failure
        return [
            Record(
                Partition(message.topic, message.partition),
                message.offset,
                message.key or b"",
                message.value,
                tuple(message.headers),
                message.timestamp,
            )
            for messages in fetched.values()
            for message in messages
        ]

    def assignment(self) -> frozenset[Partition]:
        return frozenset(_ours(self._started().assignment()))

    async def seek(self, partition: Partition, offset: int) -> None:
        await self._seek({partition: offset})

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        if not self._group:
            return
        try:
            async with asyncio.timeout(_DEADLINE):
                await self._started().commit({TopicPartition(*one): at for one, at in offsets.items()})
        except (CommitFailedError, IllegalStateError):
            # The partitions went to another member meanwhile, and it says where it reads from.
            return
        except (KafkaError, TimeoutError) as error:
            raise _unavailable(error) from None

    async def bounds(self) -> dict[Partition, Bounds]:
        return await self._bounds_of(self._all(self._started()))

    async def offsets_at(self, time: int) -> dict[Partition, int]:
        consumer = self._started()
        every = self._all(consumer)
        try:
            async with asyncio.timeout(_DEADLINE):
                found = await consumer.offsets_for_times(dict.fromkeys(every, time))
                ends = await consumer.end_offsets(every)
        except (KafkaError, TimeoutError) as error:
            raise _unavailable(error) from None
        return {Partition(*one): at.offset if (at := found.get(one)) else ends[one] for one in every}

    async def stop(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is None:
            return
        await stop_consumer(consumer)

    async def begin(self, partitions: frozenset[Partition]) -> None:
        """Seek to where the owner wants to read, else to the first record."""
        wanted = await self._assigned(partitions)
        await self._seek({one: wanted.get(one) for one in partitions})
        self._begun |= {TopicPartition(*one) for one in partitions}

    async def _seek(self, offsets: Mapping[Partition, int | None]) -> None:
        """Seek, without an offset to the first record. Raises OutOfRange before anything is sought."""
        held = await self._bounds_of([TopicPartition(*one) for one in offsets])
        for partition, offset in offsets.items():
            first, following = held[partition]
            if offset is not None and not first <= offset <= following:
                raise OutOfRange({partition: offset})
        for partition, offset in offsets.items():
            self._started().seek(TopicPartition(*partition), held[partition].first if offset is None else offset)

    async def on_assigned(self, partitions: frozenset[Partition]) -> None:
        try:
            await self.begin(partitions)
        except Exception as error:  # noqa: BLE001 - whatever it is, poll() must raise it
            self._failure = error

    async def on_revoked(self, partitions: frozenset[Partition]) -> None:
        self._begun -= {TopicPartition(*one) for one in partitions}
        try:
            await self._revoked(partitions)
        except Exception as error:  # noqa: BLE001 - whatever it is, poll() must raise it
            self._failure = error

    async def _check_topics(self, consumer: AIOKafkaConsumer) -> None:
        there = await consumer.topics()
        for topic in self._topics:
            if topic not in there:
                raise Unavailable(f"Kafka: topic {topic} is missing; run `trackway topics --apply`")

    def _all(self, consumer: AIOKafkaConsumer) -> list[TopicPartition]:
        return [
            TopicPartition(topic, number)
            for topic in self._topics
            # aiokafka knows a topic's partitions only once it reads it; the table says how many there must be.
            for number in sorted(consumer.partitions_for_topic(topic) or range(self._expected[topic]))
        ]

    async def _bounds_of(self, which: list[TopicPartition]) -> dict[Partition, Bounds]:
        consumer = self._started()
        try:
            async with asyncio.timeout(_DEADLINE):
                firsts = await consumer.beginning_offsets(which)
                ends = await consumer.end_offsets(which)
        except (KafkaError, TimeoutError) as error:
            raise _unavailable(error) from None
        return {Partition(*one): Bounds(firsts[one], ends[one]) for one in which}

    def _started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError("the consumer is not started")
        return self._consumer


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Passes aiokafka's rebalances on."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer

    async def on_partitions_assigned(self, assigned: Any) -> None:
        await self._consumer.on_assigned(frozenset(_ours(assigned)))

    async def on_partitions_revoked(self, revoked: Any) -> None:
        await self._consumer.on_revoked(frozenset(_ours(revoked)))


def _ours(partitions: Any) -> list[Partition]:
    return [Partition(one.topic, one.partition) for one in partitions]


def _unavailable(error: BaseException) -> Unavailable:
    return Unavailable(f"Kafka did not answer ({type(error).__name__})")
