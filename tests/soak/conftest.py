"""Installations for the scenarios: small in `make test`, long in `make soak`."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.end_to_end.installation import Installation, cluster
from tests.services import Kafka, Postgres
from tests.services.brokers import Brokers, start_brokers
from tests.soak.progress import Progress

# Makes an installation on a log, with lines of its own in its settings file.
NewSite = Callable[..., contextlib.AbstractContextManager[Installation]]


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    with start_brokers(tmp_path_factory.mktemp("brokers")) as three:
        yield three


@pytest.fixture
def new_site(tmp_path: Path, postgres: Postgres) -> NewSite:
    """A cluster's installation in the test's folder; `log` is a broker's URL."""

    def new(log: str, more: str = "") -> contextlib.AbstractContextManager[Installation]:
        return cluster(tmp_path, log, postgres.new_database(), more=more, shop_front=False)

    return new


@pytest.fixture
def progress(request: pytest.FixtureRequest) -> Progress:
    return Progress(request.node.name.removeprefix("test_"))


@pytest.fixture
def chance(progress: Progress) -> random.Random:
    """What decides moments and victims; SOAK_SEED=… has a run again."""
    seed = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(10**6))
    progress.say(f"SOAK_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def frozen(kafka: Kafka) -> Callable[[], contextlib.AbstractContextManager[None]]:
    """A broker that stands still for the length of a block, whatever happens in it."""

    @contextlib.contextmanager
    def standing_still() -> Iterator[None]:
        kafka.freeze()
        try:
            yield
        finally:
            kafka.thaw()

    return standing_still


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str, int], Path]]:
    """Makes a folder of the test's folder that is a file system of its own, of so many bytes."""
    mounted: list[Path] = []

    def make(name: str, size: int) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        _as_root("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        _as_root("umount", "--lazy", str(folder))


def _as_root(*command: str) -> None:
    assert sys.platform == "linux", "a small file system is a tmpfs, which Linux has"
    sudo = [] if os.getuid() == 0 else ["sudo", "-n"]
    done = subprocess.run([*sudo, *command], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"{' '.join(command)} failed (it needs root): {done.stderr}"
