"""What Kafka does not acknowledge in time: our own disk, the way from there into the topic, and a process's end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest

from eventlog.connection import connection_options
from eventlog.errors import NoSpace, Unavailable
from eventlog.kafka import KafkaProducer
from eventlog.lane import Batch, Waiter
from eventlog.log import Outgoing, Partition, Record, partition_of
from eventlog.opening import open_consumer
from eventlog.provision import provision
from eventlog.refused import refused
from eventlog.settings import LogSettings, SpoolSettings
from eventlog.slot import taken_slot
from eventlog.spool import DiskSpool, undelivered
from eventlog.topics import EVENTS, REJECTED
from tests.appending import append_all
from tests.eventlog.message_limit import set_message_limit
from tests.services import Kafka

AT = 1_795_000_000_000


@pytest.fixture
def settings(kafka: Kafka, tmp_path: Path) -> LogSettings:
    made = LogSettings(
        data=tmp_path,
        log=kafka.url,
        topic_prefix=f"{tmp_path.name}-{os.getpid()}.",
        spool=SpoolSettings(min_free_bytes=0),
    )
    asyncio.run(provision(made, apply=True))
    return made


def records(settings: LogSettings, word: str, numbers: Sequence[int], keys: int = 5) -> list[Outgoing]:
    """One record a number, spread over a few keys."""
    topic = EVENTS.full_name(settings.topic_prefix)
    return [
        Outgoing(topic, b"visitor-%d" % (number % keys), f"{word}:{number}".encode(), (("ce_id", b"%d" % number),), AT)
        for number in numbers
    ]


@contextlib.asynccontextmanager
async def started(settings: LogSettings) -> AsyncIterator[KafkaProducer]:
    """A producer with a spool, at first direct."""
    with taken_slot(settings.data) as slot:
        producer = KafkaProducer(settings, slot)
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()


async def until(done: Callable[[], bool]) -> None:
    """Wait until it is."""
    async with asyncio.timeout(60):
        while not done():  # noqa: ASYNC110 - what is waited for is in files and in the broker
            await asyncio.sleep(0.05)


async def direct(producer: KafkaProducer) -> None:
    """Wait until nothing goes to the spool any more."""
    await until(lambda: producer.is_direct and not producer.backlog().records)


async def delivered(settings: LogSettings) -> None:
    """Wait until no spool of the data folder holds anything."""
    await until(lambda: not list(undelivered(settings.data)))


async def in_topic(settings: LogSettings, topic: str | None = None) -> list[bytes]:
    """The values of the topic's records, by partition in order."""
    consumer = open_consumer(settings, [topic or EVENTS.full_name(settings.topic_prefix)])
    await consumer.start()
    ends = sum(bound.next - bound.first for bound in (await consumer.bounds()).values())
    found: list[Record] = []
    async with asyncio.timeout(60):
        while len(found) < ends:
            found += await consumer.poll(1000, 1.0)
    await consumer.stop()
    found.sort(key=lambda one: (one.partition, one.offset))
    return [one.value or b"" for one in found]


def assert_in_order(values: Sequence[bytes], word: str, count: int, keys: int = 5) -> None:
    """Every number once, and those of a key in their order."""
    numbers = [int(value.split(b":")[1]) for value in values if value.startswith(word.encode())]
    assert Counter(numbers) == Counter(range(count))
    for key in range(keys):
        assert [one for one in numbers if one % keys == key] == list(range(key, count, keys))


@contextlib.contextmanager
def frozen(kafka: Kafka) -> Iterator[None]:
    kafka.freeze()
    try:
        yield
    finally:
        kafka.thaw()


def test_a_frozen_broker_delays_nobody_and_nothing_is_lost_twice_or_out_of_order(
    kafka: Kafka, settings: LogSettings
) -> None:
    async def scenario() -> None:
        async with started(settings) as producer:
            for first in range(0, 100, 10):
                await producer.append(records(settings, "r", range(first, first + 10)))
            await direct(producer)
            with frozen(kafka):
                slowest = 0.0
                # The first is on its way to Kafka, the others of its partitions are queued behind it.
                first_of_all = asyncio.create_task(producer.append(records(settings, "r", range(100, 110))))
                await asyncio.sleep(0.1)
                others = [producer.append(records(settings, "r", range(at, at + 10))) for at in range(110, 150, 10)]
                await asyncio.gather(first_of_all, *others)
                for first in range(150, 300, 10):
                    begun = time.monotonic()
                    positions = await producer.append(records(settings, "r", range(first, first + 10)))
                    slowest = max(slowest, time.monotonic() - begun)
                    assert positions == [None] * 10
                print(f"slowest append while frozen: {slowest:.2f} s")
                assert slowest < 10 * settings.append_deadline
                assert producer.backlog().records > 150
                assert producer.backlog().oldest is not None
                # It goes on taking events, so it is ready: others would do no better.
                assert producer.unready() is None
                assert len(list(undelivered(settings.data))) == producer.backlog().records
            await producer.append(records(settings, "r", range(300, 310)))
            await direct(producer)
            await append_all(producer, records(settings, "r", range(310, 320)))
            assert list(undelivered(settings.data)) == []
            assert_in_order(await in_topic(settings), "r", 320)

    asyncio.run(scenario())


