"""Fixtures of all suites. A service that is missing is an error, never a skip."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.services import Kafka, start_kafka


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A real broker, started at first use and shared; each test makes topics under a prefix of its own."""
    with start_kafka(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker
