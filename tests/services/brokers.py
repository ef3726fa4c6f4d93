"""Three Kafka brokers that keep copies of each other's partitions, for what happens when one of them is lost.

Always processes of this machine: they reach one another by its loopback, which containers do not share.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient

from tests.services.broker import Address
from tests.services.kafka_process import KafkaProcess
from tests.services.processes import free_ports

_NODES: Final = (1, 2, 3)


class Brokers:
    """Brokers by their number; `url` names all of them."""

    def __init__(self, folder: Path) -> None:
        ports = free_ports(2 * len(_NODES))
        among = [Address("127.0.0.1", "127.0.0.1", ports.pop(), ports.pop(), node) for node in _NODES]
        self._bootstrap = [f"{one.host}:{one.port}" for one in among]
        self.url = f"kafka://{','.join(self._bootstrap)}"
        with ThreadPoolExecutor(len(among)) as threads:
            made = threads.map(lambda at: KafkaProcess(folder / str(at.node), at=at, among=among), among)
            self.nodes = dict(zip(_NODES, made, strict=True))

    def start(self) -> None:
        """Start all; returns when all serve."""
        for node in self.nodes.values():
            node.begin()
        for node in self.nodes.values():
            node.wait_until_started()

    def stop(self) -> None:
        for node in self.nodes.values():
            node.stop()

    def leaders(self, topic: str) -> dict[int, int]:
        """The number of the broker that leads each partition of `topic`, -1 where there is none now."""
        return asyncio.run(self._leaders(topic))

    async def _leaders(self, topic: str) -> dict[int, int]:
        client = AIOKafkaClient(bootstrap_servers=self._bootstrap)
        await client.bootstrap()
        try:
            cluster = await client.fetch_all_metadata()
            numbers = cluster.partitions_for_topic(topic) or ()
            return {number: cluster.leader_for_partition(TopicPartition(topic, number)) for number in numbers}
        finally:
            await client.close()


@contextlib.contextmanager
def start_brokers(folder: Path) -> Iterator[Brokers]:
    """Three brokers for the length of the block."""
    brokers = Brokers(folder)
    try:
        brokers.start()
        yield brokers
    finally:
        brokers.stop()
