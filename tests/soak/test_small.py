"""The scenarios of `make soak` in small, for every run of the tests: one of each, one after the other, in seconds."""

from __future__ import annotations

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
from tests.soak.test_kills import SERVICES
from tests.soak.test_term import gone, nobody_was_cut_off


@pytest.mark.timeout(240)
def test_a_frozen_broker_then_term_then_everything_killed(
    new_site: NewSite, kafka: Kafka, frozen: Callable[[], AbstractContextManager[None]], progress: Progress
) -> None:
    with new_site(kafka.url) as site, Load(site.collector, 100, connections=40) as load:
        progress.during("normal", 1, load.report)
        with frozen():
            progress.during("frozen", 3, load.report)
        checks.until_in_topic(site, load.report, 60)
        assert load.report.answers.keys() == {"200"}, load.report.answers
        with gone(site, "collector", load.report, progress):
            pass
        progress.during("again", 0.5, load.report)
        nobody_was_cut_off(load.report)
        assert checks.read_topic(site).twins == 0
        load.report.life += 1
        services = [site.processes[name] for name in SERVICES]
        kafka.kill()
        for service in services:
            service.crash()
        progress.say("all killed", load.report)
        kafka.start()
        for service in services:
            service.restart()
        for service in services:
            service.ready()
        progress.during("all up", 1, load.report)
        checks.all_of_it(site, [load.stop()])
        checks.ledger_misses_a_record(site)


@pytest.mark.timeout(240)
def test_everything_in_one_command_killed_and_ended(tmp_path: Path, progress: Progress) -> None:
    with embedded(tmp_path) as site, Load(site.collector, 100, connections=40) as load:
        progress.during("normal", 1, load.report)
        with gone(site, "up", load.report, progress):
            pass
        progress.during("again", 0.5, load.report)
        nobody_was_cut_off(load.report)
        site.kill_aggregator()
        progress.during("aggregator was killed", 1, load.report)
        load.report.life += 1
        site.processes["up"].crash_and_restart()
        site.processes["up"].ready()
        progress.during("up was killed", 1, load.report)
        checks.all_of_it(site, [load.stop()])
        checks.ledger_misses_a_record(site)
