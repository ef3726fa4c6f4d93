"""The demo site for a module's tests; those that take a browser exist in each (see tests/tracker/conftest.py)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.demo.serving import demo_site
from tests.tracker.conftest import pytest_generate_tests

__all__ = ["pytest_generate_tests", "site"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the demo shop with a collector beside it."""
    with demo_site(tmp_path_factory.mktemp("site")) as (url, _):
        yield url
