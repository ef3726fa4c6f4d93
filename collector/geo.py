"""The country of an address, by the operator's own database in MaxMind's format."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

if TYPE_CHECKING:
    import maxminddb

_log = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 60.0
_REMEMBERED: Final = 16_384


class BadDatabase(Exception):  # noqa: N818 - a verdict on the file
    """The database cannot be used; the text says why and what to do."""


class Countries:
    """Looks addresses up in the file at `path`, and reads it anew within a minute after it changed. Raises
    BadDatabase."""

    def __init__(self, path: Path, now: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._now = now
        self._look_at = now() + _LOOK_SECONDS
        self._looks = self._file_looks()
        self._reader = _open(path)
        self._find = lru_cache(maxsize=_REMEMBERED)(self._look_up)

    def country(self, address: str) -> str | None:
        """Two capital letters by ISO 3166-1; None where the database has none for the address."""
        if self._now() >= self._look_at:
            self._look()
        return self._find(address)

    def close(self) -> None:
        """Let go of the database."""
        self._reader.close()

    def _look_up(self, address: str) -> str | None:
        try:
            # IPv4 as a listener of IPv6 tells it.
            found = self._reader.get(address.removeprefix("::ffff:") if "." in address else address)
        except ValueError:
            # No address, or one of IPv6 where the database has IPv4 alone.
            return None
        return _country_in(found) if isinstance(found, dict) else None

    def _look(self) -> None:
        self._look_at = self._now() + _LOOK_SECONDS
        looks = self._file_looks()
        if looks is None or looks == self._looks:
            return
        self._looks = looks
        try:
            reader = _open(self._path)
        except BadDatabase as error:
            # It may be half written: then it changes once more.
            _log.warning("geo_database_not_taken", error=str(error), todo="the one before stays in use")
            return
        self._reader.close()
        self._reader = reader
        self._find.cache_clear()
        _log.info("geo_database_taken", built=reader.metadata().build_epoch)

    def _file_looks(self) -> tuple[int, int, int] | None:
        try:
            state = os.stat(self._path)
        except OSError:
            return None
        return state.st_ino, state.st_size, state.st_mtime_ns


def _open(path: Path) -> maxminddb.Reader:
    try:
        import maxminddb
    except ImportError:
        raise BadDatabase("the package `maxminddb` is missing; install trackway[geo]") from None
    try:
        # Of a mapped file whose content is replaced in place, what is read next may end the process. So it is a copy
        # that is mapped, and it has no name any more.
        with path.open("rb") as file, tempfile.NamedTemporaryFile() as own:
            shutil.copyfileobj(file, own)
            own.flush()
            return maxminddb.open_database(own.name)
    except OSError as error:
        raise BadDatabase(f"{path}: cannot be read ({error.strerror})") from None
    except (maxminddb.InvalidDatabaseError, ValueError):
        raise BadDatabase(f"{path}: is no database in MaxMind's format (.mmdb)") from None


def _country_in(found: dict[str, Any]) -> str | None:
    """MaxMind's layout and its likes have an object with `iso_code`, others the code itself."""
    for name in ("country", "country_code", "registered_country"):
        value = found.get(name)
        code = value.get("iso_code") if isinstance(value, dict) else value
        if isinstance(code, str) and len(code) == 2 and code.isascii() and code.isalpha():
            return code.upper()
    return None
