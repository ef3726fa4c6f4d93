"""What the processes that stay have in common: listening, the log's producer, garbage, running several works."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import socket
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence

from eventlog.log import Producer
from eventlog.opening import open_producer
from eventlog.settings import LogSettings
from eventlog.slot import Slot
from trackway.serving import bind

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8


class CannotListen(Exception):  # noqa: N818 - what happened
    """An address is taken or not this machine's."""


def look_for_garbage_less_often() -> None:
    """Have Python look for cycles of garbage less often: what comes and goes here has hardly any, and looking took a
    tenth and more of a busy aggregator's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def give_memory_back() -> None:
    """Have glibc give back at once what large bodies took, instead of keeping it for the next ones: it would settle at
    several times what is ever in use."""
    with contextlib.suppress(OSError, AttributeError):  # another C library needs none of it
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 256 * 1024)
        mallopt(_M_TRIM_THRESHOLD, 1024 * 1024)
        mallopt(_M_ARENA_MAX, 2)


async def all_of(works: Sequence[Awaitable[None]]) -> None:
    """Run all until they end; the first that fails ends the others and is raised as it is."""

    async def one(work: Awaitable[None]) -> None:
        await work

    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(one(work))
    except BaseExceptionGroup as failed:
        raise _first(failed) from None


def _first(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    inner = failed.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


@contextlib.contextmanager
def listening(listen: str) -> Iterator[socket.socket]:
    """A listening socket. Raises CannotListen."""
    try:
        sock = bind(listen)
    except OSError as error:
        raise CannotListen(f"cannot listen on {listen}: {error.strerror}; is another process there?") from None
    with contextlib.closing(sock):
        yield sock


@contextlib.asynccontextmanager
async def opened_producer(settings: LogSettings, slot: Slot | None = None) -> AsyncIterator[Producer]:
    """A started producer, with a spool where it has a slot. Raises Unavailable."""
    producer = open_producer(settings, slot)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()
