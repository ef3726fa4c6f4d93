"""Crontab text and the moments it names, also where clocks are changed."""

from __future__ import annotations

from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from eventlog.timestamps import format_ms, parse_ms
from exporter.cron import in_words, parse_cron, ticks_after


def ticks(text: str, after: str, count: int = 3, zone: str = "UTC") -> list[str]:
    """The next ticks, as `MM-DD HH:MM` UTC."""
    found = islice(ticks_after(parse_cron(text), parse_ms(after), ZoneInfo(zone)), count)
    return [format_ms(tick)[5:16].replace("T", " ") for tick in found]


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        ("*/30 * * * *", "2026-01-01T00:00:00Z", ["01-01 00:30", "01-01 01:00", "01-01 01:30"]),
        ("*/30 * * * *", "2026-01-01T00:29:59.999Z", ["01-01 00:30", "01-01 01:00", "01-01 01:30"]),
        ("0 */12 * * *", "2026-01-01T00:00:01Z", ["01-01 12:00", "01-02 00:00", "01-02 12:00"]),
        ("5,35 9-10 * * *", "2026-01-01T09:05:00Z", ["01-01 09:35", "01-01 10:05", "01-01 10:35"]),
        ("@hourly", "2026-01-01T00:00:00Z", ["01-01 01:00", "01-01 02:00", "01-01 03:00"]),
        ("@Weekly", "2026-01-01T00:00:00Z", ["01-04 00:00", "01-11 00:00", "01-18 00:00"]),
        ("0 0 * * 7", "2026-01-01T00:00:00Z", ["01-04 00:00", "01-11 00:00", "01-18 00:00"]),
        ("0 0 * * SUN", "2026-01-01T00:00:00Z", ["01-04 00:00", "01-11 00:00", "01-18 00:00"]),
        ("0 0 1 JAN,jul *", "2026-01-01T00:00:00Z", ["07-01 00:00", "01-01 00:00", "07-01 00:00"]),
        # Both day fields: either matches. One of them a star: the other decides.
        ("0 0 13 * FRI", "2026-02-01T00:00:00Z", ["02-06 00:00", "02-13 00:00", "02-20 00:00"]),
        ("10s", "2026-01-01T00:59:55Z", ["01-01 01:00", "01-01 01:00", "01-01 01:00"]),
        ("90s", "2026-01-01T00:00:00Z", ["01-01 00:01", "01-01 00:03", "01-01 00:04"]),
        ("0 0 29 2 *", "2026-01-01T00:00:00Z", ["02-29 00:00", "02-29 00:00", "02-29 00:00"]),
    ],
)
def test_ticks(text: str, after: str, expected: list[str]) -> None:
    assert ticks(text, after) == expected


# Oslo puts its clocks forward on 2026-03-29, 02:00 -> 03:00, and back on 2026-10-25, 03:00 -> 02:00, both at 01:00 UTC.
@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        # 02:30 does not exist: the first minute after the gap, and only once.
        ("30 2 * * *", "2026-03-28T12:00:00Z", ["03-29 01:00", "03-30 00:30", "03-31 00:30"]),
        ("0,30 2 * * *", "2026-03-28T12:00:00Z", ["03-29 01:00", "03-30 00:00", "03-30 00:30"]),
        # 03:00 exists and coincides with what was put off: one tick.
        ("0 2,3 * * *", "2026-03-28T12:00:00Z", ["03-29 01:00", "03-30 00:00", "03-30 01:00"]),
        # Asked from within the gap's first minute on, it does not come again.
        ("30 2 * * *", "2026-03-29T01:00:00Z", ["03-30 00:30", "03-31 00:30", "04-01 00:30"]),
        # 02:30 exists twice: the first of two.
        ("30 2 * * *", "2026-10-24T12:00:00Z", ["10-25 00:30", "10-26 01:30", "10-27 01:30"]),
        ("30 2 * * *", "2026-10-25T00:30:00Z", ["10-26 01:30", "10-27 01:30", "10-28 01:30"]),
        # Schedules of every hour follow the clock: no hour is left out, none comes twice.
        ("0 * * * *", "2026-03-28T23:00:00Z", ["03-29 00:00", "03-29 01:00", "03-29 02:00"]),
        ("0 * * * *", "2026-10-24T23:00:00Z", ["10-25 00:00", "10-25 01:00", "10-25 02:00"]),
        ("*/30 * * * *", "2026-10-25T00:15:00Z", ["10-25 00:30", "10-25 01:00", "10-25 01:30"]),
        ("15 0-23 * * *", "2026-10-25T00:00:00Z", ["10-25 00:15", "10-25 01:15", "10-25 02:15"]),
    ],
)
def test_ticks_where_clocks_are_changed(text: str, after: str, expected: list[str]) -> None:
    assert ticks(text, after, zone="Europe/Oslo") == expected


def test_a_zone_whose_gap_is_half_an_hour_or_a_day() -> None:
    # Lord Howe Island: 2026-10-04, 02:00 -> 02:30. Samoa had no 30 December 2011.
    assert ticks("15 2 * * *", "2026-10-03T00:00:00Z", 1, "Australia/Lord_Howe") == ["10-03 15:30"]
    assert ticks("0 12 30 12 *", "2011-12-01T00:00:00Z", 1, "Pacific/Apia") == ["12-30 10:00"]


@pytest.mark.parametrize(
    "text", ["", "* * * *", "* * * * * *", "60 * * * *", "0 0 30 2 *", "@never", "a b c d e", "0s", "10m"]
)
def test_what_is_no_schedule(text: str) -> None:
    with pytest.raises(ValueError, match="is no schedule"):
        parse_cron(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("* * * * *", "every minute"),
        ("*/30 * * * *", "every 30 minutes"),
        ("10s", "every 10 seconds"),
        ("@hourly", "every hour at minute 0"),
        ("0 */12 * * *", "every 12 hours at minute 0"),
        ("0 5 * * *", "daily at 05:00"),
        ("30 18 * * 5", "every Friday at 18:30"),
        ("0 6 1 * *", "on day 1 of the month at 06:00"),
        ("0 5,18 * * *", "0 5,18 * * *"),
        # 0, 45, 0, 45: not every 45 minutes.
        ("*/45 * * * *", "*/45 * * * *"),
    ],
)
def test_schedules_in_words(text: str, words: str) -> None:
    assert in_words(parse_cron(text)) == words
