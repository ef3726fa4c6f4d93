"""The stores: both where SQL is at stake, each empty for every test, as the store's own tests have them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from exporter.settings import ExporterSettings
from tests.rules.events import SECRET
from tests.store.conftest import postgres_settings, settings_of_store

__all__ = ["postgres_settings", "settings_of_store"]


@pytest.fixture
def embedded_settings(tmp_path: Path) -> ExporterSettings:
    """Settings with log and store in the test's folder."""
    return ExporterSettings(data=tmp_path, secret=SecretStr(SECRET.decode()))
