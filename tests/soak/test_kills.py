"""Every process is killed at random moments under load: nothing acknowledged is lost, nothing counts twice."""

from __future__ import annotations

import random
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.installation import Installation, embedded, eventually
from tests.services import Kafka
from tests.soak import checks
from tests.soak.conftest import NewSite
from tests.soak.load import Load
from tests.soak.progress import Progress
from tests.soak.report import Report

SERVICES = ("collector", "aggregator", "exporter")
VICTIMS = (*SERVICES, "broker")


def kill(victim: str, site: Installation, kafka: Kafka, report: Report) -> None:
    """SIGKILL, and a start as whoever looks after the cluster would."""
    if victim == "broker":
        kafka.kill()
        kafka.start()
        return
    service = site.processes[victim]
    if victim == "collector":
        # What was asked of the old one and what is asked of the new one are two lives apart.
        report.life += 1
    service.crash_and_restart()
    service.ready()


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_twenty_kills(new_site: NewSite, kafka: Kafka, chance: random.Random, progress: Progress) -> None:
    victims = list(VICTIMS) * 5
    chance.shuffle(victims)
    with new_site(kafka.url) as site, Load(site.collector, 300) as load:
        for number, victim in enumerate(victims, 1):
            progress.during(f"round {number}: {victim} next", chance.uniform(0.5, 3.5), load.report)
            kill(victim, site, kafka, load.report)
        progress.during("all up", 5, load.report)
        checks.stop_and_check(site, load, progress, may_have_twins=True)


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_kills_of_workers(new_site: NewSite, kafka: Kafka, chance: random.Random, progress: Progress) -> None:
    with new_site(kafka.url) as site:
        collector = site.processes["collector"]
        collector.term(30)
        collector.command += ["--workers", "2"]
        collector.restart()
        collector.ready()
        with Load(site.collector, 300) as load:
            for _ in range(5):
                progress.during("a worker next", chance.uniform(0.5, 3.0), load.report)
                load.report.life += 1
                replaced(psutil.Process(collector.process.pid), chance)
            progress.during("all up", 3, load.report)
            checks.stop_and_check(site, load, progress, may_have_twins=True)


def replaced(parent: psutil.Process, chance: random.Random) -> None:
    """SIGKILL to one of a process's children; waits until there are as many as before."""
    before = parent.children()
    victim = chance.choice(before)
    victim.kill()

    def is_there() -> bool:
        now = parent.children()
        return victim not in now and len(now) == len(before)

    eventually(is_there, "a new worker")


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_kills_of_everything_in_one_command(tmp_path: Path, chance: random.Random, progress: Progress) -> None:
    with embedded(tmp_path) as site, Load(site.collector, 300) as load:
        for victim in chance.sample(["up", "aggregator"] * 4, 8):
            progress.during(f"{victim} next", chance.uniform(0.5, 4.0), load.report)
            if victim == "aggregator":
                site.kill_aggregator()
            else:
                load.report.life += 1
                site.processes["up"].crash_and_restart()
                site.processes["up"].ready()
        progress.during("all up", 5, load.report)
        checks.stop_and_check(site, load, progress, may_have_twins=True)
