"""The store: one database, SQLite or PostgreSQL, spoken to in SQLAlchemy Core and in set-based SQL.

Nothing here knows what is stored. A read sees one moment; a write is one transaction, and on SQLite the only one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote

import orjson
from sqlalchemy import event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from eventlog.errors import Unavailable
from exporter.settings import ExporterSettings

# What the database raises when it does not answer; a page says so, a loop tries again.
STORE_AWAY: Final = (OperationalError, InterfaceError, OSError, TimeoutError)

_CONNECT_SECONDS: Final = 10.0
_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA busy_timeout=30000",
    "PRAGMA cache_size=-65536",
    "PRAGMA mmap_size=2147483648",
    "PRAGMA temp_store=MEMORY",
)
_HASTY: Final = tuple(one.replace("synchronous=FULL", "synchronous=OFF") for one in _PRAGMAS)
_STATEMENT_SECONDS: Final = 120.0
# SQLSTATEs after which the same transaction may simply be run again: serialization failure, deadlock, a unique row
# that another process inserted first.
_AGAIN: Final = frozenset({"40001", "40P01", "23505"})


class Disconnected(ConnectionError):  # noqa: N818 - what happened
    """The database ended a connection in the middle of its work, which may or may not have been committed."""


class Store:
    """One open database."""

    def __init__(self, engine: AsyncEngine, dialect: Literal["sqlite", "postgresql"]) -> None:
        self._engine = engine
        self.dialect = dialect
        # SQLite has one writer; waiting here costs less than its busy handler's sleeping.
        self._writing = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection whose statements all see the same moment."""
        level = {} if self.dialect == "sqlite" else {"isolation_level": "REPEATABLE READ"}
        async with _telling_disconnection(), self._engine.connect() as connection:
            await connection.execution_options(**level)
            yield connection

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: committed at the end of the block, rolled back when the block raises."""
        async with _telling_disconnection(), contextlib.AsyncExitStack() as stack:
            if self.dialect == "sqlite":
                await stack.enter_async_context(self._writing)
            connection = await stack.enter_async_context(self._engine.connect())
            await connection.execution_options(writes=True)
            async with connection.begin():
                yield connection

    @contextlib.asynccontextmanager
    async def lock(self, number: int) -> AsyncIterator[bool]:
        """Hold PostgreSQL's advisory lock of this number for the block, or until this process dies; False where
        another process holds it."""
        async with _telling_disconnection(), self._engine.connect() as connection:
            # No transaction: it would hold back what vacuum may clean for as long as the block runs.
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            got = bool(await connection.scalar(text("SELECT pg_try_advisory_lock(:number)"), {"number": number}))
            try:
                yield got
            finally:
                if got:
                    await connection.execute(text("SELECT pg_advisory_unlock(:number)"), {"number": number})

    async def migrate(self) -> None:
        """Bring the tables to this program's version; several processes may ask at once."""
        # Alembic takes a while to load, and only who migrates needs it.
        from exporter.migrations.upgrading import upgrade

        async with self.write() as connection:
            if self.dialect == "postgresql":
                await connection.execute(text("SELECT pg_advisory_xact_lock(7482361)"))
            await connection.run_sync(upgrade)

    async def close(self) -> None:
        """Let the connections go."""
        await self._engine.dispose()


@contextlib.asynccontextmanager
async def _telling_disconnection() -> AsyncIterator[None]:
    # asyncpg has many errors for it, and SQLAlchemy makes most of them one that says nothing.
    try:
        yield
    except DBAPIError as error:
        if error.connection_invalidated and not isinstance(error, STORE_AWAY):
            raise Disconnected("the database ended the connection") from error
        raise


async def open_store(settings: ExporterSettings) -> Store:
    """The store that `settings.store` names. Raises Unavailable when the database does not answer."""
    url = settings.store_url
    return await _answering(_sqlite(url) if url.startswith("sqlite") else _postgresql(url))


async def open_with(settings: ExporterSettings, other: str) -> Store:
    """The store, where the tables of another place can be read as `other`.table: a schema of the same database, or the
    file of that name beside the store's. Its statements may take as long as they need. Raises Unavailable."""
    url = settings.store_url
    if url.startswith("sqlite"):
        return await _answering(_sqlite(url, attach=other))
    return await _answering(_postgresql(url, seconds=None))


