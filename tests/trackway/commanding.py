"""Runs commands in the test's own process, which takes a tenth of the time that a process of their own takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import structlog

from trackway.cli import main


class Done(NamedTuple):
    """What a command ended with, wrote and said."""

    code: int
    out: str
    said: str


class Commands:
    """The command line with one settings file."""

    def __init__(self, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._config = config
        self._capsys = capsys

    def run(self, *arguments: str) -> Done:
        self._capsys.readouterr()
        code = main(["--config", str(self._config), *arguments])
        return Done(code, *self._capsys.readouterr())

    def __call__(self, *arguments: str) -> Done:
        """It must end with 0."""
        done = self.run(*arguments)
        assert done.code == 0, done.out + done.said
        return done


@contextmanager
def commanding(config: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Commands]:
    """The commands, and the logging they set up taken back at the end."""
    yield Commands(config, capsys)
    structlog.reset_defaults()
