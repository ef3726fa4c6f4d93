"""The services the tests run against, started by the tests themselves."""

from tests.services.kafka import Kafka, start_kafka

__all__ = ["Kafka", "start_kafka"]
