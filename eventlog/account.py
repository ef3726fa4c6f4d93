"""A collector's own account of what it answered: how it stands on disk, and how it is read.

    <slot>/answered/name                this collector's name, which its records carry in the header `tw_collector`
    <slot>/answered/2026-11-24.ndjson   what it wrote on that day: one JSON object a line

A line tells what has been answered since the line before, and how many events at most may be stored without being told
of until the next line. So the account of a process that was killed still says how much it can be short of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import orjson

from eventlog.timestamps import MINUTE_MS

# The header of a record that a collector gave a receipt for.
COLLECTOR_HEADER: Final = "tw_collector"
# The header of an event made of a rejected record: `partition/offset` of that. No collector has answered it, though it
# stands in the minute in which one answered that it was rejected.
REPLAYED_HEADER: Final = "tw_replayed"

KEPT_DAYS: Final = 35
# A living collector writes a line at least this often.
IDLE_MS: Final = 10_000
# One that has not written for so long is dead, or might as well be.
SILENT_MS: Final = 60_000

_FOLDER: Final = "answered"

# (minute of received_at in ms, source, status as in receipts)
Key = tuple[int, str, str]
Mark = Literal["start", "stop", ""]


@dataclass(slots=True)
class Line:
    """One line. `failed` counts events whose request was refused after they had been handed to the log: they may be
    stored all the same. `refused` counts requests, by minute and reason. `most` is the promise for the time until the
    next line; `oldest` when the oldest request being worked on was received."""

    at: int
    mark: Mark = ""
    answered: Counter[Key] = field(default_factory=Counter)
    failed: Counter[Key] = field(default_factory=Counter)
    refused: Counter[tuple[int, str]] = field(default_factory=Counter)
    most: int = 0
    oldest: int | None = None

    def encoded(self) -> bytes:
        """The line with its end."""
        told: dict[str, Any] = {"at": self.at, "mark": self.mark, "most": self.most, "oldest": self.oldest}
        told |= {"answered": _listed(self.answered), "failed": _listed(self.failed), "refused": _listed(self.refused)}
        return orjson.dumps({name: value for name, value in told.items() if value or name == "at"}) + b"\n"


class Death(NamedTuple):
    """A process that ended without stopping: between the minutes `first` and `last` (ms, both included) it may have
    stored `most` events that it never answered, or never told of."""

    first: int
    last: int
    most: int


@dataclass(slots=True)
class Told:
    """What one collector tells of a time. Of what was received before `settled` (ms) it has told everything, but for
    its deaths. `moving`: it is at work, and `most` events more may be on their way just now; else `end` is the last
    minute (ms) it can have stored anything of, were this its newest account, and `sure` the last one it has told
    everything of even if it is not."""

    name: str
    answered: Counter[Key] = field(default_factory=Counter)
    failed: Counter[Key] = field(default_factory=Counter)
    refused: Counter[tuple[int, str]] = field(default_factory=Counter)
    deaths: list[Death] = field(default_factory=list)
    settled: int = 0
    most: int = 0
    moving: bool = False
    end: int = 0
    sure: int = 0


def folder_of(slot: Path) -> Path:
    """Where a slot keeps its account."""
    return slot / _FOLDER


def day_file(folder: Path, at: int) -> Path:
    """The file of the day of `at` (ms)."""
    return folder / f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d}.ndjson"


def read_account(slot: Path, start: int, now: int) -> Told | None:
    """What the slot's collector tells of minutes from `start` on; None where it keeps no account."""
    folder = folder_of(slot)
    try:
        name = (folder / "name").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    # Somewhat earlier: a process that died just before midnight may be short of events after it.
    first = day_file(folder, max(0, start - 2 * SILENT_MS))
    lines = (line for file in sorted(folder.glob("*.ndjson")) if file >= first for line in lines_of(file))
    return told(name, lines, start, now)


def told(name: str, lines: Iterable[Line], start: int, now: int) -> Told:
    """The sum of lines, in the order written."""
    sum_ = Told(name, settled=now)
    last: Line | None = None
    for line in lines:
        if last is not None and line.mark == "start" and last.mark != "stop":
            sum_.deaths.append(_death(last, line.at))
        for mine, its in ((sum_.answered, line.answered), (sum_.failed, line.failed)):
            mine.update({key: n for key, n in its.items() if key[0] >= start})
        sum_.refused.update({key: n for key, n in line.refused.items() if key[0] >= start})
        last = line
    if last is not None:
        sum_.end, sum_.sure = _minute(last.at), _minute(min(last.at, last.oldest or last.at)) - MINUTE_MS
    if last is not None and last.mark != "stop":
        if now - last.at > SILENT_MS:
            sum_.deaths.append(_death(last, now))
            sum_.end = sum_.deaths[-1].last
        else:
            sum_.settled, sum_.most, sum_.moving = min(last.at, last.oldest or last.at), last.most, True
    sum_.deaths = [death for death in sum_.deaths if death.last >= start]
    return sum_


def _death(last: Line, known: int) -> Death:
    """The death of the process that wrote `last`, known of at `known` (ms)."""
    end = min(last.at + SILENT_MS, known)
    return Death(_minute(min(last.oldest or last.at, last.at)), _minute(max(last.at, end)), last.most)


def lines_of(file: Path) -> Iterator[Line]:
    """The lines of a file. What is no line (a process died, or its disk was full, while it wrote it) is passed over."""
    try:
        with file.open("rb") as opened:
            for text in opened:
                line = _read(text)
                if line is not None:
                    yield line
    except FileNotFoundError:
        return


def _read(text: bytes) -> Line | None:
    try:
        value = orjson.loads(text)
        return Line(
            value["at"],
            value.get("mark", ""),
            _counted(value.get("answered", ())),
            _counted(value.get("failed", ())),
            _counted(value.get("refused", ())),
            value.get("most", 0),
            value.get("oldest"),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, IndexError):
        return None


def by_minute(lines: Iterable[Line]) -> Iterator[Line]:
    """The same account in fewer lines: those of one minute of one process are joined."""
    joined: Line | None = None
    for line in lines:
        if joined is None or line.mark or joined.mark or _minute(line.at) != _minute(joined.at):
            if joined is not None:
                yield joined
            joined = line
            continue
        line.answered.update(joined.answered)
        line.failed.update(joined.failed)
        line.refused.update(joined.refused)
        joined = line
    if joined is not None:
        yield joined


def _listed(counts: Mapping[Any, int]) -> list[list[Any]]:
    return [[*key, n] for key, n in counts.items() if n]


def _counted(rows: Iterable[list[Any]]) -> Counter[Any]:
    return Counter({tuple(key): n for *key, n in rows})


def _minute(at: int) -> int:
    return at // MINUTE_MS * MINUTE_MS
