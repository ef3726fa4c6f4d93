"""The pages of the documentation about API and console are true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from exporter.console.render import NAVIGATION
from exporter.openapi import OPERATIONS
from exporter.problem import STATUS
from tests.console.site import Site

API = Path("docs/api.md").read_text()


def test_the_example_of_the_api_prints_what_the_store_knows(site: Site) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", API, re.DOTALL)
    environment = os.environ | {"API_URL": site.address, "TRACKWAY_ADMIN_TOKEN": site.token}
    said = subprocess.check_output([sys.executable, "-c", example], env=environment, text=True, timeout=60)
    assert said == "1 order, 1 session\n"


def test_every_operation_and_every_code_is_documented() -> None:
    for operation in OPERATIONS:
        assert operation.path.removeprefix("/api/v1/profiles/{id}") in API, operation.path
    codes = dict(re.findall(r"^\| `(\w+)` \| (\d+)", API, re.MULTILINE))
    assert codes == {code: str(status) for code, status in STATUS.items()}


def test_every_page_of_the_navigation_is_documented() -> None:
    text = Path("docs/console.md").read_text()
    for _, name, _ in NAVIGATION:
        assert f"| {name} |" in text
