"""TERM under load: the process leaves with 0 in time, nothing is lost, and no client sees a connection reset."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.end_to_end.installation import Installation, embedded
from tests.services import Kafka
from tests.soak import checks
from tests.soak.conftest import NewSite
from tests.soak.load import Load
from tests.soak.progress import Progress
from tests.soak.report import Report

DRAIN_TIME = 25.0
# `refused`: before a process listens again, or not any more.
FINE = {"200", "refused"}


@contextlib.contextmanager
def gone(site: Installation, name: str, report: Report, progress: Progress) -> Iterator[None]:
    """A service ended by TERM, and started again at the block's end."""
    took = site.processes[name].term(DRAIN_TIME)
    progress.say(f"{name} left with 0 after {took:.1f} s, at {time.monotonic():.1f}", report)
    report.life += 1
    yield
    site.processes[name].restart()
    site.processes[name].ready()


def nobody_was_cut_off(report: Report) -> None:
    """Every request was answered, or met nobody at all."""
    tries = [(tried, one) for one in list(report.asked) for tried in one.tries]
    cut_off = [one for tried, one in tries if str(tried.status or tried.failure) not in FINE]
    assert not cut_off, f"{report.answers}\n" + "\n".join(str(one) for one in cut_off[:5])


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_term_under_load(new_site: NewSite, kafka: Kafka, progress: Progress) -> None:
    with new_site(kafka.url) as site, Load(site.collector, 500) as load:
        for name in ("collector", "aggregator", "exporter"):
            progress.during(f"TERM to the {name} next", 3, load.report)
            with gone(site, name, load.report, progress):
                pass
        report = checks.stop_and_check(site, load, progress)
        nobody_was_cut_off(report)


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_term_with_a_frozen_broker(
    new_site: NewSite, kafka: Kafka, frozen: Callable[[], AbstractContextManager[None]], progress: Progress
) -> None:
    with new_site(kafka.url) as site, Load(site.collector, 500) as load:
        progress.during("normal", 3, load.report)
        for wait in (0.2, 4.0):
            load.report.phase("frozen")
            with frozen():
                progress.during("frozen", wait, load.report)
                took = site.processes["collector"].term(DRAIN_TIME)
                progress.say(f"collector left with 0 after {took:.1f} s", load.report)
                load.report.life += 1
                took = site.processes["aggregator"].term(DRAIN_TIME)
                progress.say(f"aggregator left with 0 after {took:.1f} s", load.report)
            for name in ("collector", "aggregator"):
                site.processes[name].restart()
                site.processes[name].ready()
            load.report.phase("normal")
            progress.during("thawed", 3, load.report)
        report = checks.stop_and_check(site, load, progress)
        nobody_was_cut_off(report)


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_term_of_everything_in_one_command(tmp_path: Path, progress: Progress) -> None:
    with embedded(tmp_path) as site, Load(site.collector, 300) as load:
        for _ in range(2):
            progress.during("TERM next", 3, load.report)
            with gone(site, "up", load.report, progress):
                pass
        report = checks.stop_and_check(site, load, progress)
        nobody_was_cut_off(report)
