"""The browser the tests drive: Debian's Chromium or an installed Chrome."""

from __future__ import annotations

import shutil
from typing import Final

from tests.services.missing import MissingService

_ON_A_MAC: Final = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", _ON_A_MAC)


def installed_chromium() -> str | None:
    """The path of the executable, if there is one."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


def find_chromium() -> str:
    """The path of the executable; as root it needs `--no-sandbox`. Raises MissingService."""
    path = installed_chromium()
    if path is None:
        raise MissingService("Chromium")
    return path
