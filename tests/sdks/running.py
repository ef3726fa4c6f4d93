"""Runs a script with a vendor's SDK, in its own language and with its own versions, as a process."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.services import MissingService

HERE = Path(__file__).parent
_SECONDS = 90


def python(folder: str, given: dict[str, Any], script: str = "send.py") -> dict[str, Any]:
    """What `tests/sdks/python/<folder>/<script>` prints as JSON on its last line, given JSON on its standard input."""
    home = HERE / "python" / folder
    program = home / ".venv/bin/python"
    if not (home / ".venv/.installed").exists():
        raise MissingService(f"the SDKs of {folder}: tests/install-sdks")
    return _run([str(program), str(home / script)], given)


def node(folder: str, given: dict[str, Any], script: str = "send.js") -> dict[str, Any]:
    """The same of `tests/sdks/node/<folder>/<script>`."""
    home = HERE / "node" / folder
    if not (home / "node_modules/.package-lock.json").exists():
        raise MissingService(f"the SDKs of {folder}: tests/install-sdks")
    return _run(["node", str(home / script)], given)


def _run(command: list[str], given: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        command, input=json.dumps(given), capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report
