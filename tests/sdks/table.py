"""The table of docs/sdks.md: which SDK was tried, at which version, and what of it works. Written by `make sdks`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

PAGE = Path(__file__).parents[2] / "docs/sdks.md"
CHECKS = ("identify", "purchase", "page", "alias", "group", "text", "batch", "retry")
_HEAD = """\
# SDKs that were tried

Written by `make sdks`, which runs each SDK unmodified, at the version named, against a collector: Python and Node.js as
processes, browsers in Chromium. What was sent has to be in the log once, with the right name, ids, time, items and
identity, and the SDK has to report success. [protocols.md](protocols.md) says how to set each up.

`text`: letters beyond ASCII and an emoji come through. `batch`: 250 events. `retry`: after a 503, once with the events
stored and once without, nothing is lost and nothing counts twice. A dash: the SDK does not have it.

"""


class Sdk(NamedTuple):
    """A row."""

    name: str
    version: str
    language: str


class Table:
    """What was seen: of every SDK, by check, whether all tests of it passed."""

    def __init__(self) -> None:
        self._seen: dict[Sdk, dict[str, bool]] = {}

    def note(self, sdk: Sdk, checks: Iterable[str], has_passed: bool) -> None:
        row = self._seen.setdefault(sdk, {})
        for check in checks:
            assert check in CHECKS, check
            row[check] = row.get(check, True) and has_passed

    def markdown(self) -> str:
        lines = [f"| SDK | version | | {' | '.join(CHECKS)} |", "|---" * (3 + len(CHECKS)) + "|"]
        for sdk, row in sorted(self._seen.items()):
            cells = ({True: "yes", False: "**no**", None: "–"}[row.get(check)] for check in CHECKS)
            lines.append(f"| {sdk.name} | {sdk.version} | {sdk.language} | {' | '.join(cells)} |")
        return _HEAD + "\n".join(lines) + "\n"


def noted(item: pytest.Item) -> list[tuple[Sdk, tuple[str, ...]]]:
    """What `@pytest.mark.sdk(name, version, language, checks)` says of a test."""
    return [(Sdk(*mark.args[:3]), mark.args[3]) for mark in item.iter_markers("sdk")]
