"""What tests/install-services does on a bare machine, told by programs that only note how they are called."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.services.engine import Engine
from tests.services.images import kafka_version
from tests.services.provider import VARIABLE

# What even a bare machine has.
_HAS = ("bash", "cat", "chmod", "dirname", "env", "id", "mkdir", "mktemp", "mv", "rm", "tee")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in _HAS:
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    for name in ("apt-get", "mvn", "npm", "sudo"):
        # sudo only runs the rest; what Maven is told to fill exists afterwards.
        script = f'#!/bin/bash\necho "{name} $*" >> {tmp_path}/calls\n'
        script += 'for word; do case $word in -DoutputDirectory=*) mkdir -p "${word#*=}";; esac; done\n'
        (folder / name).write_text('#!/bin/bash\nexec "$@"\n' if name == "sudo" else script)
        (folder / name).chmod(0o755)
    return tmp_path


def installed(bare: Path, **environment: str) -> tuple[str, str]:
    """What the installer called, and what it said."""
    environ = {"PATH": str(bare / "bin"), "HOME": str(bare), "XDG_CACHE_HOME": str(bare / "cache"), **environment}
    done = subprocess.run(
        ["tests/install-services"], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    calls = bare / "calls"
    return calls.read_text() if calls.exists() else "", done.stderr


def test_on_a_bare_machine_it_installs_and_names_everything(bare: Path) -> None:
    (bare / "bin/mvn").rename(bare / "mvn")
    (bare / "bin/apt-get").write_text(f'#!/bin/bash\necho "apt-get $*" >> {bare}/calls\ncp {bare}/mvn {bare}/bin/mvn\n')
    (bare / "bin/cp").symlink_to(shutil.which("cp") or "")
    calls, said = installed(bare, **{VARIABLE: "local"})
    for package in ("chromium", "firefox-esr", "openssl", "nodejs", "default-jre-headless", "maven"):
        assert f" {package}" in calls.split("\n")[1]
        assert f" {package}" in said
    assert f"mvn -q -B -f tests/services/kafka.xml -Dkafka.version={kafka_version()}" in calls
    assert f"fetching Kafka {kafka_version()}" in said
    assert os.listdir(bare / "cache/trackway") == [f"kafka-{kafka_version()}"]


def test_with_docker_it_installs_nothing_for_kafka_and_postgresql(bare: Path) -> None:
    folder = bare / "engine"
    folder.mkdir()
    engine = Engine(folder)
    calls, said = installed(bare, DOCKER_HOST=engine.address)
    engine.close()
    assert "apt-get install -qq -y --no-install-recommends chromium firefox-esr openssl nodejs\n" in calls
    for word in ("jre", "maven", "postgresql", "kafka.version", "Kafka"):
        assert word not in calls + said


def test_where_all_is_there_it_says_nothing(bare: Path) -> None:
    for name in ("chromium", "firefox-esr", "openssl", "node", "java", "initdb"):
        (bare / "bin" / name).symlink_to(bare / "bin/npm")
    (bare / f"cache/trackway/kafka-{kafka_version()}").mkdir(parents=True)
    assert installed(bare, **{VARIABLE: "local"}) == ("", "")
