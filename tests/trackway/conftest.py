"""Settings for processes on each log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services import Kafka
from tests.trackway.processes import config_in, trackway


@pytest.fixture(params=["embedded", "kafka"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if request.param == "embedded":
        yield config_in(tmp_path)
        return
    kafka: Kafka = request.getfixturevalue("kafka")
    made = config_in(tmp_path, kafka.url)
    assert trackway("topics", config=made).returncode == 1
    assert trackway("topics", "--apply", config=made).returncode == 0
    yield made
