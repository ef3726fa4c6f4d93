"""Runs the revisions over an open connection, inside the caller's transaction."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy.engine import Connection


def config_for(connection: Connection) -> Config:
    """Alembic's configuration for the revisions of this folder, on this connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection) -> None:
    """Bring the tables to the newest revision. Raises alembic's CommandError where the store is newer than that."""
    command.upgrade(config_for(connection), "head")
