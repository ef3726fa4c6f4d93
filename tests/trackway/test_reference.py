"""What the docs say of settings: the page of all keys is the code's, and every key and variable mentioned exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from tests.services.provider import VARIABLE
from trackway.doctor import CHECKS
from trackway.reference import commands_page, groups, metrics_page, names_page, page
from trackway.settings import ConfigError, load

PAGES = [Path("README.md"), *sorted(Path("docs").glob("*.md"))]
# Of the tests, not of the product.
NOT_SETTINGS = {VARIABLE}


def refused(file: Path | None, environ: dict[str, str]) -> str:
    try:
        load(file, environ)
    except ConfigError as error:
        return str(error)
    return ""


def test_the_page_of_settings_is_what_the_code_says() -> None:
    assert Path("docs/settings.md").read_text() == page(), "run `make docs`"


def test_the_page_of_commands_is_what_the_code_says() -> None:
    assert Path("docs/commands.md").read_text() == commands_page(), "run `make docs`"


def test_the_page_of_metrics_is_what_the_code_says() -> None:
    assert Path("docs/metrics.md").read_text() == metrics_page(), "run `make docs`"


def test_the_page_of_names_is_what_the_code_says() -> None:
    assert Path("docs/names.md").read_text() == names_page(), "run `make docs`"


def test_every_check_of_the_doctor_has_its_paragraph() -> None:
    told = re.findall(r"^\*\*(TW\d{3}) ([^*]+)\*\*", Path("docs/doctor.md").read_text(), re.MULTILINE)
    assert dict(told) == CHECKS


def test_a_key_without_a_description_is_refused_by_name() -> None:
    class Inner(BaseModel):
        depth: int = 1

    class Outer(BaseModel):
        inner: dict[str, list[Inner]] = Field(default_factory=dict, description="Some.")

    with pytest.raises(ValueError, match=r"inner\.NAME\[\]\.depth has no description"):
        page(Outer)


def test_every_variable_the_texts_name_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = subprocess.run(["git", "ls-files", "examples", "*.yml"], check=True, capture_output=True, text=True)
    texts = [path.read_text() for path in (*PAGES, *map(Path, listed.stdout.split()))]
    names = {name for text in texts for name in re.findall(r"\bTRACKWAY_[A-Z0-9_]*[A-Z0-9]", text)} - NOT_SETTINGS
    assert "TRACKWAY_LIMITS_BODY_BYTES" in names
    monkeypatch.chdir(tmp_path)
    assert [name for name in sorted(names) if "no such setting" in refused(None, {name: "1"})] == []


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_keys_in_a_page_exist(path: Path, tmp_path: Path) -> None:
    text = path.read_text()
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)):
        file = tmp_path / f"{number}.yml"
        file.write_text(f"data: {tmp_path}\n" + re.sub(r"(?m)^data:.*\n", "", block))
        filled = {name: f"x{count}" for count, name in enumerate(re.findall(r"\$\{(\w+)\}", block))}
        assert refused(file, filled) == ""
    known = {key.path for group in groups() for key in group.keys}
    mentioned = re.findall(r"`([a-z_][a-z0-9_.]*): [^`]*`", text)
    assert [key for key in mentioned if not any(f".{one}".endswith(f".{key}") for one in known)] == []
