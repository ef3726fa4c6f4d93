"""`trackway aggregate`: one aggregator, on its own or as the child of `up`."""

from __future__ import annotations

from eventlog.security_headers import FOR_DATA
from exporter.aggregate import Progress
from exporter.aggregate import aggregate as fold_the_log
from exporter.clock import keep_time
from exporter.health import health_app, of_aggregator
from exporter.outbox import send_outbox
from exporter.state import AggregatorState
from trackway.child import answer_the_parent, checks_told
from trackway.printing import say
from trackway.process import all_of, listening, look_for_garbage_less_often, opened_producer
from trackway.serving import WithHeaders, address_of, serve, stopping
from trackway.settings import Settings
from trackway.stores import opened_store


async def aggregate(settings: Settings, *, child: bool = False) -> None:
    """Run an aggregator until TERM or INT; as a child of `up` it has no listener and stops when stdin ends."""
    progress = Progress()
    async with opened_store(settings) as store, opened_producer(settings) as producer, stopping() as stop:
        state = AggregatorState(settings, store, progress)
        works = [fold_the_log(settings, store, stop, progress), send_outbox(store, producer, stop)]
        works += [keep_time(settings, store, stop), state.watch(stop)]
        look_for_garbage_less_often()
        if child:
            answers = {"numbers": lambda: state.numbers().told(), "checks": lambda: checks_told(state.checks())}
            works.append(answer_the_parent(stop, answers))
            await all_of(works)
            return
        with listening(settings.aggregate.listen) as sock:
            health = WithHeaders(health_app(of_aggregator(state)), FOR_DATA)
            works.append(serve(health, sock, stop, settings.drain_time, settings.connections))
            say(f"Ready: http://{address_of(sock)} (aggregator, store: {store.dialect})")
            await all_of(works)
