"""Who provides Kafka and PostgreSQL, how Docker is asked, and what happens when nobody can."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.services.chromium import find_chromium
from tests.services.engine import Engine
from tests.services.firefox import find_firefox
from tests.services.images import image_of, kafka_version
from tests.services.kafka_process import KafkaProcess
from tests.services.missing import MissingService
from tests.services.provider import VARIABLE, NoProvider, choose, engine_answers


def never() -> bool:
    raise AssertionError("Docker must not be asked")


def test_the_wish_decides_and_without_one_docker_serves_where_it_answers() -> None:
    assert choose("local", never) == "local"
    assert choose("docker", lambda: True) == "docker"
    assert choose("", lambda: True) == "docker"
    assert choose("", lambda: False) == "local"
    with pytest.raises(NoProvider, match="no Docker engine of this machine answers"):
        choose("docker", lambda: False)
    with pytest.raises(NoProvider, match="must be local or docker"):
        choose("podman", never)


def test_an_engine_is_asked_by_its_socket_and_must_answer_soon(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    assert engine_answers(engine.address)
    engine.close()
    assert not engine_answers(engine.address)
    assert not engine_answers(f"unix://{tmp_path}/nothing.sock")
    assert not engine_answers("tcp://127.0.0.1:2375")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent.sock"))
        silent.listen()
        begun = time.monotonic()
        assert not engine_answers(f"unix://{tmp_path}/silent.sock", deadline=0.2)
        assert time.monotonic() - begun < 2


def told(**environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.services"]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_installer_is_told_the_provider_and_the_version(tmp_path: Path) -> None:
    assert told(**{VARIABLE: "local"}).stdout == f"local {kafka_version()}\n"
    nobody = f"unix://{tmp_path}/nothing.sock"
    assert told(DOCKER_HOST=nobody).stdout.startswith("local ")
    refused = told(**{VARIABLE: "docker"}, DOCKER_HOST=nobody)
    assert refused.returncode != 0
    assert "start it, or say local" in refused.stderr
    engine = Engine(tmp_path)
    assert told(DOCKER_HOST=engine.address).stdout == f"docker {kafka_version()}\n"
    engine.close()


def test_a_missing_service_is_an_error_that_names_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingService, match=r"Kafka is missing: run `make test-deps`"):
        KafkaProcess(tmp_path)
    with pytest.raises(MissingService, match=r"Chromium is missing: run `make test-deps`"):
        find_chromium()
    with pytest.raises(MissingService, match=r"Firefox is missing: run `make test-deps`"):
        find_firefox()


def test_images_and_jars_are_one_pinned_version() -> None:
    assert re.fullmatch(r"apache/kafka:\d+\.\d+\.\d+", image_of("kafka"))
    assert re.fullmatch(r"postgres:\d+\.\d+", image_of("postgres"))
    assert re.fullmatch(r"\d+\.\d+\.\d+", kafka_version())
