"""The page of the documentation about exports is true."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import structlog

from exporter.ledger import State
from exporter.settings import ExporterSettings
from exporter.workflow import Kind, Use
from tests.exports.exporting import Site, at_site, on_site
from trackway.cli import main
from trackway.settings import load

PAGE = Path("docs/exports.md").read_text()
ENVIRONMENT = {"PEOPLE_STREAM": "people-0001", "ARTICLES_STREAM": "articles-0002", "BEHAVIOUR_STREAM": "behaviour-0003"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def config(cdp_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The settings of the page, sending to the stand-in."""
    for name, value in (ENVIRONMENT | {"TRACKWAY_CDP_DEFAULT_ENDPOINT": cdp_url}).items():
        monkeypatch.setenv(name, value)
    (settings,) = blocks("yaml")
    file = tmp_path / "trackway.yml"
    file.write_text(f"data: {tmp_path}\n{settings}")
    monkeypatch.setenv("TRACKWAY_CONFIG", str(file))
    yield file
    structlog.reset_defaults()


def test_its_commands_send_a_draft_then_live_rows(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = load(config, os.environ)

    async def seeded() -> None:
        async with at_site(settings, kind="user", **{"from": "profiles"}) as site:
            await site.user("u1", birthday="2000-01-31")

    asyncio.run(seeded())
    (commands,) = blocks("sh")
    for command in commands.splitlines():
        assert main(command.split()[1:]) == 0, command
    said = capsys.readouterr()
    assert "people (draft, run " in said.err
    assert "succeeded: 1 of 1 rows accepted" in said.err
    assert said.out.count("succeeded") >= 2
    assert "every 30 minutes" in said.out

    async def scenario(site: Site) -> None:
        # The stand-in is as when new again; what the stream holds is in the ledger.
        assert (await site.export())["sent"] == 0

    assert settings.workflows["people"].processors[0].use == "date_of_birth"
    on_site(settings, scenario, **settings.workflows["people"].model_dump(by_alias=True))


def test_its_item_becomes_its_row(embedded_settings: ExporterSettings, tmp_path: Path) -> None:
    item, row = blocks("json")
    (tmp_path / "items.ndjson").write_text(item)

    async def scenario(site: Site) -> None:
        await site.export()
        assert await site.rows() == [json.loads(row)]

    given = {"kind": "content", "processors": ["skip:ibexa_image"], "from": f"ndjson:{tmp_path}/items.ndjson"}
    on_site(embedded_settings, scenario, **given)


def test_every_state_kind_and_processor_is_documented() -> None:
    for word in (*get_args(State), *get_args(Kind)):
        assert f"| `{word}` |" in PAGE, word
    for word in get_args(Use):
        assert re.search(rf"^\| `{word}", PAGE, re.MULTILINE), word
