"""Whatever came in whatever order and batches: a store made anew from the log is the same."""

from __future__ import annotations

import itertools
import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventlog.event import Event
from exporter.rules import Rules
from exporter.settings import ExporterSettings
from tests.rebuild.site import Site, with_rules
from tests.rules import strategies
from tests.store.folding import shelf_of_examples


def check_random_sites(made: ExporterSettings, examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(strategies.events | strategies.one_browser(), strategies.all_rules, st.randoms(use_true_random=False))
    def check(events: list[Event], rules: Rules, chance: random.Random) -> None:
        async def scenario() -> None:
            await shelf.clear()
            log = {"log": f"sqlite:///{made.data}/log-{next(numbers)}"}
            site = Site(shelf, chance)
            site.use(with_rules(made.model_copy(update=log), rules))
            await site.post(events)
            await site.fold()
            # Marks may wait; what they lead to is compared.
            assert await site.compare() == []
            await shelf.make_profiles()
            await site.agree()
            assert await site.rebuild() == []
            await site.agree()

        run(scenario())

    numbers = itertools.count()
    with shelf_of_examples(made) as (shelf, run):
        check()


def test_a_store_made_anew_is_the_same(made: ExporterSettings) -> None:
    check_random_sites(made, 8)
