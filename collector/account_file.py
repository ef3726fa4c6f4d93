"""The file in which a collector keeps account of its answers: a new one each day, the old ones made small."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

import structlog

from eventlog.account import KEPT_DAYS, Line, by_minute, day_file, folder_of, lines_of
from eventlog.timestamps import DAY_MS

_log = structlog.get_logger(__name__)

# The first line of a file that was made small; it tells nothing else.
_SMALL: Final = b'{"small":true}\n'


class AccountFile:
    """Appends lines; one instance a slot. What was appended outlives the process, though not the machine's."""

    def __init__(self, slot: Path) -> None:
        self._folder = folder_of(slot)
        self._folder.mkdir(parents=True, exist_ok=True)
        self.name = _name_in(self._folder)
        self._file: Path | None = None
        self._handle = -1
        # Whether what stands last in the file may be no whole line.
        self._torn = True

    def append(self, line: Line) -> bool:
        """Write a line; False where the disk does not take it: nothing of it counts then."""
        try:
            handle = self._open(day_file(self._folder, line.at))
            text = b"\n" * self._torn + line.encoded()
            self._torn = os.write(handle, text) != len(text)
        except OSError as error:
            self._torn = True
            _log.warning("answers_not_written", error=error.strerror, folder=str(self._folder))
        return not self._torn

    def tidy(self, now: int) -> None:
        """Remove what is too old, and make the files of days gone by small. For a thread of its own."""
        today = day_file(self._folder, now)
        oldest = day_file(self._folder, now - KEPT_DAYS * DAY_MS)
        for file in sorted(self._folder.glob("*.ndjson")):
            if file < oldest:
                file.unlink(missing_ok=True)
            elif file < today:
                _make_small(file)

    def close(self) -> None:
        """Let go of the file."""
        if self._handle >= 0:
            os.close(self._handle)
        self._file, self._handle = None, -1

    def _open(self, file: Path) -> int:
        if file != self._file:
            self.close()
            self._handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            self._file, self._torn = file, os.fstat(self._handle).st_size > 0
        return self._handle


def _make_small(file: Path) -> None:
    with file.open("rb") as opened:
        if opened.readline() == _SMALL:
            return
    made = file.with_suffix(".new")
    with made.open("wb") as opened:
        opened.write(_SMALL)
        for line in by_minute(lines_of(file)):
            opened.write(line.encoded())
        opened.flush()
        os.fsync(opened.fileno())
    made.replace(file)


def _name_in(folder: Path) -> str:
    """The slot's name, made when it is first used."""
    file = folder / "name"
    if not file.exists():
        made = file.with_suffix(".new")
        made.write_text(secrets.token_hex(4) + "\n", encoding="ascii")
        made.replace(file)
    return file.read_text(encoding="ascii").strip()
