"""An installation with an embedded log, on either store; each test has its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from exporter.settings import ExporterSettings
from tests.rules.events import RULES, SECRET
from tests.services import Postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> ExporterSettings:
    """Settings whose rules are those of the rules' tests."""
    secret = SecretStr(SECRET.decode())
    if request.param == "sqlite":
        return ExporterSettings(data=tmp_path, secret=secret, rules=RULES)
    postgres: Postgres = request.getfixturevalue("postgres")
    return ExporterSettings(data=tmp_path, store=postgres.new_database(), secret=secret, rules=RULES)
