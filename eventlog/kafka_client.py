"""aiokafka's clients: connected, and let go again whatever the broker does."""

from __future__ import annotations

import asyncio
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerClosed

from eventlog.connection import connection_options
from eventlog.errors import Misconfigured, Unavailable
from eventlog.settings import LogSettings
from eventlog.topics import MAX_MESSAGE_BYTES, TOPICS

# Larger batches gain nothing (measured); smaller ones cost a request each.
BATCH_BYTES: Final = 512 * 1024
_CONNECT: Final = 10.0
# What a frozen broker's farewell may take.
_FAREWELL: Final = 2.0


async def connect(settings: LogSettings) -> tuple[AIOKafkaProducer, dict[str, int]]:
    """An idempotent producer, and how many partitions each of our topics has. Raises Unavailable."""
    producer = AIOKafkaProducer(
        **connection_options(settings),
        enable_idempotence=True,
        acks="all",
        linger_ms=0,
        max_batch_size=BATCH_BYTES,
        max_request_size=4 * MAX_MESSAGE_BYTES,
    )
    try:
        async with asyncio.timeout(_CONNECT):
            await producer.start()
            return producer, await partition_counts(producer, settings)
    except BaseException as error:
        await close_producer(producer, settings.append_deadline)
        if isinstance(error, KafkaError | TimeoutError | OSError):
            raise Unavailable(f"Kafka did not answer ({type(error).__name__})") from None
        raise


async def partition_counts(producer: AIOKafkaProducer, settings: LogSettings) -> dict[str, int]:
    """How many partitions each of our topics has. Raises Misconfigured, and what aiokafka raises."""
    # Not partitions_for(): of a topic that is missing it only tells after its own 40 s.
    cluster = await producer.client.fetch_all_metadata()
    names = [topic.full_name(settings.topic_prefix) for topic in TOPICS]
    found = {name: len(cluster.partitions_for_topic(name) or ()) for name in names}
    for name, count in found.items():
        if not count:
            raise Misconfigured(
                f"Kafka: topic {name} is missing, or hidden from this user; run `trackway topics --apply`"
            )
    return found


async def close_producer(producer: AIOKafkaProducer, deadline: float) -> None:
    """Stop it within thrice the deadline, whatever the broker does."""
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


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Leave the group, if there is one, and let go."""
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.wait({stopping}, timeout=_FAREWELL)
    if not stopping.done():
        # A frozen broker does not answer the farewell; without its connections that fails at once.
        await consumer._client.close()
        await asyncio.wait({stopping}, timeout=_FAREWELL)
    if not stopping.done():
        # Where the group was being joined, aiokafka connects anew, as often as that takes.
        stopping.cancel()
        await asyncio.wait({stopping}, timeout=_FAREWELL)
        if consumer._fetcher is not None:
            await consumer._fetcher.close()
        await consumer._client.close()
