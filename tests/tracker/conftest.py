"""Each test in each browser: one browser a module, a fresh context (storage, cookies) a test, and what every test also
asserts (watch.py). `make test` runs Chromium's without the long ones, `make browsers` all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browsers import BROWSERS
from tests.tracker.browsers import ONE_BROWSER
from tests.tracker.clocks import QUICK
from tests.tracker.recorder import Recorder
from tests.tracker.watch import Watch, watched

GRANTED = 'data-consent="granted"'

Open = Callable[..., Page]
Note = Callable[[str], None]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test exists in every browser, or in the one its mark names."""
    if "browser" not in metafunc.fixturenames:
        return
    mark = metafunc.definition.get_closest_marker("only")
    module = metafunc.module.__name__
    given = []
    for name in mark.args if mark else BROWSERS:
        marks = [pytest.mark.xdist_group(f"{module} {name}")]
        if name != "chromium":
            marks.append(pytest.mark.browsers)
        given.append(pytest.param(name, marks=marks, id=name))
    metafunc.parametrize("browser", given, indirect=True, scope="module")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests have measured, and what is tested in one browser only."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") == "call":
                for name, value in report.user_properties:
                    if name == "measured":
                        terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {value}")
    for line, (browser, reason) in ONE_BROWSER.items():
        terminalreporter.write_line(f"in {browser} only: {line}: {reason}")


@pytest.fixture
def note(record_property: Callable[[str, object], None]) -> Note:
    """`note(text)`: a measure to print at the end of the run."""
    return lambda text: record_property("measured", text)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.stop()
    assert recorder.preflights == []


@pytest.fixture
def collector(recorder: Recorder) -> Iterator[Recorder]:
    """A collector on an origin of its own, which can be stopped while `recorder` serves the pages."""
    collector = Recorder()
    recorder.attributes = f'{GRANTED} data-endpoint="{collector.url}/tw/e"'
    yield collector
    collector.stop()
    assert collector.preflights == []


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def context(browser: Browser, recorder: Recorder, watch: Watch) -> Iterator[BrowserContext]:
    with watched(browser, watch, recorder.url) as context:
        yield context


@pytest.fixture
def quick(context: BrowserContext) -> None:
    context.add_init_script(QUICK)


@pytest.fixture
def open_page(context: BrowserContext, recorder: Recorder) -> Open:
    """`open_page(path, attributes)` loads a page with the tracker and waits until it runs."""

    def open_page(path: str = "/", attributes: str | None = None) -> Page:
        if attributes is not None:
            recorder.attributes = attributes
        page = context.new_page()
        page.goto(recorder.url + path)
        page.wait_for_function("window.trackway && trackway.version")
        return page

    return open_page
