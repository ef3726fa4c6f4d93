"""Fixtures of all suites. A service that is missing is an error, never a skip."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings
from playwright.sync_api import Browser

from tests.browsers import Launched
from tests.services import Kafka, Postgres, find_chromium, start_kafka, start_postgres

# How long an example takes says something of the machine only.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--sdk-table", action="store_true", help="write docs/sdks.md; fails where it was out of date")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A real broker, started at first use and shared; each test makes topics under a prefix of its own."""
    with start_kafka(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture(scope="session")
def sasl_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A broker that asks for credentials (PLAIN or SCRAM-SHA-256) over TLS, shared as the other one."""
    with start_kafka(tmp_path_factory.mktemp("kafka"), secure=True) as broker:
        yield broker


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real server, started at first use and shared; each test makes a database of its own."""
    with start_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of an installed Chromium or Chrome; as root it needs `--no-sandbox`."""
    return find_chromium()


_LAUNCHED = Launched()


def pytest_runtest_setup(item: pytest.Item) -> None:
    _LAUNCHED.used_by(item.path, "launched" in getattr(item, "fixturenames", ()))


def pytest_sessionfinish() -> None:
    _LAUNCHED.close()


@pytest.fixture(scope="session")
def launched() -> Launched:
    return _LAUNCHED


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest, launched: Launched) -> Browser:
    """Chromium, or the browser named by the test's parameter (see tests/tracker/conftest.py)."""
    return launched.browser(getattr(request, "param", "chromium"))
