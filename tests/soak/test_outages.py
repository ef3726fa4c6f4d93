"""Kafka stands still, loses a leader, or comes back to a collector that died meanwhile."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from eventlog.topics import EVENTS
from tests.end_to_end.installation import Installation
from tests.services import Kafka
from tests.services.brokers import Brokers
from tests.soak import checks
from tests.soak.conftest import NewSite
from tests.soak.load import Load
from tests.soak.progress import Progress
from tests.soak.report import Report
from trackway.settings import load as load_settings

APPEND_DEADLINE = 1.0
DRAINED_WITHIN = 60.0
RATE = 500

Frozen = Callable[[], AbstractContextManager[None]]


def never_refused_or_slow(report: Report) -> None:
    """Each request was answered with 200 at its first try, and in time."""
    assert report.answers.keys() == {"200"}, report.answers
    slowest = max(one.worst for one in report.latencies())
    assert slowest <= APPEND_DEADLINE + 1, f"the slowest answer took {slowest:.2f} s"


def drained(site: Installation, progress: Progress, report: Report) -> None:
    """What was acknowledged until now is in the topic in time."""
    took = checks.until_in_topic(site, report, DRAINED_WITHIN)
    progress.say(f"drained after {took:.1f} s", report)


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_broker_frozen_for_a_minute(new_site: NewSite, kafka: Kafka, frozen: Frozen, progress: Progress) -> None:
    with new_site(kafka.url) as site, Load(site.collector, RATE) as load:
        progress.during("normal", 6, load.report)
        load.report.phase("frozen")
        with frozen():
            progress.during("frozen", 60, load.report)
        load.report.phase("thawed")
        drained(site, progress, load.report)
        load.report.phase("after")
        progress.during("after", 3, load.report)
        report = checks.stop_and_check(site, load, progress)
        never_refused_or_slow(report)


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_leader_killed(new_site: NewSite, brokers: Brokers, progress: Progress) -> None:
    with new_site(brokers.url) as site, Load(site.collector, RATE) as load:
        progress.during("normal", 10, load.report)
        leader = leader_of_most(brokers, site)
        load.report.phase("killed")
        brokers.nodes[leader].kill()
        progress.during(f"broker {leader} killed", 20, load.report)
        drained(site, progress, load.report)
        load.report.phase("back")
        brokers.nodes[leader].start()
        progress.during(f"broker {leader} back", 7, load.report)
        report = checks.stop_and_check(site, load, progress)
        never_refused_or_slow(report)


def leader_of_most(brokers: Brokers, site: Installation) -> int:
    """The broker that leads most partitions of the events topic."""
    topic = EVENTS.full_name(load_settings(site.config, {}).topic_prefix)
    ((leader, _),) = Counter(brokers.leaders(topic).values()).most_common(1)
    return leader


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_collector_killed_with_batches_of_unknown_outcome(
    new_site: NewSite, kafka: Kafka, frozen: Frozen, chance: random.Random, progress: Progress
) -> None:
    # Careless: what was not answered is not sent again, so whatever stands twice was stored twice by us.
    with new_site(kafka.url) as site, Load(site.collector, RATE, careful=False) as load:
        for _ in range(3):
            progress.during("normal", 3, load.report)
            with frozen():
                progress.during("frozen", chance.uniform(0.2, 8.0), load.report)
                load.report.life += 1
                site.processes["collector"].crash()
                progress.say("collector killed", load.report)
            site.processes["collector"].restart()
            site.processes["collector"].ready()
        drained(site, progress, load.report)
        checks.stop_and_check(site, load, progress)
