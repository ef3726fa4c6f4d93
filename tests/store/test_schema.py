"""The revisions lead to the tables the program works with, on both stores, also when several processes ask at once."""

from __future__ import annotations

import asyncio

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.engine import Connection

from exporter.ledger import RUN
from exporter.settings import ExporterSettings
from exporter.store import open_store


def _differences(connection: Connection) -> list[object]:
    # The ledger's tables hang on the same metadata as all others.
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, RUN.metadata))


def test_a_migrated_store_has_exactly_the_tables_of_the_program(settings_of_store: ExporterSettings) -> None:
    async def scenario() -> None:
        stores = [await open_store(settings_of_store) for _ in range(3)]
        await asyncio.gather(*(store.migrate() for store in stores))
        async with stores[0].read() as connection:
            assert await connection.run_sync(_differences) == []
        for store in stores:
            await store.close()

    asyncio.run(scenario())
