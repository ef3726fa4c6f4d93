"""A PostgreSQL server in a container of compose.yml's image. Needs a Docker engine."""

from __future__ import annotations

from typing import Final

from tests.services.container import Container
from tests.services.images import image_of
from tests.services.postgres import ENCODING, SETTINGS, USER, Postgres

_PORT: Final = 5432


class PostgresContainer(Postgres):
    """One server with its data in its container's volume."""

    def __init__(self) -> None:
        super().__init__()
        self._container = Container(image_of("postgres"), inside=_PORT, port=self._port)
        self._container.settings.with_envs(
            POSTGRES_USER=USER,
            POSTGRES_HOST_AUTH_METHOD="trust",
            POSTGRES_INITDB_ARGS=" ".join((*ENCODING, "--no-sync")),
        ).with_command(["postgres", *SETTINGS])

    def start(self) -> None:
        self._container.start()
        # By TCP: while it fills its folder the image runs a server that listens on a socket file only.
        probe = ("pg_isready", "-h", "127.0.0.1", "-p", str(_PORT), "-U", USER, "-q")
        self._container.wait_until(lambda: self._container.answers(*probe), "PostgreSQL")

    def stop(self) -> None:
        self._container.remove()

    def _create(self, database: str) -> None:
        self._container.run("createdb", "-U", USER, database)
