"""Runs an SDK's script in its own language as a process."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tests.services import MissingService

HERE = Path(__file__).parent


class Sdk(NamedTuple):
    """A vendor's SDK: what it calls itself, how its script is run, the largest integer its language holds exactly."""

    name: str
    library: str
    command: tuple[str, ...]
    largest_integer: int

    def check(self) -> None:
        """Raises MissingService."""
        if shutil.which(self.command[0]) is None:
            raise MissingService(self.command[0])
        if self.name == "node" and not (HERE / "node/node_modules/.package-lock.json").exists():
            raise MissingService("@segment/analytics-node")

    def send(self, url: str, messages: list[dict[str, Any]]) -> dict[str, Any]:
        """What the SDK says of the messages: the ids it holds to be `delivered`, and its `failures`."""
        given = json.dumps({"url": url, "key": "sk_shop", "messages": messages})
        done = subprocess.run(self.command, input=given, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 0, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report


PYTHON = Sdk("python", "analytics-python", (sys.executable, str(HERE / "python/send.py")), 2**63 - 1)
NODE = Sdk("node", "@segment/analytics-node", ("node", str(HERE / "node/send.js")), 2**53 - 1)
