"""Runs `trackway` as its users do: as processes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

PROGRAM = (sys.executable, "-m", "trackway")
CONFIG = """\
data: {folder}/data
listen: 127.0.0.1:0
log: {log}
topic_prefix: {prefix}
secret: for-tests
sources:
  shop: {{browser_key: wk_shop, origins: [https://shop.example], server_key: sk_shop}}
"""


def config_in(folder: Path, log: str = "") -> Path:
    file = folder / "trackway.yml"
    log = log or f"sqlite:///{folder}/log"
    file.write_text(CONFIG.format(folder=folder, log=log, prefix=f"{folder.name}-{os.getpid()}."))
    return file


def trackway(*arguments: str, config: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    given = ["--config", str(config)] if config else []
    command = [*PROGRAM, *given, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def stored(config: Path) -> list[dict[str, Any]]:
    done = trackway("events", "tail", "--from", "start", "--json", "--pii", "--reason", "test", config=config)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def collecting(config: Path, program: Sequence[str] = PROGRAM) -> AbstractContextManager[str]:
    """A collector's process; its URL. TERM at the end must make it leave with 0."""
    return running("collect", config, program)


@contextlib.contextmanager
def running(service: str, config: Path, program: Sequence[str] = PROGRAM) -> Iterator[str]:
    """A service's process; its URL. TERM at the end must make it leave with 0."""
    command = [*program, "--config", str(config), service]
    # A program of its own must not find this tree's packages in its folder.
    folder = None if program is PROGRAM else config.parent
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder)
    assert process.stderr
    try:
        line = process.stderr.readline()
        found = re.search(r"Ready: (http://\S+)", line)
        assert found, line + process.stderr.read()
        yield found.group(1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stderr.close()
