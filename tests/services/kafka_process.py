"""A Kafka broker as a process: Apache's jars, as tests/install-services fetched them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.services.broker import CLUSTER_ID, JVM_OPTIONS, STARTED, Address, scram_options, server_properties
from tests.services.images import kafka_version
from tests.services.kafka import Kafka
from tests.services.missing import MissingService
from tests.services.processes import end_process, start_process, wait_until

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
JARS = _CACHE / "trackway" / f"kafka-{kafka_version()}" / "libs"


class KafkaProcess(Kafka):
    """One broker with its data in `folder`."""

    def __init__(
        self, folder: Path, *, secure: bool = False, at: Address | None = None, among: Sequence[Address] = ()
    ) -> None:
        if shutil.which("java") is None or not JARS.is_dir():
            raise MissingService("Kafka")
        self._given = at
        super().__init__(folder, secure=secure)
        keystore = str(self._certificates.keystore) if self._certificates else None
        self._properties = folder / "server.properties"
        self._properties.write_text(server_properties(self._address, str(folder / "data"), keystore, among))
        self._log = folder / "broker.log"
        self._said_before = 0
        self._process: subprocess.Popen[bytes] | None = None
        options = [f"--cluster-id={CLUSTER_ID}", *(scram_options() if secure else [])]
        make = self._java("kafka.tools.StorageTool", "format", *options, "-c", str(self._properties))
        done = subprocess.run(make, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RuntimeError(f"Kafka's folder could not be made:\n{done.stdout}{done.stderr}")

    def start(self) -> None:
        self.begin()
        self.wait_until_started()

    def begin(self) -> None:
        """Start the process; of several brokers each starts well only beside the others."""
        self._said_before = self._log.stat().st_size if self._log.exists() else 0
        self._process = start_process(self._java("kafka.Kafka", str(self._properties)), self._log)

    def wait_until_started(self) -> None:
        process = self._process
        assert process

        def ready() -> bool:
            said = self._log.read_bytes()[self._said_before :]
            if process.poll() is not None:
                raise RuntimeError(f"Kafka ended at its start: {said[-2000:].decode(errors='replace')}")
            return STARTED in said

        wait_until(ready, "Kafka")

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)
        # The signal reaches one thread after the other; until all stand still the broker may answer.
        process = self._process
        assert process
        threads = Path(f"/proc/{process.pid}/task")
        wait_until(lambda: not threads.exists() or all(_stands_still(one) for one in threads.iterdir()), "Kafka")

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        if self._process:
            end_process(self._process, signal.SIGKILL)

    def stop(self) -> None:
        self.kill()

    def _new_address(self) -> Address:
        return self._given or super()._new_address()

    def _signal(self, number: int) -> None:
        assert self._process
        self._process.send_signal(number)

    @staticmethod
    def _java(main: str, *arguments: str) -> list[str]:
        return ["java", *JVM_OPTIONS, "-cp", f"{JARS}/*", main, *arguments]


def _stands_still(thread: Path) -> bool:
    try:
        # Behind the name, which is in brackets and may hold anything.
        return (thread / "stat").read_text().rpartition(")")[2].split()[0] in "TtZX"
    except OSError:
        return True
