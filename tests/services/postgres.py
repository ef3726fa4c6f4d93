"""A PostgreSQL server of the tests' own, in a container or as a process."""

from __future__ import annotations

import contextlib
import tempfile
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.services.processes import free_ports
from tests.services.provider import provider

USER: Final = "trackway"
ENCODING: Final = ("--encoding=UTF8", "--locale=C")
# A test's database need not survive a power cut.
_RELAXED = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "max_connections=200", "timezone=UTC")
SETTINGS: Final = tuple(part for setting in _RELAXED for part in ("-c", setting))


class Postgres(ABC):
    """One server on a port of 127.0.0.1."""

    def __init__(self) -> None:
        (self._port,) = free_ports(1)

    def new_database(self) -> str:
        """Make an empty database; its URL as `postgresql://…`."""
        name = f"t{uuid.uuid4().hex[:12]}"
        self._create(name)
        return f"postgresql://{USER}:{USER}@127.0.0.1:{self._port}/{name}"

    @abstractmethod
    def start(self) -> None:
        """Start; returns when the server serves."""

    @abstractmethod
    def stop(self) -> None:
        """The end of it and of its data."""

    @abstractmethod
    def _create(self, database: str) -> None: ...


@contextlib.contextmanager
def start_postgres() -> Iterator[Postgres]:
    """A server for the length of the block."""
    # Not in pytest's folder, which is closed to user postgres; and a socket's path has 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="trackway-pg-") as folder:
        server = _new_postgres(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _new_postgres(folder: Path) -> Postgres:
    # Imported where they are used, as in kafka.py.
    if provider() == "docker":
        from tests.services.postgres_container import PostgresContainer

        return PostgresContainer()
    from tests.services.postgres_process import PostgresProcess

    return PostgresProcess(folder)
