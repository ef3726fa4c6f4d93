"""docs/tracker-performance.md, made of what was measured and of the sizes in the manifest: no file of these two may
change without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.tracker.contestants import CORE, ROOT, WHOLE, manifest
from collector.script import Joined, Script

PAGE = ROOT / "docs/tracker-performance.md"
MEASURED = Path(__file__).parent / "measured.json"
_HEAD = """\
# What the tracker costs a page

`make bench-tracker` measures it beside other trackers, all in the same browser and run, and writes this page.

## Sizes

Bytes of what the collector serves, gzip -9; `make check` fails where one is above its limit. A page loads one file: the
core, alone or with add-ons (`/tw/t.js?with=engage,shop`).

| file | bytes | gzip | at most |
|---|---|---|---|
"""
_COSTS = """
## Beside others

A page and three clicks with an event each, in fresh browser contexts, with Chromium {chromium} on Linux, its CPU slowed
down fourfold (`Emulation.setCPUThrottlingRate`). Every tracker is on the site's own origin, asks for no consent, has no
other settings, and its four events have to be in the log. Measured on {date}, medians of {rounds} rounds, in brackets
the lowest and the highest:

| | version | gzip | CPU ms, first event | CPU ms, visit | longest task ms | requests | bytes up |
|---|---|---|---|---|---|---|---|
"""
_FOOT = """
- **gzip**: every script that the page loads for the tracker, gzip -9 each, also what a script loads by itself. The
  npm packages of Plausible and Snowplow are bundled and minified by esbuild with nothing but what the page calls;
  Segment's is its own bundle.
- **CPU**: CPU time of the page's main thread in compiling and running scripts, listeners, timers, idle callbacks and
  promises, from a trace of Chromium's: `EvaluateScript`, `v8.compile`, `FunctionCall`, `RunMicrotasks`, those within
  another not counted again. *First event*: up to the end of what sends the first event, the page view. *Visit*: until
  two seconds after the third click. Trackway collects events for up to a second before it sends, so its first request
  comes later than the others'. What the browser does in other threads and processes is not in it.
- **longest task**: CPU time of the longest task of the main thread in which a script ran. Tasks have the browser's own
  work in them, so the page alone has one too.
- **requests**: those that carry events, and after a plus what the tracker asks for before. **bytes up**: of all their
  bodies, headers not counted.

Judge by comparing rows of one run: on shared machines the figures of a run move together, by a quarter and more.
"""


def page(measured: dict[str, Any], files: dict[str, Any]) -> str:
    """The page. `measured` as `main` writes it, `files` the manifest: our sizes are always the manifest's."""
    rows = [(f"`{one['file']}`", one["bytes"], one["gzip"], f"{one['limit']:,}") for one in files["files"].values()]
    joined = _whole()
    rows.append(("all in one", len(joined.body), len(joined.gzip), "–"))
    sizes = "".join(f"| {name} | {size:,} | {packed:,} | {limit} |\n" for name, size, packed, limit in rows)
    ours = {CORE: files["files"]["core"]["gzip"], WHOLE: len(joined.gzip)}
    costs = "".join(_row(one, ours.get(one["name"])) for one in measured["rows"])
    return _HEAD + sizes + _COSTS.format(**measured) + costs + _FOOT


def whole() -> int:
    """Bytes of the core with all add-ons, after gzip -9."""
    return len(_whole().gzip)


def _whole() -> Joined:
    served = Script()
    return served.joined(served.add_ons)


def _row(one: dict[str, Any], packed: int | None) -> str:
    spans = (_span(one[name]) for name in ("first", "visit", "longest"))
    asked = f" + {one['asked']}" if one["asked"] else ""
    size = one["gzip"] if packed is None else packed
    return (
        f"| {one['name']} | {one['version'] or '–'} | {size:,} | {' | '.join(spans)} | "
        f"{one['requests']}{asked} | {one['up']:,} |\n"
    )


def _span(found: list[float]) -> str:
    low, median, high = found
    return f"{median:.1f} ({low:.1f}–{high:.1f})"


def write() -> None:
    """The page anew from the files as they are."""
    made = page(json.loads(MEASURED.read_text(encoding="utf-8")), manifest())
    PAGE.write_text(made, encoding="utf-8")
