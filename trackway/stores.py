"""The store for services and commands: open, its tables brought up to date."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from exporter.store import Store, open_store
from trackway.commands import run
from trackway.settings import Settings


@contextlib.asynccontextmanager
async def opened_store(settings: Settings) -> AsyncIterator[Store]:
    """The store, its tables brought up to date. Raises Unavailable."""
    store = await open_store(settings)
    try:
        await store.migrate()
        yield store
    finally:
        await store.close()


def with_store(settings: Settings, work: Callable[[Store], Awaitable[int]]) -> int:
    """Run a coroutine with the open, migrated store."""

    async def opened() -> int:
        async with opened_store(settings) as store:
            return await work(store)

    return run(opened)
