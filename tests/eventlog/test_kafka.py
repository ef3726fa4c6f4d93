"""Kafka's own ways: topics, members of a group, a broker that stands still."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from eventlog.connection import connection_options
from eventlog.errors import Unavailable
from eventlog.log import Outgoing, Producer
from eventlog.opening import open_consumer, open_producer
from eventlog.provision import provision
from eventlog.settings import LogSettings
from eventlog.topics import TOPICS
from tests.services import Kafka


def made_for(kafka: Kafka, folder: Path) -> LogSettings:
    return LogSettings(data=folder, log=kafka.url, topic_prefix=f"{folder.name}-{os.getpid()}.")


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

    async def until_stored(producer: Producer) -> None:
        async with asyncio.timeout(60):
            while True:
                try:
                    await producer.append([record])
                except Unavailable:
                    await asyncio.sleep(0.1)
                else:
                    return

    async def scenario() -> None:
        producer = open_producer(settings)
        await producer.start()
        await until_stored(producer)
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
        await until_stored(producer)
        assert producer.unready() is None
        await producer.stop()

    asyncio.run(provision(settings, apply=True))
    asyncio.run(scenario())


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
