"""The container provider: what it asks of a Docker engine (a stand-in), and that its command runs a broker."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from testcontainers.core.config import testcontainers_config

from eventlog.errors import Unavailable
from eventlog.log import Outgoing
from eventlog.opening import open_consumer, open_producer
from eventlog.provision import provision
from eventlog.settings import LogSettings
from tests.services.broker import server_properties
from tests.services.engine import Engine
from tests.services.images import image_of
from tests.services.kafka_container import KafkaContainer
from tests.services.postgres_container import PostgresContainer
from tests.services.provider import provider


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A stand-in that only notes."""
    with standing_in(tmp_path, monkeypatch, runs=False) as engine:
        yield engine


@pytest.fixture
def running_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The real engine where there is one, else a stand-in that runs the command."""
    if provider() == "docker":
        yield
    else:
        with standing_in(tmp_path, monkeypatch, runs=True):
            yield


@contextlib.contextmanager
def standing_in(folder: Path, monkeypatch: pytest.MonkeyPatch, *, runs: bool) -> Iterator[Engine]:
    (folder / "engine").mkdir()
    engine = Engine(folder / "engine", runs=runs)
    monkeypatch.setenv("DOCKER_HOST", engine.address)
    # What removes containers of killed test runs is an image as well, and not what is looked at here.
    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", True)
    yield engine
    engine.close()


async def kept(settings: LogSettings) -> set[bytes]:
    topic = settings.topic_prefix + "events.v1"
    consumer = open_consumer(settings, [topic])
    await consumer.start()
    try:
        async with asyncio.timeout(60):
            while not (records := await consumer.poll(10, 0.5)):
                pass
        return {record.value or b"" for record in records}
    finally:
        await consumer.stop()


def test_a_broker_in_a_container_freezes_crashes_and_keeps_its_data_and_port(
    running_engine: None, tmp_path: Path
) -> None:
    broker = KafkaContainer(tmp_path / "kafka", secure=True)
    settings = LogSettings(data=tmp_path, log=broker.url, secret=SecretStr("s"), append_deadline=30)
    hasty = settings.model_copy(update={"append_deadline": 0.5})
    record = Outgoing(settings.topic_prefix + "events.v1", b"k", b"value", (), 1_795_000_000_000)

    async def append() -> None:
        patient, impatient = open_producer(settings), open_producer(hasty)
        await patient.start()
        await impatient.start()
        await patient.append([record])
        broker.freeze()
        with pytest.raises(Unavailable):
            await impatient.append([record])
        broker.thaw()
        await impatient.stop()
        await patient.stop()

    try:
        broker.start()
        asyncio.run(provision(settings, apply=True))
        asyncio.run(append())
        broker.kill()
        broker.start()
        assert asyncio.run(kept(settings)) == {b"value"}
    finally:
        broker.stop()


def test_a_broker_that_ends_at_its_start_says_why(running_engine: None, tmp_path: Path) -> None:
    broker = KafkaContainer(tmp_path / "kafka")
    broker._container.settings.with_command(["sh", "-c", "echo no such option; exit 1", "kafka"])
    try:
        with pytest.raises(RuntimeError, match="no such option"):
            broker.start()
    finally:
        broker.stop()


def test_of_a_broker_the_engine_is_asked_what_compose_and_the_local_broker_say(engine: Engine, tmp_path: Path) -> None:
    broker = KafkaContainer(tmp_path / "kafka", secure=True)
    broker._container.start()
    broker.freeze()
    broker.thaw()
    broker.freeze()
    broker.kill()
    broker._container.start()
    broker.stop()
    (box,) = engine.boxes
    assert engine.pulled == [image_of("kafka")]
    assert box.configuration["Image"] == image_of("kafka")
    found = re.search(r":(\d+)\?", broker.url)
    assert found
    port = found[1]
    published = [{"HostIp": "127.0.0.1", "HostPort": port}]
    assert box.configuration["HostConfig"]["PortBindings"] == {f"{port}/tcp": published}
    properties = (box.folder / "etc/kafka/tests.properties").read_text()
    wanted = server_properties(broker._address, "/var/lib/kafka/data", "/etc/kafka/tests.pem")
    assert properties == box.moved(wanted)
    assert f"listeners=SASL_SSL://0.0.0.0:{port},CONTROLLER://127.0.0.1:" in properties
    assert f"advertised.listeners=SASL_SSL://127.0.0.1:{port}\n" in properties
    assert (box.folder / "etc/kafka/tests.pem").read_text().count("-----BEGIN ") == 2
    # One container for both starts: its volume and its port stay.
    asked = ["start", "pause", "unpause", "pause", "unpause", "kill", "start", "remove v=True&link=False&force=True"]
    assert engine.asked == asked


def test_a_server_in_a_container_is_asked_by_tcp_and_makes_databases(engine: Engine) -> None:
    server = PostgresContainer()
    server._container.start()
    url = server.new_database()
    server.stop()
    (box,) = engine.boxes
    assert box.configuration["Image"] == image_of("postgres")
    assert box.configuration["Cmd"][0] == "postgres"
    assert "fsync=off" in box.configuration["Cmd"]
    assert "POSTGRES_HOST_AUTH_METHOD=trust" in box.configuration["Env"]
    found = re.fullmatch(r"postgresql://trackway:trackway@127\.0\.0\.1:(\d+)/(t\w{12})", url)
    assert found
    assert box.configuration["HostConfig"]["PortBindings"] == {
        "5432/tcp": [{"HostIp": "127.0.0.1", "HostPort": found[1]}]
    }
    assert engine.asked == ["start", f"createdb -U trackway {found[2]}", "remove v=True&link=False&force=True"]
