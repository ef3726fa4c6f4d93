"""One stand-in for the CDP, and settings that export to it; the stores are empty for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from exporter.settings import ExporterSettings
from exporter.workflow import CdpAccount
from tests.exports.receiving import Meet, meeting, serving
from tests.rules.events import SECRET
from tests.services import Postgres


@pytest.fixture(scope="session")
def cdp_url() -> Iterator[str]:
    """Where the stand-in is; each test has it as when new."""
    with serving() as url:
        yield url


@pytest.fixture
def meet(cdp_url: str) -> Meet:
    """Runs a scenario with the stand-in."""
    return meeting(cdp_url)


@pytest.fixture
def embedded_settings(cdp_url: str, tmp_path: Path) -> ExporterSettings:
    """Settings with log and store in the test's folder; waits are short."""
    account = CdpAccount(
        account_number="12345", endpoint=cdp_url, first_wait=0.01, longest_wait=0.05, timeout=20, tries=4
    )
    return ExporterSettings(data=tmp_path, secret=SecretStr(SECRET.decode()), cdp={"default": account})


@pytest.fixture(params=["sqlite", "postgresql"])
def settings_of_store(request: pytest.FixtureRequest, embedded_settings: ExporterSettings) -> ExporterSettings:
    """The same with a store of each kind, where SQL is at stake."""
    if request.param == "sqlite":
        return embedded_settings
    postgres: Postgres = request.getfixturevalue("postgres")
    return embedded_settings.model_copy(update={"store": postgres.new_database()})
