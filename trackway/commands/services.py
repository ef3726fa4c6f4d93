"""`up`, `collect`, `aggregate`, `export`: the processes that stay."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Awaitable, Callable

from eventlog.errors import Unavailable
from trackway import services
from trackway.commands import run
from trackway.settings import Settings
from trackway.up import up as run_up


def up(settings: Settings, arguments: Namespace) -> int:
    """Everything by one command."""
    return _serve(lambda: run_up(settings, arguments))


def collect(settings: Settings, _: Namespace) -> int:
    """One collector."""
    return _serve(lambda: services.collect(settings))


def aggregate(settings: Settings, arguments: Namespace) -> int:
    """One aggregator."""
    return _serve(lambda: services.aggregate(settings, child=arguments.stop_with_stdin))


def export(settings: Settings, _: Namespace) -> int:
    """Scheduled exports, API and console."""
    return _serve(lambda: services.export(settings))


def _serve(service: Callable[[], Awaitable[None]]) -> int:
    async def work() -> int:
        try:
            await service()
        except services.CannotListen as error:
            raise Unavailable(str(error)) from None
        return 0

    return run(work)
