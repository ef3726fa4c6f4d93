"""The second browser the tests drive: Debian's Firefox ESR or an installed Firefox."""

from __future__ import annotations

import shutil
from typing import Final

from tests.services.missing import MissingService

_ON_A_MAC: Final = "/Applications/Firefox.app/Contents/MacOS/firefox"
_NAMES: Final = ("firefox-esr", "firefox", _ON_A_MAC)


def installed_firefox() -> str | None:
    """The path of the executable, if there is one."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


def find_firefox() -> str:
    """The path of the executable. Raises MissingService."""
    path = installed_firefox()
    if path is None:
        raise MissingService("Firefox")
    return path
