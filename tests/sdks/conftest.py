"""Each SDK before a collector on each log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.sdks.running import NODE, PYTHON, Sdk
from tests.services import Kafka
from tests.trackway.processes import collecting, config_in, trackway


class Collector(NamedTuple):
    """A collector's process."""

    url: str
    config: Path


@pytest.fixture(scope="module", params=["embedded", "kafka"])
def collector(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """One for all tests of a module: each looks at the ids it has sent."""
    folder = tmp_path_factory.mktemp("sdks")
    config = config_in(folder)
    if request.param == "kafka":
        kafka: Kafka = request.getfixturevalue("kafka")
        config = config_in(folder, kafka.url)
        assert trackway("topics", "--apply", config=config).returncode == 0
    with collecting(config) as url:
        yield Collector(url, config)


@pytest.fixture(params=[PYTHON, NODE], ids=lambda sdk: sdk.name)
def sdk(request: pytest.FixtureRequest) -> Sdk:
    found: Sdk = request.param
    found.check()
    return found
