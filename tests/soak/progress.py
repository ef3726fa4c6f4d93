"""Lines that say what a long scenario is at, while it is: what, since when, how many events."""

from __future__ import annotations

import sys
import time

from tests.soak.report import Report


class Progress:
    """Prints past what pytest captures (with `--capture=sys`): these lines are for whoever waits."""

    def __init__(self, scenario: str) -> None:
        self._scenario = scenario
        self._begun = time.monotonic()

    def say(self, what: str, report: Report | None = None) -> None:
        seconds = time.monotonic() - self._begun
        events = "" if report is None else f" ({len(report.acknowledged):,} events acknowledged)"
        print(f"[{self._scenario} {seconds:4.0f} s] {what}{events}", file=sys.__stderr__, flush=True)

    def during(self, what: str, seconds: float, report: Report) -> None:
        """Let the time pass; a line each ten seconds."""
        end = time.monotonic() + seconds
        self.say(what, report)
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 10.0))
            if left > 10.0:
                self.say(f"{what}, {left - 10:.0f} s to go", report)
