"""A Kafka broker of the tests' own: Apache's jars, as tests/install-services fetched them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.services.broker import Address, Certificates, make_certificates, scram_options, server_properties, url_of
from tests.services.missing import MissingService
from tests.services.processes import end_process, free_ports, start_process, wait_until

VERSION = "4.3.1"
JARS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trackway" / f"kafka-{VERSION}" / "libs"


class Kafka:
    """One broker on 127.0.0.1 with its data in `folder`; `secure`: SASL over TLS instead of plain text."""

    def __init__(self, folder: Path, *, secure: bool = False) -> None:
        if shutil.which("java") is None or not JARS.is_dir():
            raise MissingService("Kafka")
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        port, controller = free_ports(2)
        self._address = Address("127.0.0.1", "127.0.0.1", port, controller)
        self._certificates: Certificates | None = make_certificates(folder, "127.0.0.1") if secure else None
        keystore = str(self._certificates.keystore) if self._certificates else None
        self._properties = folder / "server.properties"
        self._properties.write_text(server_properties(self._address, str(folder / "data"), keystore))
        self.url = self.url_by("SCRAM-SHA-256")
        self._process: subprocess.Popen[bytes] | None = None
        options = ["--cluster-id=dHJhY2t3YXktdGVzdHMtMQ", *(scram_options() if secure else [])]
        make = self._java("kafka.tools.StorageTool", "format", *options, "-c", str(self._properties))
        done = subprocess.run(make, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RuntimeError(f"Kafka's folder could not be made:\n{done.stdout}{done.stderr}")
        self.start()

    def url_by(self, mechanism: str, password: str | None = None) -> str:
        """The log URL; of a secure broker the one that signs in by `mechanism`, by default with the right password."""
        return url_of(self._address, self._certificates, mechanism, password)

    def start(self) -> None:
        """Start, or start again on the same data; returns when the broker serves."""
        log = self.folder / "broker.log"
        before = log.stat().st_size if log.exists() else 0
        process = self._process = start_process(self._java("kafka.Kafka", str(self._properties)), log)

        # The open port is a little too early; the broker says itself when it is ready.
        def ready() -> bool:
            said = log.read_bytes()[before:]
            if process.poll() is not None:
                raise RuntimeError(f"Kafka ended at its start: {said[-2000:].decode(errors='replace')}")
            return b"Kafka Server started" in said

        wait_until(ready, "Kafka")

    def freeze(self) -> None:
        """The broker stands still: connections stay open, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """A crash."""
        if self._process:
            end_process(self._process, signal.SIGKILL)

    def stop(self) -> None:
        # Nothing it holds is wanted any more, so it need not close it tidily.
        self.kill()

    def _signal(self, number: int) -> None:
        assert self._process
        self._process.send_signal(number)

    @staticmethod
    def _java(main: str, *arguments: str) -> list[str]:
        # The first compiler tier and the serial collector: a test's broker lives too briefly for more to pay.
        options = ["-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData"]
        return ["java", *options, "-cp", f"{JARS}/*", main, *arguments]


@contextlib.contextmanager
def start_kafka(folder: Path, *, secure: bool = False) -> Iterator[Kafka]:
    """A broker for the length of the block."""
    kafka = Kafka(folder, secure=secure)
    try:
        yield kafka
    finally:
        kafka.stop()
