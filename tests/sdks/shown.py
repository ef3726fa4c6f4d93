"""The code that the protocols' pages show, to be run as it stands there."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.sdks.conftest import Collector
from tests.sdks.running import HERE


def shown(page: str, begins: str, collector: Collector) -> str:
    """The one block of `docs/protocols/<page>` whose fence and first lines begin so (`js`, `js\\nimport `), for this
    collector."""
    text = Path("docs/protocols", page).read_text()
    (found,) = re.findall(rf"```({re.escape(begins)}.*?)```", text, re.DOTALL)
    code: str = found.partition("\n")[2]
    return code.replace("127.0.0.1:8080", urlsplit(collector.url).netloc)


def run_shown(code: str, language: str, folder: str) -> None:
    """Run it with the packages of `tests/sdks/{python,node}/<folder>`."""
    folder_of = HERE / ("python" if language == "python" else "node") / folder
    command: Sequence[str] = ("node", "--input-type=module")
    if language == "python":
        command = (str(folder_of / ".venv/bin/python"), "-")
    subprocess.run(command, input=code, text=True, check=True, timeout=60, cwd=folder_of)


def check_shown(event: dict[str, Any]) -> None:
    """What most of that code sends."""
    assert (event["name"], event["items"][0]["price"], event["items"][0]["currency"]) == ("visit", "89.9", "EUR")
