"""`make bench-tracker`: what the tracker costs a page, ours beside Plausible's, Snowplow's and Segment's.

They are measured in turn, several rounds, each visit in a fresh browser context. Prints a table and writes
docs/tracker-performance.md. `--page` measures nothing and writes the page with the sizes of static/dist as it is.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterable
from typing import Any

from bench.tracker import report
from bench.tracker.contestants import Contestant, contestants


def measure(rounds: int) -> dict[str, Any]:
    """What report.page is made of: medians, and the lowest and highest of times."""
    from bench.tracker.visits import Scripts, Visit, surroundings  # the page alone needs no browser

    all_of_them = contestants()
    scripts: dict[str, Scripts] = {}
    visits: dict[str, list[Visit]] = {one.name: [] for one in all_of_them}
    with surroundings() as around:
        for one in all_of_them:
            scripts[one.name] = around.scripts(one)
            say(f"  {one.name}: {scripts[one.name].gzip:,} bytes of script, gzipped")
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            for one in all_of_them:
                visits[one.name].append(visit := around.visit(one))
                say(f"  {one.name}: {visit.cost.first:.1f} ms to the first event, {visit.cost.visit:.1f} ms the visit")
        chromium = around.browser.version.partition(".")[0]
    rows = [_row(one, scripts[one.name]._asdict(), visits[one.name]) for one in all_of_them]
    return {"date": time.strftime("%Y-%m-%d", time.gmtime()), "chromium": chromium, "rounds": rounds, "rows": rows}


def _row(one: Contestant, scripts: dict[str, int], visits: list[Any]) -> dict[str, Any]:
    times = {name: _span(getattr(visit.cost, name) for visit in visits) for name in ("first", "visit", "longest")}
    counts = {
        name: int(statistics.median(getattr(visit, name) for visit in visits)) for name in ("requests", "asked", "up")
    }
    return {"name": one.name, "version": one.version, "gzip": scripts["gzip"], **times, **counts}


def _span(found: Iterable[float]) -> list[float]:
    values = sorted(found)
    return [round(value, 1) for value in (values[0], statistics.median(values), values[-1])]


def say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--page", action="store_true", help="write the page anew, measure nothing")
    chosen = options.parse_args()
    if not chosen.page:
        measured = measure(chosen.rounds)
        report.MEASURED.write_text(json.dumps(measured, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    report.write()
    if not chosen.page:
        say("\n" + "".join(line for line in report.PAGE.read_text().splitlines(keepends=True) if line.startswith("|")))


if __name__ == "__main__":
    main()
