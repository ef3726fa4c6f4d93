"""The browsers the tests drive, each launched in one way: as their users have them, back-forward cache included."""

from __future__ import annotations

from typing import Final, Literal

from playwright.sync_api import Browser, Playwright

from tests.services import find_chromium, find_firefox

BrowserName = Literal["chromium", "firefox"]
BROWSERS: Final[tuple[BrowserName, ...]] = ("chromium", "firefox")

CHROMIUM_ARGUMENTS: Final = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def launch(playwright: Playwright, name: BrowserName, *for_chromium: str) -> Browser:
    """A browser without a window; `for_chromium` are further arguments of that one. Raises MissingService."""
    if name == "firefox":
        # The system's Firefox is driven by WebDriver BiDi.
        return playwright.firefox.launch(channel="moz-firefox", executable_path=find_firefox())
    return playwright.chromium.launch(
        executable_path=find_chromium(),
        args=[*CHROMIUM_ARGUMENTS, *for_chromium],
        ignore_default_args=["--disable-back-forward-cache"],
    )
