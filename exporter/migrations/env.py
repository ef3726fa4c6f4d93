"""What alembic runs for each command: always online, over the connection it is given."""

from __future__ import annotations

from alembic import context

from exporter.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
