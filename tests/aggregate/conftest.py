"""Both modes: the embedded log with SQLite, Kafka with PostgreSQL; each test has its own."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from eventlog.provision import provision
from exporter.settings import ExporterSettings
from tests.services import Kafka, Postgres


@pytest.fixture(params=["embedded", "cluster"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> ExporterSettings:
    """Settings of an installation whose topics exist."""
    secret = SecretStr("a secret of the tests")
    if request.param == "embedded":
        return ExporterSettings(data=tmp_path, secret=secret)
    kafka: Kafka = request.getfixturevalue("kafka")
    postgres: Postgres = request.getfixturevalue("postgres")
    prefix = f"{tmp_path.name}-{os.getpid()}."
    made = ExporterSettings(
        data=tmp_path, log=kafka.url, store=postgres.new_database(), topic_prefix=prefix, secret=secret,
        append_deadline=60,  # counted exactly: nothing may be posted twice because a new topic took its time
    )  # fmt: skip
    assert [one for one in asyncio.run(provision(made, apply=True)) if one.level == "fail"] == []
    return made
