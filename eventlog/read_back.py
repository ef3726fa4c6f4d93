"""Which spooled records are in the topic already: reads the log where a batch of unknown outcome may stand."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from eventlog.connection import connection_options
from eventlog.errors import Unavailable
from eventlog.kafka_client import BATCH_BYTES, stop_consumer
from eventlog.log import Partition
from eventlog.settings import LogSettings
from eventlog.spool import Spooled

# At most one batch a partition is ever of unknown outcome, and its records are the oldest in the spool. A batch holds
# BATCH_BYTES as Kafka packs them; counted as they are in the spool, they are surely among so many.
UNSURE_BYTES: Final = 2 * BATCH_BYTES
UNSURE_RECORDS: Final = 20_000

_CONNECT, _SILENCE = 10.0, 30.0
# A leader that has just begun shows less of its log than was acknowledged, until it knows what its followers have. A
# topic that was made anew shows less for good: that is believed after so many seconds.
_CATCH_UP, _LOOK = 10.0, 0.1


class Unsure(NamedTuple):
    """What is asked of a partition: from which offset on (None: not known), and which records."""

    acked: int | None
    spooled: Sequence[Spooled]


async def find_stored(settings: LogSettings, asked: Mapping[Partition, Unsure]) -> dict[Partition, list[int]]:
    """The ids of those records that stand in the log, by partition. Raises Unavailable."""
    if not asked:
        return {}
    consumer = AIOKafkaConsumer(**connection_options(settings), enable_auto_commit=False, auto_offset_reset="none")
    try:
        async with asyncio.timeout(_CONNECT):
            await consumer.start()
            of = {TopicPartition(*one): unsure for one, unsure in asked.items()}
            consumer.assign(list(of))
        ends = await _ends(consumer, of)
        async with asyncio.timeout(_CONNECT):
            begins = await consumer.beginning_offsets(list(of))
            for one, unsure in of.items():
                consumer.seek(one, await _start(consumer, one, unsure, begins[one], ends[one]))
        return await _read(consumer, of, ends)
    except (KafkaError, TimeoutError, OSError) as error:
        raise Unavailable(f"Kafka did not answer ({type(error).__name__})") from None
    finally:
        await stop_consumer(consumer)


async def _ends(consumer: AIOKafkaConsumer, asked: Mapping[TopicPartition, Unsure]) -> dict[TopicPartition, int]:
    """The partitions' ends, once they are not before what was acknowledged; looked at twice, for the same reason."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _CATCH_UP
    for looks in itertools.count(1):
        async with asyncio.timeout(_CONNECT):
            ends: dict[TopicPartition, int] = await consumer.end_offsets(list(asked))
        behind = [one for one, unsure in asked.items() if ends[one] < (unsure.acked or 0)]
        if (not behind and looks > 1) or loop.time() > until:
            break
        await asyncio.sleep(_LOOK)
    return ends


async def _start(consumer: AIOKafkaConsumer, one: TopicPartition, unsure: Unsure, begin: int, end: int) -> int:
    if unsure.acked is not None and begin <= unsure.acked <= end:
        return unsure.acked
    if unsure.acked is not None:
        # The topic was made anew, or has forgotten that much.
        return begin
    oldest = min(spooled.record.timestamp for spooled in unsure.spooled)
    found = (await consumer.offsets_for_times({one: oldest}))[one]
    return end if found is None else int(found.offset)


async def _read(
    consumer: AIOKafkaConsumer, asked: Mapping[TopicPartition, Unsure], ends: Mapping[TopicPartition, int]
) -> dict[Partition, list[int]]:
    # Two records may be the same to the last byte (copies refused in one millisecond): each is found once.
    wanted: dict[TopicPartition, defaultdict[bytes, list[int]]] = {}
    for one, unsure in asked.items():
        ids = wanted[one] = defaultdict(list)
        for spooled in reversed(unsure.spooled):
            ids[_digest(spooled.record.key, spooled.record.value)].append(spooled.id)
    found: dict[Partition, list[int]] = {Partition(*one): [] for one in asked}
    left = set(asked)
    while left := {one for one in left if await consumer.position(one) < ends[one]}:
        async with asyncio.timeout(_SILENCE):
            while not (got := await consumer.getmany(*left, timeout_ms=1000)):
                pass
        for one, records in got.items():
            for record in records:
                ids_left = wanted[one].get(_digest(record.key, record.value))
                if ids_left:
                    found[Partition(*one)].append(ids_left.pop())
    return found


def _digest(key: bytes | None, value: bytes | None) -> bytes:
    return blake2b(b"%s %s" % (key or b"", value or b""), digest_size=16).digest()
