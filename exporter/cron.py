"""Crontab text and the moments it names: five fields, names, `@hourly`; `10s` for what is due sooner than each minute.

Times are integers of milliseconds UTC. Where a local time does not exist (the clock was put forward) the tick falls
on the first minute after the gap; where it exists twice the first one counts. Schedules of every hour follow the
clock instead: they tick in each hour that there is.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_MACROS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_SECONDS: Final = re.compile(r"([0-9]{1,3})s")
_DAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_HOURS_OF_A_DAY: Final = frozenset(range(24))


@dataclass(frozen=True, slots=True)
class Cron:
    """A schedule as its five fields."""

    text: str
    fields: tuple[str, str, str, str, str]
    every_hour: bool
    # Of a schedule in seconds: due at each multiple of them, whatever the clocks show.
    seconds: int = 0


def parse_cron(text: str) -> Cron:
    """The schedule of `text`. Raises ValueError where it is none."""
    stripped = text.strip()
    if (seconds := _SECONDS.fullmatch(stripped)) and int(seconds[1]):
        return Cron(stripped, ("*", "*", "*", "*", "*"), True, int(seconds[1]))
    fields = _MACROS.get(stripped.lower(), stripped).split()
    if len(fields) != 5:
        raise ValueError(
            f"{text!r} is no schedule: five fields are needed (minute hour day month weekday), such as `*/30 * * * *`, "
            f"or `10s`, or one of {', '.join(sorted(_MACROS))}"
        )
    try:
        parsed = CronSim(" ".join(fields), datetime(2026, 1, 1))
    except (CronSimError, ValueError) as error:
        raise ValueError(f"{text!r} is no schedule: {error}") from None
    minute, hour, day, month, weekday = fields
    return Cron(stripped, (minute, hour, day, month, weekday), _HOURS_OF_A_DAY.issubset(parsed.hours))


def ticks_after(cron: Cron, after: int, zone: ZoneInfo) -> Iterator[int]:
    """The ticks later than `after`, in order, each once."""
    if cron.seconds:
        period = cron.seconds * 1000
        yield from itertools.count((after // period + 1) * period, period)
    last = after
    for moment in _moments(cron, after, zone):
        tick = int(moment.astimezone(UTC).timestamp()) * 1000
        if tick > last:
            last = tick
            yield tick


def _moments(cron: Cron, after: int, zone: ZoneInfo) -> Iterator[datetime]:
    start = datetime.fromtimestamp(after / 1000, UTC).astimezone(zone)
    minute, _, *rest = cron.fields
    if cron.every_hour:
        # CronSim walks real time only where a field is a star; the star means the same here.
        yield from CronSim(" ".join((minute, "*", *rest)), start)
        return
    # One day back: a tick of the gap is later than its own local time.
    wall = start.replace(tzinfo=None) - timedelta(days=1)
    for local in CronSim(" ".join(cron.fields), wall):
        yield _first_real(local, zone)


def _first_real(local: datetime, zone: ZoneInfo) -> datetime:
    """`local` in `zone`: the first of two; the first minute after the gap where there is none."""
    moment = local.replace(tzinfo=zone)
    if moment.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == local:
        return moment
    # Before the gap the offset is the one of fold=0, so this is the instant the clock was put forward at.
    low, high = moment - timedelta(days=1), moment + timedelta(days=1)
    before = low.utcoffset()
    first, last = int(low.astimezone(UTC).timestamp()), int(high.astimezone(UTC).timestamp())
    while last - first > 1:
        middle = (first + last) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == before:
            first = middle
        else:
            last = middle
    return datetime.fromtimestamp(last, zone)


def in_words(cron: Cron) -> str:
    """The schedule for people: `every 30 minutes`, `daily at 05:00`; the crontab text where no words are at hand."""
    if cron.seconds:
        return f"every {cron.seconds} seconds"
    minute, hour, day, month, weekday = cron.fields
    daily = (day, month, weekday) == ("*", "*", "*")
    if daily and hour == "*":
        return _within_the_hour(minute) or cron.text
    if daily and minute.isdigit() and (hours := _evenly(hour, 24)):
        return f"every {hours} hours at minute {int(minute)}"
    if not (minute.isdigit() and hour.isdigit()):
        return cron.text
    at = f"at {int(hour):02d}:{int(minute):02d}"
    if daily:
        return f"daily {at}"
    if (day, month) == ("*", "*") and weekday.isdigit():
        return f"every {_DAYS[int(weekday)]} {at}"
    if (month, weekday) == ("*", "*") and day.isdigit():
        return f"on day {int(day)} of the month {at}"
    return cron.text


def _within_the_hour(minute: str) -> str:
    if minute in {"*", "*/1"}:
        return "every minute"
    if minutes := _evenly(minute, 60):
        return f"every {minutes} minutes"
    if minute.isdigit():
        return f"every hour at minute {int(minute)}"
    return ""


def _evenly(field: str, whole: int) -> int:
    """The step of a field such as `*/30`, where the steps fill the whole; else 0."""
    step = int(field[2:]) if field.startswith("*/") and field[2:].isdigit() else 0
    return step if step and whole % step == 0 else 0
