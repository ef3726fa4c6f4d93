"""A Kafka broker of the tests' own: Apache's jars, as tests/install-services fetched them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

VERSION = "4.3.1"
JARS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "trackway" / f"kafka-{VERSION}" / "libs"

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/data
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=6000
offsets.topic.replication.factor=1
offsets.topic.num.partitions=5
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
"""


class Kafka:
    """One broker on 127.0.0.1 with its data in `folder`."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("java") is None or not JARS.is_dir():
            raise RuntimeError("the tests need Java and Kafka's jars: run `make test-deps`")
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        port, controller = _free_ports(2)
        self.url = f"kafka://127.0.0.1:{port}"
        self._properties = folder / "server.properties"
        self._properties.write_text(_PROPERTIES.format(port=port, controller=controller, folder=folder))
        format_it = [
            "kafka.tools.StorageTool",
            "format",
            "--cluster-id=dHJhY2t3YXktdGVzdHMtMQ",
            "-c",
            str(self._properties),
        ]
        subprocess.run(["java", "-cp", f"{JARS}/*", *format_it], check=True, capture_output=True, timeout=60)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start, or start again on the same data; returns when the broker serves."""
        log = self.folder / "broker.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                ["java", "-Xmx512m", "-cp", f"{JARS}/*", "kafka.Kafka", str(self._properties)],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + 60
        # The open port is a little too early; the broker says itself when it is ready.
        while b"Kafka Server started" not in log.read_bytes():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Kafka did not start: {log.read_bytes()[-2000:].decode(errors='replace')}")
            time.sleep(0.05)

    def freeze(self) -> None:
        """The broker stands still: connections stay open, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """A crash."""
        self._signal(signal.SIGKILL)
        assert self._process
        self._process.wait(30)

    def stop(self) -> None:
        if self._process and self._process.poll() is None:
            self.thaw()
            self.kill()

    def _signal(self, number: int) -> None:
        assert self._process
        self._process.send_signal(number)


@contextlib.contextmanager
def start_kafka(folder: Path) -> Iterator[Kafka]:
    """A broker for the length of the block."""
    kafka = Kafka(folder)
    try:
        yield kafka
    finally:
        kafka.stop()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports
