"""The disk is full: nothing more is acknowledged, nothing acknowledged is lost, and once there is room again all goes
on by itself.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.end_to_end.installation import embedded
from tests.services import Kafka
from tests.soak import checks
from tests.soak.conftest import NewSite
from tests.soak.load import Load
from tests.soak.progress import Progress
from tests.soak.report import Report

MB = 2**20
SmallDisk = Callable[[str, int], Path]


def until_answered(status: str, report: Report, seconds: float = 60) -> None:
    """Wait until this status is answered to something sent from now on."""
    begun = time.monotonic()
    while not any(str(one.status) == status and one.begun > begun for one in report.tries()):
        assert time.monotonic() - begun < seconds, f"no {status} within {seconds:.0f} s: {report.answers}"
        time.sleep(0.1)


def fill(folder: Path, leave: int = 0) -> Path:
    """A file that takes all room of the folder's file system but so many bytes."""
    file = folder / "ballast"
    with file.open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while True:
            ballast.write(bytes(4096))
    os.truncate(file, max(0, file.stat().st_size - leave))
    return file


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_disk_of_the_spool_is_full(
    new_site: NewSite,
    kafka: Kafka,
    frozen: Callable[[], AbstractContextManager[None]],
    small_disk: SmallDisk,
    progress: Progress,
) -> None:
    disk = small_disk("data", 24 * MB)
    more = "spool: {min_free_bytes: 1000000}\n"
    with new_site(kafka.url, more) as site, Load(site.collector, 200) as load:
        progress.during("normal", 3, load.report)
        with frozen():
            progress.during("frozen", 3, load.report)
            assert load.report.answers.keys() == {"200"}
            ballast = fill(disk, 2 * MB)
            until_answered("507", load.report)
            progress.say("507 answered", load.report)
            progress.during("full", 5, load.report)
            ballast.unlink()
            until_answered("200", load.report)
            progress.say("room was made: 200 again, Kafka still frozen", load.report)
            fill(disk, 2 * MB)
            until_answered("507", load.report)
        until_answered("200", load.report)
        progress.say("Kafka thawed: 200 again, the disk still full", load.report)
        (disk / "ballast").unlink()
        progress.during("normal", 3, load.report)
        report = checks.stop_and_check(site, load, progress)
        assert report.answers.keys() == {"200", "507"}


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("stands_on_it", ["log", "log and store"])
def test_disk_of_one_machine_is_full(
    stands_on_it: str, tmp_path: Path, small_disk: SmallDisk, progress: Progress
) -> None:
    disk = small_disk("disk", 96 * MB)
    store = f"sqlite:///{disk}/store.db" if "store" in stands_on_it else ""
    with embedded(tmp_path, log=f"sqlite:///{disk}/log", store=store) as site, Load(site.collector, 200) as load:
        progress.during("normal", 3, load.report)
        for _ in range(2):
            ballast = fill(disk, MB // 4)
            until_answered("507", load.report)
            progress.say("507 answered", load.report)
            progress.during("full", 5, load.report)
            ballast.unlink()
            until_answered("200", load.report)
            progress.during("room was made: 200 again", 3, load.report)
        report = checks.stop_and_check(site, load, progress)
        assert report.answers.keys() == {"200", "507"}
