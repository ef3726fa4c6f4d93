"""`up`, `collect`, `aggregate`, `export`: the processes that stay. Each loads what it needs itself, and no more."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Awaitable, Callable

from eventlog.errors import Unavailable
from trackway.commands import run
from trackway.process import CannotListen
from trackway.settings import ConfigError, Settings


def up(settings: Settings, arguments: Namespace) -> int:
    """Everything by one command."""
    from trackway.up import up as run_up

    return _serve(lambda: run_up(settings, arguments))


def collect(settings: Settings, arguments: Namespace) -> int:
    """One collector, or several workers on one port."""
    from trackway.collecting import collect as run_one
    from trackway.collecting import work

    if arguments.inherited_socket is not None:
        return _serve(lambda: work(settings, arguments))
    if arguments.workers == 1:
        return _serve(lambda: run_one(settings, arguments))
    if arguments.workers < 1:
        raise ConfigError([f"--workers: {arguments.workers} are none; write 1 or more"])
    from trackway.workers import collect_with_workers

    return _serve(lambda: collect_with_workers(settings, arguments))


def aggregate(settings: Settings, arguments: Namespace) -> int:
    """One aggregator."""
    from trackway.aggregating import aggregate as run_aggregate

    return _serve(lambda: run_aggregate(settings, child=arguments.stop_with_stdin))


def export(settings: Settings, _: Namespace) -> int:
    """Scheduled exports, API and console."""
    from trackway.exporting import export as run_export

    return _serve(lambda: run_export(settings))


def _serve(service: Callable[[], Awaitable[None]]) -> int:
    async def work() -> int:
        try:
            await service()
        except CannotListen as error:
            raise Unavailable(str(error)) from None
        return 0

    return run(work)
