"""`trackway collect --workers N`: collectors as processes of their own on one port, and a parent that watches them.

Each worker has a listening socket of its own on the same port (SO_REUSEPORT), made and held open by the parent: the
kernel spreads connections over them, and what waits at a dead worker's is taken up by the one that replaces it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from argparse import Namespace
from collections.abc import Iterator, Sequence
from typing import Final

from eventlog.numbers import Numbers
from eventlog.readiness import Check, put_checks, worst
from trackway.child import Child, checks_heard, watched
from trackway.collecting import listening_for_the_platform, ready_line, refuse_without_geo
from trackway.platform import Platform
from trackway.printing import say
from trackway.process import CannotListen, all_of
from trackway.serving import bind, serve, stopping
from trackway.settings import ConfigError, Settings

# Beyond the time a worker has to stop.
_GRACE_SECONDS: Final = 3.0


async def collect_with_workers(settings: Settings, arguments: Namespace) -> None:
    """Run them until TERM or INT. Raises Unavailable when one does not start, in several tries; CannotListen;
    ConfigError."""
    if not settings.is_kafka:
        raise ConfigError(
            ["--workers: the embedded log has one collector; set `log: kafka://host:9092` to run several"]
        )
    refuse_without_geo(settings)
    with contextlib.ExitStack() as stack:
        socks = stack.enter_context(_listening(settings.listen, arguments.workers))
        own_sock = stack.enter_context(listening_for_the_platform(settings))
        async with stopping() as stop:
            children = [
                Child(f"worker {number}", arguments, ("collect", f"--inherited-socket={one.fileno()}"), one.fileno())
                for number, one in enumerate(socks)
            ]
            workers = Workers(children)
            with _hangups_passed_on(children):
                async with watched(children, stop, settings.drain_time + _GRACE_SECONDS):
                    line = ready_line(settings, socks[0], f"{len(children)} collectors")
                    works = [workers.say_ready(stop, line), workers.stop_with(stop, socks)]
                    if own_sock is not None:
                        platform = Platform(("collector",), workers.checks, workers.numbers)
                        works.append(serve(platform, own_sock, stop, settings.drain_time, settings.connections))
                    await all_of(works)


class Workers:
    """What they tell together."""

    def __init__(self, children: Sequence[Child]) -> None:
        self._children = children

    async def say_ready(self, stop: asyncio.Event, line: str) -> None:
        """Say so once all take events."""
        ready = asyncio.create_task(self._all_ready())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({ready, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            say(line)
        ready.cancel()
        stopped.cancel()
        await asyncio.wait({ready, stopped})

    async def _all_ready(self) -> bool:
        for child in self._children:
            await child.ready.wait()
        return True

    async def stop_with(self, stop: asyncio.Event, socks: Sequence[socket.socket]) -> None:
        """Once `stop` is set, tell them, and take no more connections."""
        await stop.wait()
        for one in socks:
            one.close()
        for child in self._children:
            child.signal(signal.SIGTERM)

    async def checks(self) -> list[Check]:
        """Their checks as one."""
        told = await asyncio.gather(*(child.ask("checks") for child in self._children))
        heard = [checks_heard(one) for one in told if one is not None]
        missing = len(told) - len(heard)
        why = f"{missing} of {len(told)} workers do not answer" if missing else None
        return [*worst(heard), Check("workers", why, decides=not heard)]

    async def numbers(self) -> Numbers:
        """Their numbers as one."""
        numbers = Numbers()
        for told in await asyncio.gather(*(child.ask("numbers") for child in self._children)):
            if told is not None:
                numbers.add(Numbers.heard(told))
        numbers.put("trackway_child_deaths_total", sum(child.deaths for child in self._children), "collector")
        put_checks(numbers, "collector", await self.checks())
        return numbers


@contextlib.contextmanager
def _listening(listen: str, count: int) -> Iterator[list[socket.socket]]:
    socks: list[socket.socket] = []
    with contextlib.ExitStack() as stack:
        try:
            # Sharing a port is for our own workers: with another process there it must fail.
            with contextlib.closing(bind(listen)) as probe:
                port = probe.getsockname()[1]
            address = f"{listen.rpartition(':')[0]}:{port}"
            for _ in range(count):
                socks.append(stack.enter_context(contextlib.closing(bind(address, shared=True))))
        except OSError as error:
            raise CannotListen(f"cannot listen on {listen}: {error.strerror}; is another process there?") from None
        yield socks


@contextlib.contextmanager
def _hangups_passed_on(children: Sequence[Child]) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def pass_on() -> None:
        for child in children:
            child.signal(signal.SIGHUP)

    loop.add_signal_handler(signal.SIGHUP, pass_on)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
