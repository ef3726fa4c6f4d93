"""Kafka's own ways: topics, members of a group, a broker that stands still."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from pathlib import Path

import pytest

from eventlog.connection import connection_options
from eventlog.errors import Unavailable
from eventlog.log import Outgoing, Position, Producer
from eventlog.opening import open_consumer, open_producer
from eventlog.provision import provision
from eventlog.settings import LogSettings
from eventlog.topics import TOPICS
from tests.appending import append_all
from tests.eventlog.message_limit import set_message_limit
from tests.services import Kafka


def made_for(kafka: Kafka, folder: Path) -> LogSettings:
    return LogSettings(data=folder, log=kafka.url, topic_prefix=f"{folder.name}-{os.getpid()}.")


async def stored(producer: Producer, record: Outgoing) -> list[Position]:
    """Append, as a sender that tries again."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await append_all(producer, [record])
            except Unavailable:
                await asyncio.sleep(0.1)


def test_topics_are_missed_made_and_then_right(kafka: Kafka, tmp_path: Path) -> None:
    settings = made_for(kafka, tmp_path)
    before = asyncio.run(provision(settings, apply=False))
    assert {finding.level for finding in before} == {"fail"}
    assert all("topics --apply" in finding.message for finding in before)
    with pytest.raises(Unavailable, match="missing"):
        asyncio.run(open_consumer(settings, [settings.topic_prefix + "events.v1"]).start())
    for _ in range(2):
        after = asyncio.run(provision(settings, apply=True))
        assert [finding.topic for finding in after] == [topic.full_name(settings.topic_prefix) for topic in TOPICS]
        # One broker keeps one copy: that is said, and is no failure.
        assert {finding.level for finding in after} == {"warn"}


def test_a_frozen_broker_is_refused_within_the_deadline_and_served_when_thawed(kafka: Kafka, tmp_path: Path) -> None:
    settings = made_for(kafka, tmp_path)
    record = Outgoing(settings.topic_prefix + "events.v1", b"k", b"v", (), 1_795_000_000_000)

    async def scenario() -> None:
        producer = open_producer(settings)
        await producer.start()
        await stored(producer, record)
        assert producer.unready() is None
        kafka.freeze()
        try:
            begun = time.monotonic()
            with pytest.raises(Unavailable):
                await producer.append([record])
            assert time.monotonic() - begun < 10 * settings.append_deadline
            assert producer.unready()
            # What follows is not kept waiting behind a batch that is overdue.
            with pytest.raises(Unavailable):
                await producer.append([record])
        finally:
            kafka.thaw()
        await stored(producer, record)
        assert producer.unready() is None
        await producer.stop()

    asyncio.run(provision(settings, apply=True))
    asyncio.run(scenario())


def test_stopping_takes_no_frozen_brokers_time(kafka: Kafka, tmp_path: Path) -> None:
    settings = made_for(kafka, tmp_path)
    topic = settings.topic_prefix + "events.v1"
    records = [Outgoing(topic, b"%d" % number, b"v", (), 1_795_000_000_000) for number in range(30)]

    async def scenario() -> None:
        producer, member = open_producer(settings), open_consumer(settings, [topic], "group")
        await producer.start()
        await member.start()
        async with asyncio.timeout(60):
            while not member.assignment():
                await member.poll(1, 0.1)
        kafka.freeze()
        try:
            with pytest.raises(Unavailable):
                await producer.append(records)
            begun = time.monotonic()
            await producer.stop()
            running = {task.get_coro().__qualname__ for task in asyncio.all_tasks()}  # type: ignore[union-attr]
            assert not [name for name in running if name.startswith(("KafkaProducer.", "Sender."))]
            await member.stop()
            assert time.monotonic() - begun < settings.drain_time
        finally:
            kafka.thaw()

    asyncio.run(provision(settings, apply=True))
    asyncio.run(scenario())


# aiokafka forgets the connection it was about to make when it was told to stop.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_poll_ends_in_time_while_a_frozen_broker_keeps_it_from_its_group(kafka: Kafka, tmp_path: Path) -> None:
    settings = made_for(kafka, tmp_path)

    async def scenario() -> None:
        member = open_consumer(settings, [settings.topic_prefix + "events.v1"], "group")
        await member.start()
        kafka.freeze()
        try:
            # aiokafka itself would wait for the group as long as the broker stands still.
            async with asyncio.timeout(10):
                for _ in range(3):
                    assert await member.poll(1, 0.1) == []
            await member.stop()
        finally:
            kafka.thaw()

    asyncio.run(provision(settings, apply=True))
    asyncio.run(scenario())
    gc.collect()


