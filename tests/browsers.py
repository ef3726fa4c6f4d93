"""The browsers the tests drive, each launched in one way: as their users have them, back-forward cache included."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from playwright.sync_api import Browser, Playwright, sync_playwright

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


class Launched:
    """Browsers that stay from module to module, because launching one takes longer than most tests do.

    Firefox does not, because each test makes it slower. Playwright's event loop runs as long as they do: whoever wants
    one of their own closes them first.
    """

    def __init__(self) -> None:
        self._playwright: Playwright | None = None
        self._browsers: dict[tuple[str, ...], Browser] = {}
        self._module: Path | None = None

    def used_by(self, module: Path, wanted: bool) -> None:
        """A test of the module is next, and `wanted` are any."""
        if module == self._module:
            return
        if not wanted:
            self.close()
            return
        self._module = module
        for key in [key for key in self._browsers if key[0] == "firefox"]:
            self._browsers.pop(key).close()

    def browser(self, name: BrowserName, *for_chromium: str) -> Browser:
        """The one that was launched so before, if it still runs. Raises MissingService."""
        if not self._playwright:
            self._playwright = sync_playwright().start()
        found = self._browsers.get((name, *for_chromium))
        if not found or not found.is_connected():
            found = self._browsers[name, *for_chromium] = launch(self._playwright, name, *for_chromium)
        return found

    def close(self) -> None:
        if self._playwright:
            for browser in self._browsers.values():
                browser.close()
            self._playwright.stop()
        self._playwright = None
        self._browsers = {}