def test_a_slow_broker_is_waited_for_until_the_deadline_and_no_longer(kafka: Kafka, settings: LogSettings) -> None:
    async def pulses(done: asyncio.Event) -> None:
        # It works a tenth of a second, and stands still for half a one.
        while not done.is_set():
            with frozen(kafka):
                await asyncio.sleep(0.5)
            await asyncio.sleep(0.1)

    async def scenario(word: str, deadline: float, appends: int) -> int:
        """How many appends were answered from the spool."""
        spooled = 0
        async with started(settings.model_copy(update={"append_deadline": deadline})) as producer:
            done = asyncio.Event()
            pulsing = asyncio.create_task(pulses(done))
            for first in range(0, appends * 10, 10):
                spooled += None in await producer.append(records(settings, word, range(first, first + 10)))
            done.set()
            await pulsing
            await direct(producer)
        return spooled

    assert asyncio.run(scenario("patient", 30.0, 6)) == 0
    assert asyncio.run(scenario("hasty", 0.1, 60)) > 0
    values = asyncio.run(in_topic(settings))
    assert_in_order(values, "patient", 60)
    assert_in_order(values, "hasty", 600)


def test_a_broker_that_crashes_at_work_loses_nothing_and_keeps_the_order(kafka: Kafka, settings: LogSettings) -> None:
    async def scenario() -> None:
        async with started(settings) as producer:
            number = 0

            async def send(until: asyncio.Task[None]) -> None:
                nonlocal number
                while not until.done():
                    some = records(settings, "r", range(number, number + 10))
                    number += 10
                    await producer.append(some)
                    await asyncio.sleep(0.01)

            async def crash() -> None:
                await asyncio.sleep(0.2)
                await asyncio.to_thread(kafka.kill)
                await asyncio.to_thread(kafka.start)

            await send(asyncio.create_task(crash()))
            await direct(producer)
            values = await in_topic(settings)
            # What the promise allows: a batch stored by a broker that showed it only after we had looked. It is told.
            print(f"{len(values) - len(set(values))} twins")
            assert_in_order(list(dict.fromkeys(values)), "r", number)

    asyncio.run(scenario())


def test_a_stopped_process_leaves_its_spool_to_the_next_one(kafka: Kafka, settings: LogSettings) -> None:
    async def before() -> None:
        async with started(settings) as producer:
            await producer.append(records(settings, "r", range(50)))
            await direct(producer)
            kafka.freeze()
            await producer.append(records(settings, "r", range(50, 100)))
            begun = time.monotonic()
        assert time.monotonic() - begun < settings.drain_time

    async def after() -> None:
        # The batch of unknown outcome was stored by the thawed broker: it is found there, and not sent again.
        async with started(settings) as producer:
            await delivered(settings)
            assert_in_order(await in_topic(settings), "r", 100)
            await append_all(producer, records(settings, "r", range(100, 101)))

    try:
        asyncio.run(before())
        assert len(list(undelivered(settings.data))) == 50
    finally:
        kafka.thaw()
    asyncio.run(after())


def test_a_process_in_another_slot_brings_in_what_a_dead_one_left(kafka: Kafka, settings: LogSettings) -> None:
    async def leave() -> None:
        async with started(settings):
            pass
        folder = settings.data / "workers" / "7" / "spool"
        folder.mkdir(parents=True)
        # A failing disk's, and one of a process killed before it had made its tables.
        (folder / "1794000000000.db").write_bytes(b"no database" * 1000)
        (folder / "1794500000000.db").touch()
        spool = DiskSpool(folder / "1795000000000.db", settings.spool)
        for record in records(settings, "r", range(20)):
            number = partition_of(record.key, EVENTS.partitions)
            await spool.write(Partition(record.topic, number), None, [record])
        await spool.close()

    async def bring() -> None:
        async with started(settings):
            await delivered(settings)
            assert_in_order(await in_topic(settings), "r", 20)
        left = {file.name for file in (settings.data / "workers" / "7" / "spool").iterdir()}
        assert left == {"1794000000000.damaged"}

    asyncio.run(leave())
    asyncio.run(bring())


def test_a_collector_that_knows_the_topics_starts_without_kafka(kafka: Kafka, settings: LogSettings) -> None:
    async def unknown() -> None:
        with pytest.raises(Unavailable):
            async with started(settings.model_copy(update={"log": "kafka://127.0.0.1:9"})):
                pass

    async def known() -> None:
        async with started(settings):
            pass
        away = settings.model_copy(update={"log": "kafka://127.0.0.1:9"})
        async with started(away) as producer:
            assert await producer.append(records(settings, "r", range(10))) == [None] * 10
            assert "did not answer" in (producer.unready() or "")
        async with started(settings) as producer:
            await delivered(settings)
        assert_in_order(await in_topic(settings), "r", 10)

    asyncio.run(unknown())
    asyncio.run(known())


