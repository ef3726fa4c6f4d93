"""Opens the event log that the settings name."""

from __future__ import annotations

from collections.abc import Sequence

from eventlog.embedded import EmbeddedProducer
from eventlog.embedded_consumer import EmbeddedConsumer
from eventlog.kafka import KafkaProducer
from eventlog.kafka_consumer import KafkaConsumer
from eventlog.log import Assigned, Consumer, Producer, Revoked, keep_quiet, start_at_first
from eventlog.settings import LogSettings
from eventlog.slot import Slot


def open_producer(settings: LogSettings, slot: Slot | None = None) -> Producer:
    """The producer of the log that `settings.log` names. With a slot it holds what Kafka does not take now on our own
    disk there; without one it refuses it."""
    return KafkaProducer(settings, slot) if settings.is_kafka else EmbeddedProducer(settings)


def open_consumer(
    settings: LogSettings,
    topics: Sequence[str],
    group: str | None = None,
    assigned: Assigned = start_at_first,
    revoked: Revoked = keep_quiet,
) -> Consumer:
    """A consumer of `topics` (full names). Without a group it reads every partition and commits nothing."""
    kind = KafkaConsumer if settings.is_kafka else EmbeddedConsumer
    return kind(settings, topics, group, assigned, revoked)