def test_a_batch_the_broker_refuses_costs_only_its_own_appends(kafka: Kafka, tmp_path: Path) -> None:
    settings = made_for(kafka, tmp_path)
    topic = settings.topic_prefix + "events.v1"

    async def scenario() -> None:
        await set_message_limit(settings, topic, 1000)
        producer = open_producer(settings)
        await producer.start()
        with pytest.raises(Unavailable):
            await producer.append([Outgoing(topic, b"k", b"x" * 5000, (), 1_795_000_000_000)])
        assert producer.unready()
        (position,) = await stored(producer, Outgoing(topic, b"k", b"small", (), 1_795_000_000_000))
        assert position.offset == 0
        await producer.stop()
        assert [finding.level for finding in await provision(settings, apply=False)].count("fail") == 1
        assert {finding.level for finding in await provision(settings, apply=True)} == {"warn"}

    asyncio.run(provision(settings, apply=True))
    asyncio.run(scenario())


def test_credentials_over_tls(sasl_kafka: Kafka, tmp_path: Path) -> None:
    async def scenario(settings: LogSettings) -> None:
        topic = settings.topic_prefix + "events.v1"
        producer, consumer = open_producer(settings), open_consumer(settings, [topic])
        await producer.start()
        (position,) = await stored(producer, Outgoing(topic, b"k", b"v", (), 1_795_000_000_000))
        await consumer.start()
        await consumer.seek(position.partition, position.offset)
        assert [record.value for record in await consumer.poll(1, 30)] == [b"v"]
        await consumer.stop()
        await producer.stop()

    for mechanism in ("PLAIN", "SCRAM-SHA-256"):
        settings = made_for(sasl_kafka, tmp_path).model_copy(update={"log": sasl_kafka.url_by(mechanism)})
        asyncio.run(provision(settings, apply=True))
        asyncio.run(scenario(settings))
    wrong = settings.model_copy(update={"log": sasl_kafka.url_by("PLAIN", "wrong")})
    with pytest.raises(Unavailable) as caught:
        asyncio.run(open_producer(wrong).start())
    assert "wrong" not in str(caught.value)


def test_two_members_share_the_partitions(kafka: Kafka, tmp_path: Path) -> None:
    settings = made_for(kafka, tmp_path)

    async def scenario() -> None:
        members = [open_consumer(settings, [settings.topic_prefix + "events.v1"], "group") for _ in range(2)]
        await members[0].start()
        async with asyncio.timeout(60):
            while len(members[0].assignment()) < 12:
                await members[0].poll(1, 0.1)
            await members[1].start()
            while [len(member.assignment()) for member in members] != [6, 6]:
                await asyncio.gather(*(member.poll(1, 0.1) for member in members))
        assert not members[0].assignment() & members[1].assignment()
        for member in members:
            await member.stop()

    asyncio.run(provision(settings, apply=True))
    asyncio.run(scenario())


def test_the_url_says_how_to_connect() -> None:
    plain = connection_options(LogSettings(log="kafka://one:9092,two:9092"))
    assert (plain["bootstrap_servers"], plain["security_protocol"]) == (["one:9092", "two:9092"], "PLAINTEXT")
    sasl = connection_options(LogSettings(log="kafka+ssl://me:p%40ss@one:9093?sasl_mechanism=SCRAM-SHA-256"))
    assert (sasl["security_protocol"], sasl["sasl_mechanism"]) == ("SASL_SSL", "SCRAM-SHA-256")
    assert (sasl["sasl_plain_username"], sasl["sasl_plain_password"]) == ("me", "p@ss")
    for wrong in ("kafka://", "kafka://one:9092?tls=yes", "kafka://me:secret@one?sasl_mechanism=GSSAPI"):
        with pytest.raises(ValueError, match="log:") as caught:
            connection_options(LogSettings(log=wrong))
        assert "secret" not in str(caught.value)
