"""Where the tests' Kafka and PostgreSQL run: as containers where Docker runs, else as processes of this machine.

`TRACKWAY_TEST_SERVICES=local` or `=docker` decides; without it a Docker engine is asked, briefly. It must be one of
this machine, asked by its socket (`DOCKER_HOST=unix://…`, else the usual one), as containers publish on 127.0.0.1 only.
"""

from __future__ import annotations

import functools
import http.client
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

VARIABLE: Final = "TRACKWAY_TEST_SERVICES"
USUAL_SOCKET: Final = "unix:///var/run/docker.sock"

Provider = Literal["local", "docker"]

# Taken out of the environment, which the commands under test inherit: they refuse TRACKWAY_ names they do not know.
_WISH: Final = os.environ.pop(VARIABLE, "")


class NoProvider(RuntimeError):  # noqa: N818 - a state of this machine
    """What was asked for cannot be had. Never a reason to skip a test."""


@functools.cache
def provider() -> Provider:
    """The provider of this run. Raises NoProvider."""
    address = os.environ.get("DOCKER_HOST") or USUAL_SOCKET
    return choose(_WISH, lambda: engine_answers(address))


def choose(wish: str, answers: Callable[[], bool]) -> Provider:
    """The provider for a wish (`local`, `docker`, or empty); `answers` asks Docker. Raises NoProvider."""
    if wish == "local":
        return "local"
    if wish == "docker":
        if not answers():
            raise NoProvider(f"{VARIABLE}=docker, but no Docker engine of this machine answers: start it, or say local")
        return "docker"
    if wish:
        raise NoProvider(f"{VARIABLE}={wish}: must be local or docker")
    return "docker" if answers() else "local"


def engine_answers(address: str, deadline: float = 2.0) -> bool:
    """Whether a Docker engine at `unix:///path` says within `deadline` seconds that it is well."""
    scheme, _, path = address.partition("://")
    if scheme != "unix" or not Path(path).is_socket():
        return False
    connection = _OverSocket(path, deadline)
    try:
        connection.request("GET", "/_ping")
        answer = connection.getresponse()
        return answer.status == 200 and answer.read() == b"OK"
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class _OverSocket(http.client.HTTPConnection):
    def __init__(self, path: str, deadline: float) -> None:
        super().__init__("localhost")
        self._path = path
        self._deadline = deadline

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._deadline)
        self.sock.connect(self._path)