async def open_beside(settings: ExporterSettings, other: str) -> Store:
    """A store of its own in another place: a schema of the same database, or a file beside the store's. What it holds
    may be lost when the machine fails. Raises Unavailable."""
    url = settings.store_url
    if url.startswith("sqlite"):
        return await _answering(_sqlite(f"{url}.{other}", pragmas=_HASTY))
    return await _answering(_postgresql(url, schema=other, seconds=None))


def file_of(settings: ExporterSettings) -> Path:
    """The file of a SQLite store."""
    return Path(settings.store_url.removeprefix("sqlite:///"))


async def _answering(store: Store) -> Store:
    try:
        async with asyncio.timeout(_CONNECT_SECONDS), store.read() as connection:
            await connection.execute(text("SELECT 1"))
    except (*STORE_AWAY, SQLAlchemyError) as error:
        await store.close()
        raise Unavailable(f"the store does not answer ({_cause(error)}); look at `store` in the settings") from None
    return store


def among(connection: AsyncConnection, column: str, name: str) -> str:
    """SQL that is true where `column` is one of the values of parameter `name` (see `values`)."""
    if connection.dialect.name == "sqlite":
        return f"{column} IN (SELECT value FROM json_each(:{name}))"
    return f"{column} = ANY(:{name})"


def values(connection: AsyncConnection, of: Iterable[Any]) -> Any:
    """A list as a parameter for `among`."""
    listed = list(of)
    return orjson.dumps(listed).decode() if connection.dialect.name == "sqlite" else listed


async def rows_among(connection: AsyncConnection, select: str, column: str, of: Iterable[Any]) -> list[Any]:
    """The rows of `select` (SQL without WHERE) whose `column` is one of the values."""
    listed = list(of)
    if not listed:
        return []
    statement = text(f"{select} WHERE {among(connection, column, 'those')}")
    return list((await connection.execute(statement, {"those": values(connection, listed)})).all())


def may_be_retried(error: DBAPIError) -> bool:
    """Whether the transaction failed only because of another one at the same time."""
    state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
    return state in _AGAIN


def _sqlite(url: str, pragmas: tuple[str, ...] = _PRAGMAS, attach: str | None = None) -> Store:
    file = Path(url.removeprefix("sqlite:///"))
    file.parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{file}",
        poolclass=AsyncAdaptedQueuePool,
        pool_size=4,
        max_overflow=4,
        hide_parameters=True,
        connect_args={"uri": True},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, _: Any) -> None:
        # The driver's own BEGINs come too late for a transaction that reads before it writes.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        if attach is not None:
            # Only to be read: a transaction that writes would otherwise lock it too.
            cursor.execute(f'ATTACH DATABASE ? AS "{attach}"', (f"file:{quote(f'{file}.{attach}')}?mode=ro",))
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Any) -> None:
        writes = connection.get_execution_options().get("writes", False)
        if writes and attach is not None:
            # BEGIN IMMEDIATE would fix the attached file's state at this moment too; a write fixes this file's only.
            connection.exec_driver_sql("BEGIN")
            connection.exec_driver_sql("DELETE FROM main.position WHERE FALSE")
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return Store(engine, "sqlite")


def _postgresql(url: str, schema: str | None = None, seconds: float | None = _STATEMENT_SECONDS) -> Store:
    parsed = make_url(url).set(drivername="postgresql+asyncpg")
    options = {"jit": "off", "application_name": "trackway", "timezone": "UTC"}
    if schema is not None:
        options |= {"search_path": schema, "synchronous_commit": "off"}
    engine = create_async_engine(
        parsed,
        pool_size=8,
        max_overflow=8,
        pool_pre_ping=True,
        hide_parameters=True,
        isolation_level="READ COMMITTED",
        connect_args={"server_settings": options, "timeout": _CONNECT_SECONDS, "command_timeout": seconds},
    )
    return Store(engine, "postgresql")


def _cause(error: BaseException) -> str:
    # The driver's text may hold the URL's password.
    inner = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return type(inner.__cause__ or inner).__name__
