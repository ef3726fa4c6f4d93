"""The place beside the store where a rebuild makes it anew, and that only one does so at a time.

PostgreSQL: a schema of the same database. SQLite: a file beside the store's. It is gone when the work ends; what a
killed process left is found and removed by the next.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from exporter.settings import ExporterSettings
from exporter.store import Store, file_of, open_beside, open_with

_NAME: Final = "trackway_rebuild"
_LOCK: Final = 7482362
_LEFTOVERS: Final = f"SELECT nspname FROM pg_namespace WHERE nspname LIKE '{_NAME}%'"
_INSUFFICIENT_PRIVILEGE: Final = "42501"
_BUSY: Final = "another rebuild of this store is at work; wait for its end"
_NOT_ALLOWED: Final = (
    "the database's user may not make a schema beside the store's; run GRANT CREATE ON DATABASE … TO … first"
)


class Busy(Exception):  # noqa: N818 - what happened
    """Another rebuild, or a comparison, is at work on this store."""


class NotAllowed(Exception):  # noqa: N818 - what happened
    """The database's user may not make a schema."""


@dataclass(frozen=True)
class Beside:
    """`anew` is the new store, `both` the live one with the new one's tables as `name`.table."""

    name: str
    anew: Store
    both: Store


@contextlib.asynccontextmanager
async def place_beside(settings: ExporterSettings, store: Store) -> AsyncIterator[Beside]:
    """An empty store beside `store`, for the time of the block. Raises Busy, NotAllowed, Unavailable."""
    # A name of its own: should the lock be lost with its connection, the next one's place is not taken for ours.
    name = f"{_NAME}_{uuid.uuid4().hex[:8]}"
    async with contextlib.AsyncExitStack() as stack:
        if store.dialect == "sqlite":
            stack.enter_context(_only_one(file_of(settings)))
            stack.enter_context(_file_of_its_own(file_of(settings)))
        else:
            await stack.enter_async_context(_schema(store, name))
        anew = await open_beside(settings, name)
        stack.push_async_callback(anew.close)
        await anew.migrate()
        both = await open_with(settings, name)
        stack.push_async_callback(both.close)
        yield Beside(name, anew, both)


@contextlib.contextmanager
def _only_one(file: Path) -> Iterator[None]:
    # The folder, because closing a file of SQLite's would let go of the locks that SQLite has on it.
    descriptor = os.open(file.parent, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(_BUSY) from None
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _file_of_its_own(file: Path) -> Iterator[None]:
    _remove_files(file)
    try:
        yield
    finally:
        _remove_files(file)


def _remove_files(store: Path) -> None:
    for one in store.parent.glob(f"{store.name}.{_NAME}_*"):
        one.unlink()


@contextlib.asynccontextmanager
async def _schema(store: Store, name: str) -> AsyncIterator[None]:
    async with store.lock(_LOCK) as free:
        if not free:
            raise Busy(_BUSY)
        await _drop_schemas(store)
        try:
            async with store.write() as connection:
                await connection.execute(text(f"CREATE SCHEMA {name}"))
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _INSUFFICIENT_PRIVILEGE:
                raise
            raise NotAllowed(_NOT_ALLOWED) from None
        try:
            yield
        finally:
            await _drop_schemas(store)


async def _drop_schemas(store: Store) -> None:
    async with store.write() as connection:
        for (left,) in list(await connection.execute(text(_LEFTOVERS))):
            await connection.execute(text(f'DROP SCHEMA "{left}" CASCADE'))
