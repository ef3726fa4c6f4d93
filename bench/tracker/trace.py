"""What a Chromium trace says of the scripts of one page: CPU time of its main thread, in milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

# Not `v8`: each of its many events costs what is measured.
CATEGORIES = ["devtools.timeline", "disabled-by-default-devtools.timeline"]
# Compiling and running a script, and every call of a listener, timer or promise from outside of any.
_SCRIPTS = frozenset(
    ("EvaluateScript", "v8.compile", "v8.compileModule", "v8.evaluateModule", "FunctionCall", "v8.callFunction",
     "RunMicrotasks")
)  # fmt: skip
_TASK = "RunTask"
_SENDS = "ResourceSendRequest"


class Cost(NamedTuple):
    """Milliseconds of the main thread's CPU: `first` of scripts up to the end of what sends the first event, `visit` of
    all scripts; `longest`: of one task in which a script runs."""

    first: float
    visit: float
    longest: float


def cost(trace: dict[str, Any], site: str, events: Sequence[str]) -> Cost:
    """Of the page of `site` (its origin), whose events go to the paths `events`. Raises ValueError if none was sent."""
    on_main = _of_the_page(trace["traceEvents"], site)
    runs = _outermost([one for one in on_main if one["name"] in _SCRIPTS])
    sent = [one["ts"] for one in on_main if _target(one) in {site + path for path in events}]
    if events and not sent:
        raise ValueError("no event was sent")
    first = [one for one in runs if one["ts"] <= min(sent)] if sent else []
    tasks = [one for one in on_main if one["name"] == _TASK and any(_within(run, one) for run in runs)]
    return Cost(_milliseconds(first), _milliseconds(runs), max((_milliseconds([one]) for one in tasks), default=0.0))


def _of_the_page(events: list[dict[str, Any]], site: str) -> list[dict[str, Any]]:
    """The events of the thread that asked for the site's document."""
    mains = {
        (one["pid"], one["tid"])
        for one in events
        if one.get("name") == "thread_name" and one["args"]["name"] == "CrRendererMain"
    }
    asking = {(one["pid"], one["tid"]) for one in events if str(_frame_url(one)).startswith(site)} & mains
    if len(asking) != 1:
        raise ValueError(f"{len(asking)} threads have a page of {site}")
    return [one for one in events if (one["pid"], one["tid"]) in asking]


def _frame_url(event: dict[str, Any]) -> str:
    data = event.get("args", {}).get("data")
    return str(data.get("url", "")) if event.get("name") == "CommitLoad" and isinstance(data, dict) else ""


def _target(event: dict[str, Any]) -> str:
    return str(event["args"]["data"]["url"]).partition("?")[0] if event["name"] == _SENDS else ""


def _outermost(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for one in sorted((one for one in runs if one["ph"] == "X"), key=lambda one: (one["ts"], -one["dur"])):
        if not found or not _within(one, found[-1]):
            found.append(one)
    return found


def _within(inner: dict[str, Any], outer: dict[str, Any]) -> bool:
    return bool(outer["ts"] <= inner["ts"] and inner["ts"] + inner["dur"] <= outer["ts"] + outer["dur"])


def _milliseconds(runs: list[dict[str, Any]]) -> float:
    return float(sum(one.get("tdur", 0) for one in runs)) / 1000
