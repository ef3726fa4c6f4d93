"""docs/tracker-tests.md names what is tested in one browser only, and nothing else."""

from __future__ import annotations

from pathlib import Path

from tests.tracker.browsers import ONE_BROWSER, table

PAGE = Path(__file__).parents[2] / "docs" / "tracker-tests.md"


def test_the_page_shows_what_exists_in_one_browser() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert table() in page
    assert sum(f"| {name} |" in line for line in page.splitlines() for name in ("Chromium", "Firefox")) == len(
        ONE_BROWSER
    )


def test_every_line_of_the_table_is_a_tests() -> None:
    tests = "".join(file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("test_*.py"))
    assert [line for line in ONE_BROWSER if f'@only("{line}")' not in tests] == []
