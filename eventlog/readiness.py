"""What `/ready` answers: each thing that must be well, by name, and why it is not. Pure.

A check that does not decide is told all the same: what is wrong there would not be mended by sending the traffic
elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from eventlog.numbers import Numbers
from eventlog.telemetry import Service


class Check(NamedTuple):
    """One check: `why` it is not passed (None: it is), and whether it decides."""

    name: str
    why: str | None = None
    decides: bool = True


def is_ready(checks: Sequence[Check]) -> bool:
    """Whether all that decide are passed."""
    return not any(check.why and check.decides for check in checks)


def answer(checks: Sequence[Check]) -> tuple[int, bytes]:
    """Status and JSON body: `ready`, `reason` (why not, else "ready"), and `checks` with `ok`, `why`, `decides`."""
    ready = is_ready(checks)
    reason = "ready" if ready else "; ".join(check.why for check in checks if check.why and check.decides)
    told: dict[str, Any] = {}
    for check in checks:
        told[check.name] = {"ok": check.why is None, "decides": check.decides}
        if check.why is not None:
            told[check.name]["why"] = check.why
    return (200 if ready else 503), orjson.dumps({"ready": ready, "reason": reason, "checks": told})


def worst(of_processes: Sequence[Sequence[Check]]) -> list[Check]:
    """The checks of several processes as one: passed where every process passes it."""
    found: dict[str, Check] = {}
    for checks in of_processes:
        for check in checks:
            known = found.get(check.name)
            if known is None or (known.why is None and check.why is not None):
                found[check.name] = check
    return list(found.values())


def put_checks(numbers: Numbers, service: Service, checks: Sequence[Check]) -> None:
    """The checks as a metric."""
    for check in checks:
        numbers.put("trackway_ready", int(check.why is None), service, check.name)
