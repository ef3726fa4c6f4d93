"""The revisions lead to the tables the program works with, on both stores, also when several processes ask at once."""

from __future__ import annotations

import asyncio

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.engine import Connection

from exporter.ledger import RUN
from exporter.settings import ExporterSettings
from exporter.store import open_store
from exporter.tables import ORIGINS
from exporter.taking import MADE_AGAIN, TAKEN


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


def test_a_rebuild_knows_of_every_table_whether_to_make_it_anew() -> None:
    tables = RUN.metadata.tables
    assert ORIGINS.keys() == tables.keys()
    assert TAKEN.keys() | MADE_AGAIN == {table for table, origin in ORIGINS.items() if origin == "derived"}
    for table, (columns, _) in TAKEN.items():
        names = {column.name for column in tables[table].columns} - {"number"}
        assert {name.strip(' "') for name in columns.split(",")} == names, table
