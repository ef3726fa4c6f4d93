"""Each SDK before a collector, with a website for those of browsers; what was seen goes into a table."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext

from eventlog.topics import REJECTED
from tests.sdks.pages import Pages, serving_pages
from tests.sdks.table import PAGE, Sdk, Table, noted
from tests.trackway.processes import collecting, stored

# Public ids of other vendors that mean the source `shop`.
ALIASES = ("G-SHOP1234", "shop.example", "0b8d0a2e-6a4e-4d43-9a25-3f5a3e1c8f10", "12345")
_CONFIG = """\
data: {folder}/data
listen: 127.0.0.1:0
collect: {{listen_metrics: '127.0.0.1:0'}}
log: sqlite:///{folder}/log
secret: for-tests
sources:
  shop:
    browser_key: wk_shop
    origins: ['{origin}']
    server_key: sk_shop
    aliases: [{aliases}]
"""


@dataclass
class Collector:
    """A collector's process, and the website whose origin it knows."""

    url: str
    config: Path
    pages: Pages
    _known: set[tuple[int, int]] = field(default_factory=set)

    def new(self, at_least: int = 0, seconds: float = 20) -> list[dict[str, Any]]:
        """The events stored since the last call, in the order in which they happened; waits until there are
        `at_least` so many."""
        until = time.monotonic() + seconds
        while True:
            found = [one for one in stored(self.config) if (one["partition"], one["offset"]) not in self._known]
            if len(found) >= at_least or time.monotonic() > until:
                break
            time.sleep(0.1)
        assert len(found) >= at_least, [(one["name"], one["kind"]) for one in found]
        self._known |= {(one["partition"], one["offset"]) for one in found}
        return sorted(found, key=lambda one: (one["occurred_at"], one["partition"], one["offset"]))

    def outcomes(self) -> list[dict[str, Any]]:
        """Everything that is in the rejected topic: duplicates, filtered and rejected ones."""
        return stored(self.config, REJECTED)


@contextlib.contextmanager
def collector_in(folder: Path) -> Iterator[Collector]:
    """A collector with its data in the folder, and the website, for the length of the block."""
    config = folder / "trackway.yml"
    with serving_pages() as pages:
        aliases = ", ".join(f"'{alias}'" for alias in ALIASES)
        config.write_text(_CONFIG.format(folder=folder, origin=pages.url, aliases=aliases))
        with collecting(config) as url:
            yield Collector(url, config, pages)


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """One for all tests of a module: each looks at what is new."""
    with collector_in(tmp_path_factory.mktemp("sdks")) as started:
        yield started


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A visitor's browser, without storage. Its user agent says nothing of a robot: some SDKs are silent then."""
    version = browser.version.partition(".")[0]
    system = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
    agent = f"{system} Chrome/{version}.0.0.0 Safari/537.36"
    context = browser.new_context(user_agent=agent, locale="de-CH", timezone_id="Europe/Zurich")
    context.add_init_script("Object.defineProperty(navigator, 'webdriver', {get: () => false})")
    yield context
    context.close()


# --- The table --------------------------------------------------------------------------------------------------------

_table = Table()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Also called in the process that has the others run the tests."""
    if report.when == "call" or report.failed:
        for name, value in report.user_properties:
            if name == "sdk" and isinstance(value, tuple | list):
                _table.note(Sdk(*value[0]), value[1], report.passed)


@pytest.fixture(autouse=True)
def _note(request: pytest.FixtureRequest) -> None:
    for sdk, checks in noted(request.node):
        request.node.user_properties.append(("sdk", (tuple(sdk), tuple(checks))))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.getoption("sdk_table") and not hasattr(session.config, "workerinput"):
        made = _table.markdown()
        if not PAGE.exists() or PAGE.read_text() != made:
            PAGE.write_text(made)
            print(f"\n{PAGE.name} was out of date and is written anew: commit it")
            session.exitstatus = session.exitstatus or 1