def test_a_record_kafka_refuses_is_set_aside_alone(kafka: Kafka, settings: LogSettings) -> None:
    topic = EVENTS.full_name(settings.topic_prefix)

    async def scenario() -> None:
        await set_message_limit(settings, topic, 2000)
        some = records(settings, "r", range(9), keys=1)
        large = some[4]._replace(value=b"x" * 5000)
        async with started(settings) as producer:
            assert await producer.append([*some[:4], large, *some[5:]]) == [None] * 9
            await direct(producer)
        values = await in_topic(settings)
        assert values == [one.value for one in [*some[:4], *some[5:]]]
        (aside,) = refused(settings.data)
        assert (aside["topic"], aside["value"]) == (topic, "x" * 5000)
        (told,) = await in_topic(settings, REJECTED.full_name(settings.topic_prefix))
        assert orjson.loads(told)["reason"] == "undeliverable"
        assert orjson.loads(told)["id"] == "4"

    asyncio.run(scenario())


def test_without_room_nothing_is_promised_and_with_room_again_all_goes_on(kafka: Kafka, settings: LogSettings) -> None:
    small = settings.model_copy(update={"spool": SpoolSettings(quota_bytes=2000, min_free_bytes=0)})
    full = settings.model_copy(update={"spool": SpoolSettings(min_free_bytes=2**60)})

    async def scenario(settings: LogSettings, error: type[Exception], taken: int) -> int:
        async with started(settings) as producer:
            await append_all(producer, records(settings, "first", range(1)))
            with frozen(kafka):
                acknowledged = 0
                with contextlib.suppress(error):
                    while acknowledged < 100:
                        await producer.append(records(settings, error.__name__, [acknowledged]))
                        acknowledged += 1
                assert acknowledged < 100
                assert (acknowledged > 0) == bool(taken)
                assert producer.unready()
            await direct(producer)
            return acknowledged

    count = asyncio.run(scenario(small, Unavailable, 1))
    asyncio.run(scenario(full, NoSpace, 0))
    values = asyncio.run(in_topic(settings))
    stored = Counter(value for value in values if value.startswith(b"Unavailable"))
    assert {b"Unavailable:%d" % number for number in range(count)} <= set(stored)
    assert set(stored.values()) <= {1}


def test_a_batch_both_spooled_and_acknowledged_counts_once_for_who_waits() -> None:
    async def scenario() -> None:
        waiter = Waiter(asyncio.get_running_loop().create_future(), 2)
        waiter.pending = 2
        batch = Batch(None)
        batch.waiters, batch.places = {waiter}, [(waiter, 0)]
        batch.parts_done()
        batch.acknowledged(Partition("t", 0), 7)
        # The other part of the append is not durable yet.
        assert not waiter.future.done()

    asyncio.run(scenario())


def test_a_missing_topic_and_a_forbidden_one_are_spooled_and_told(sasl_kafka: Kafka, tmp_path: Path) -> None:
    prefix = f"{tmp_path.name}-{os.getpid()}."
    owner = LogSettings(data=tmp_path, log=sasl_kafka.url, topic_prefix=prefix, spool=SpoolSettings(min_free_bytes=0))
    guest = owner.model_copy(update={"log": sasl_kafka.url_by("PLAIN", user="guest")})
    topic = EVENTS.full_name(prefix)

    async def allow_writing(allowed: bool) -> None:
        admin = AIOKafkaAdminClient(**connection_options(owner))
        await admin.start()
        permission = 3 if allowed else 2
        of_topic, literal, write, describe = 2, 3, 4, 8
        for operation, allows in ((describe, 3), (write, permission)):
            answer = await admin._send_request(
                CreateAclsRequest(of_topic, topic, literal, "User:guest", "*", operation, allows)
            )
            assert [code for code, _ in answer.creation_responses] == [0], answer
        await admin.close()

    async def forbidden() -> None:
        await allow_writing(False)
        async with started(guest) as producer:
            count = 10
            # A permission is taken away some time after it was asked for.
            while all(await producer.append(records(owner, "r", range(count - 10, count)))):
                count += 10
            await until(lambda: "Authorization" in (producer.unready() or ""))
            # Appends go on being taken.
            assert await producer.append(records(owner, "r", range(count, count + 10))) == [None] * 10
        async with started(owner):
            await delivered(owner)
        assert_in_order(await in_topic(owner), "r", count + 10)

    async def missing() -> None:
        async with started(owner) as producer:
            admin = AIOKafkaAdminClient(**connection_options(owner))
            await admin.start()
            await admin.delete_topics([topic])
            await producer.append(records(owner, "s", range(10)))
            await until(lambda: "missing" in (producer.unready() or ""))
            await provision(owner, apply=True)
            await direct(producer)
            assert producer.unready() is None
            await admin.close()
        assert_in_order(await in_topic(owner), "s", 10)

    asyncio.run(provision(owner, apply=True))
    asyncio.run(forbidden())
    asyncio.run(missing())
