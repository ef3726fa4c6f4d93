"""Taking the sources of the settings file anew when it changes, or on SIGHUP, without a restart."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import structlog

from collector.settings import Source
from eventlog.numbers import Numbers
from trackway.settings import DEFAULT_FILE, ConfigError, Settings, load

_log = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 1.0

# What a file is: another number means another content, also where it was replaced or is a link to another folder.
_Looks = tuple[int, int, int, int]


class Reloading:
    """Watches the settings file of one process. A file that cannot be taken changes nothing, and is told of."""

    def __init__(
        self,
        settings: Settings,
        file: Path | None,
        take: Callable[[dict[str, Source]], None],
        every: float = _LOOK_SECONDS,
    ) -> None:
        self._every = every
        self._settings = settings
        self._file = file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
        self._take = take
        self._seen = self._looks()
        self._told = asyncio.Event()
        self.taken = self.refused = 0
        self.problems: list[str] = []

    async def watch(self, stop: asyncio.Event) -> None:
        """Read the file again whenever it changes, and on SIGHUP, until `stop` is set."""
        changing: _Looks | None = None
        with self._on_hangup():
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._told.wait(), self._every)
                looks = self._looks()
                if self._told.is_set():
                    self._told.clear()
                    await self._read(looks)
                elif looks is not None and looks != self._seen:
                    # Read once it has stood still from one look to the next: it may be half written.
                    if looks == changing:
                        await self._read(looks)
                    changing = looks

    def put(self, numbers: Numbers) -> Numbers:
        """Add what it did to the process's numbers."""
        numbers.put("trackway_settings_read_total", self.taken, "taken")
        numbers.put("trackway_settings_read_total", self.refused, "refused")
        numbers.put("trackway_settings_refused", int(bool(self.problems)))
        return numbers

    async def _read(self, looks: _Looks | None) -> None:
        self._seen = looks
        try:
            settings = await asyncio.to_thread(load, self._file, os.environ)
        except ConfigError as error:
            self.refused += 1
            self.problems = error.problems
            _log.error("settings_refused", problems=error.problems, todo="correct the file; the old sources stay")
            return
        self.problems = []
        self.taken += 1
        self._take(settings.sources)
        others = sorted(
            name
            for name in type(settings).model_fields
            if name != "sources" and getattr(settings, name) != getattr(self._settings, name)
        )
        _log.info("sources_taken", sources=len(settings.sources), need_a_restart=others)

    def _looks(self) -> _Looks | None:
        if self._file is None:
            return None
        try:
            told = self._file.stat()
        except OSError:
            return None
        return told.st_dev, told.st_ino, told.st_mtime_ns, told.st_size

    @contextlib.contextmanager
    def _on_hangup(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._told.set)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGHUP)
