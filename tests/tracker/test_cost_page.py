"""docs/tracker-performance.md speaks of the files that are served: `make tracker` and `make bench-tracker` write it."""

from __future__ import annotations

import json

from bench.tracker import report
from bench.tracker.contestants import CORE, WHOLE, contestants, manifest

# Of the core's size: what differs more costs something else.
_CHANGED = 0.05
_MEASURED = json.loads(report.MEASURED.read_text(encoding="utf-8"))


def test_the_page_has_the_sizes_of_the_manifest() -> None:
    page = report.PAGE.read_text(encoding="utf-8")
    assert page == report.page(_MEASURED, manifest()), "run make tracker"
    for one in manifest()["files"].values():
        assert f"| `{one['file']}` | {one['bytes']:,} | {one['gzip']:,} | {one['limit']:,} |" in page


def test_the_costs_are_those_of_this_tracker_and_of_the_locked_others() -> None:
    rows = {one["name"]: one for one in _MEASURED["rows"]}
    for name in (CORE, WHOLE):
        now = manifest()["files"]["core"]["gzip"] if name == CORE else report.whole()
        assert abs(rows[name]["gzip"] / now - 1) < _CHANGED, f"{name} has changed much: run make bench-tracker"
    assert {name: row["version"] for name, row in rows.items()} == {one.name: one.version for one in contestants()}
