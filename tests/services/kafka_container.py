"""A Kafka broker in a container of compose.yml's image. Needs a Docker engine."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.services.broker import CLUSTER_ID, JVM_OPTIONS, STARTED, scram_options, server_properties
from tests.services.container import Container
from tests.services.images import image_of
from tests.services.kafka import Kafka

# The image declares a volume here: it outlives a crash and goes with the container.
_DATA: Final = "/var/lib/kafka/data"
_PROPERTIES: Final = "/etc/kafka/tests.properties"
_KEYSTORE: Final = "/etc/kafka/tests.pem"
# Not the image's own start script, which cannot make users for SCRAM.
_START: Final = f"""\
set -e
[ -e {_DATA}/meta.properties ] || /opt/kafka/bin/kafka-storage.sh format -c {_PROPERTIES} "$@"
exec /opt/kafka/bin/kafka-server-start.sh {_PROPERTIES}
"""


class KafkaContainer(Kafka):
    """One broker with its data in its container's volume; listening inside on the port it has outside."""

    _bind = "0.0.0.0"

    def __init__(self, folder: Path, *, secure: bool = False) -> None:
        super().__init__(folder, secure=secure)
        options = [f"--cluster-id={CLUSTER_ID}", *(scram_options() if secure else [])]
        heap, *tuning = JVM_OPTIONS
        container = Container(image_of("kafka"), inside=self._address.port, port=self._address.port)
        container.settings.with_command(["sh", "-c", _START, "kafka", *options])
        container.settings.with_envs(KAFKA_HEAP_OPTS=heap, KAFKA_JVM_PERFORMANCE_OPTS=" ".join(tuning))
        properties = server_properties(self._address, _DATA, _KEYSTORE if secure else None)
        container.settings.with_copy_into_container(properties.encode(), _PROPERTIES)
        if self._certificates:
            container.settings.with_copy_into_container(self._certificates.keystore.read_bytes(), _KEYSTORE)
        self._container = container

    def start(self) -> None:
        before = self._container.log().count(STARTED)
        self._container.start()
        self._container.wait_until(lambda: self._container.log().count(STARTED) > before, "Kafka")

    def freeze(self) -> None:
        self._container.pause()

    def thaw(self) -> None:
        self._container.unpause()

    def kill(self) -> None:
        self._container.kill()

    def stop(self) -> None:
        self._container.remove()
