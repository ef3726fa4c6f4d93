"""docs/tracker-performance.md speaks of the files that are served: `make tracker` and `make bench-tracker` write it."""

from __future__ import annotations

import json

from bench.tracker import report
from bench.tracker.contestants import contestants, manifest

_MEASURED = json.loads(report.MEASURED.read_text(encoding="utf-8"))


def test_the_page_has_the_sizes_of_the_manifest() -> None:
    page = report.PAGE.read_text(encoding="utf-8")
    assert page == report.page(_MEASURED, manifest()), "run make tracker"
    for one in manifest()["files"].values():
        assert f"| `{one['file']}` | {one['bytes']:,} | {one['gzip']:,} | {one['limit']:,} |" in page


def test_the_costs_are_those_of_the_locked_packages() -> None:
    assert {one["name"]: one["version"] for one in _MEASURED["rows"]} == {
        one.name: one.version for one in contestants()
    }
