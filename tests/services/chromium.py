"""The browser the tests drive: Debian's Chromium or an installed Chrome."""

from __future__ import annotations

import shutil

from tests.services.missing import MissingService


def find_chromium() -> str:
    """The path of the executable; as root it needs `--no-sandbox`. Raises MissingService."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if path := shutil.which(name):
            return path
    raise MissingService("Chromium")
