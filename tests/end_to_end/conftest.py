"""Both modes, each as a whole installation of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.installation import Installation, cluster, embedded
from tests.services import Kafka, Postgres


@pytest.fixture(params=["embedded", "cluster"])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    if request.param == "embedded":
        with embedded(tmp_path) as running:
            yield running
        return
    kafka: Kafka = request.getfixturevalue("kafka")
    postgres: Postgres = request.getfixturevalue("postgres")
    with cluster(tmp_path, kafka.url, postgres.new_database()) as running:
        yield running
