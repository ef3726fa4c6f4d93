"""What exists in one browser only: the one table, printed at the end of a run and shown in docs/tracker-tests.md."""

from __future__ import annotations

from typing import Final, NamedTuple

import pytest

from tests.browsers import BrowserName


class Only(NamedTuple):
    """The browser in which a line of the list is tested, and why not in the other one."""

    browser: BrowserName
    reason: str


ONE_BROWSER: Final[dict[str, Only]] = {}


def table() -> str:
    """The table as the page shows it."""
    rows = [f"| {line} | {one.browser.title()} | {one.reason} |" for line, one in ONE_BROWSER.items()]
    return "\n".join(["| in one browser only | | why |", "|---|---|---|", *rows]) if rows else ""


def only(line: str) -> pytest.MarkDecorator:
    """The mark of a test that exists in one browser, by its line in the table."""
    return pytest.mark.only(ONE_BROWSER[line].browser)
