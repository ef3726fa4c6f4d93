"""The two stores, each empty for every test."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from exporter.settings import ExporterSettings
from tests.rules.events import SECRET
from tests.services import Postgres


@pytest.fixture
def postgres_settings(postgres: Postgres, tmp_path: Path) -> ExporterSettings:
    """Settings with a PostgreSQL database of the test's own."""
    return ExporterSettings(data=tmp_path, store=postgres.new_database(), secret=SecretStr(SECRET.decode()))


@pytest.fixture(params=["sqlite", "postgresql"])
def settings_of_store(request: pytest.FixtureRequest, tmp_path: Path) -> ExporterSettings:
    """Settings with a store of the test's own: each test runs on both kinds."""
    if request.param == "postgresql":
        made: ExporterSettings = request.getfixturevalue("postgres_settings")
        return made
    return ExporterSettings(data=tmp_path, secret=SecretStr(SECRET.decode()))
