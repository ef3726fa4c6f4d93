"""A Kafka broker of the tests' own, in a container or as a process."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from tests.services.broker import USER, Address, Certificates, make_certificates, url_of
from tests.services.processes import free_ports
from tests.services.provider import provider


class Kafka(ABC):
    """One broker on a port of 127.0.0.1 that stays its own; `folder` is for what it leaves on this machine.

    `secure`: SASL over TLS instead of plain text.
    """

    # The address the broker binds: a container's ports are published from outside its own loopback.
    _bind = "127.0.0.1"

    def __init__(self, folder: Path, *, secure: bool = False) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._address = self._new_address()
        self._certificates: Certificates | None = make_certificates(folder, "127.0.0.1") if secure else None
        self.url = self.url_by("SCRAM-SHA-256")

    def _new_address(self) -> Address:
        port, controller = free_ports(2)
        return Address(self._bind, "127.0.0.1", port, controller)

    def url_by(self, mechanism: str, password: str | None = None, user: str = USER) -> str:
        """The log URL; of a secure broker the one that signs in by `mechanism`, by default with the right password."""
        return url_of(self._address, self._certificates, mechanism, password, user)

    @abstractmethod
    def start(self) -> None:
        """Start, or start again on the same data and port; returns when the broker serves."""

    @abstractmethod
    def freeze(self) -> None:
        """The broker stands still: connections stay open, nothing is answered."""

    @abstractmethod
    def thaw(self) -> None:
        """It goes on where it stood."""

    @abstractmethod
    def kill(self) -> None:
        """A crash: no goodbye, the data stays."""

    @abstractmethod
    def stop(self) -> None:
        """The end. Nothing it holds is wanted any more, so it need not close it tidily."""


@contextlib.contextmanager
def start_kafka(folder: Path, *, secure: bool = False) -> Iterator[Kafka]:
    """A broker for the length of the block."""
    kafka = _new_kafka(folder, secure)
    try:
        kafka.start()
        yield kafka
    finally:
        kafka.stop()


def _new_kafka(folder: Path, secure: bool) -> Kafka:
    # Imported where they are used: Docker's client costs a second of every run that has no use for it.
    if provider() == "docker":
        from tests.services.kafka_container import KafkaContainer

        return KafkaContainer(folder, secure=secure)
    from tests.services.kafka_process import KafkaProcess

    return KafkaProcess(folder, secure=secure)
