"""`trackway up` as a process: what it says, and what it does when a part of it cannot work."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

from tests.trackway.processes import config_in


def test_up_gives_up_and_says_so_when_its_aggregator_cannot_start(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    text = config.read_text()
    config.write_text(text + f"store: sqlite:///{tmp_path}/store.db\n")
    # A child that ends at once, as after an upgrade that went wrong.
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import sys\nif 'aggregate' in sys.argv: raise SystemExit('this aggregator is broken')\n"
    )
    command = [sys.executable, "-m", "trackway", "--config", str(config), "up"]
    environ = os.environ | {"PYTHONPATH": f"{broken}{os.pathsep}{Path.cwd()}"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, env=environ)
    assert done.returncode == 3, done.stderr
    assert "the aggregator ended 5 times" in done.stderr
    # What it had begun stays whole.
    with sqlite3.connect(tmp_path / "store.db") as connection:
        assert connection.execute("SELECT COUNT(*) FROM position").fetchone() == (0,)
