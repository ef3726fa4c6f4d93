"""What alembic runs for each command: always online, over the connection it is given."""

from __future__ import annotations

from alembic import context

from exporter.ledger import RUN

context.configure(
    connection=context.config.attributes["connection"],
    # The ledger's tables hang on the same metadata as all others.
    target_metadata=RUN.metadata,
    transactional_ddl=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
