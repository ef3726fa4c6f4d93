"""Every snippet of docs/tracker.md, run on a page. A comment before one says what is done there and what is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tracker.conftest import Open
from tests.tracker.recorder import Recorder

pytestmark = pytest.mark.browser

PAGE = Path(__file__).parents[2] / "docs" / "tracker.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCK = re.compile(r"(?:<!-- (?P<marks>[^\n]*) -->\n)?```html\n(?P<code>.*?)```", re.DOTALL)
LINE, STUB = (found["code"] for found in list(BLOCK.finditer(TEXT))[:2])
SNIPPETS = [(found["marks"] or "", found["code"]) for found in list(BLOCK.finditer(TEXT))[2:]]


@pytest.mark.parametrize(("marks", "code"), SNIPPETS, ids=[str(at) for at in range(len(SNIPPETS))])
def test_a_snippet_tells_what_the_page_says(marks: str, code: str, open_page: Open, recorder: Recorder) -> None:
    said = dict(part.strip().split(": ", 1) for part in marks.split("; ")) if ";" in marks else {"tells": marks[7:]}
    expected = said["tells"].split()
    recorder.pages["/snippet"] = f"<!doctype html><title>Docs</title>{STUB}{code}{'' if 't.js' in code else LINE}"
    page = open_page("/snippet")
    if "click" in said:
        page.click(said["click"])
    if said.get("consent") == "granted":
        page.evaluate("trackway('consent', 'granted')")
        expected = [*expected, "consent"]
    if "click" in said and said.get("consent") == "granted":
        page.click(said["click"])
        expected = [*expected, expected[1]]
    if "run" in said:
        page.evaluate(said["run"])
        page.wait_for_timeout(100)  # longer than history calls are gathered
    page.evaluate("trackway.flush()")
    recorder.wait(lambda: len(recorder.events) >= len(expected))
    assert sorted(recorder.names) == sorted(expected)


def test_every_page_that_is_linked_is_there() -> None:
    for link in re.findall(r"\]\(([^)#]+\.md)\)", TEXT):
        assert (PAGE.parent / link).is_file(), link


def test_the_table_of_settings_names_what_the_tracker_reads() -> None:
    named = set(re.findall(r"^\| `data-(\w+)`", TEXT, re.MULTILINE))
    source = "".join(file.read_text() for file in (PAGE.parents[1] / "static" / "core").glob("*.js"))
    source += (PAGE.parents[1] / "static" / "tracker.js").read_text()
    read = set(re.findall(r"settings\.(\w+)", source)) | {"auto", "debug"}
    assert named == read
