"""What other scripts of a page do to its data layer, and what the docs show of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

# As Google's tag is pasted into pages.
GTAG: Final = "window.dataLayer = window.dataLayer || []; function gtag() { dataLayer.push(arguments); }"
# As Tag Manager does: its own `push` on the array, which keeps 300 at most and writes a number into what is pushed.
TAG_MANAGER: Final = """
  window.dataLayer = window.dataLayer || [];
  dataLayer.push({'gtm.start': Date.now(), event: 'gtm.js'});
  window.heard = [];
  const before = dataLayer.push;
  window.managed = dataLayer.push = function (...pushed) {
    const result = before.apply(dataLayer, pushed);
    while (this.length > 300) this.shift();
    for (const one of pushed) {
      heard.push(one.event || one[1]);
      if (one.event) one['gtm.uniqueEventId'] = heard.length;
    }
    return result;
  };
"""


def line(page: str) -> str:
    """The tag that a page of the docs tells to paste."""
    (found,) = re.findall(r"```html\n(.*?)```", _text(page), re.DOTALL)
    return str(found)


def shown(page: str) -> list[str]:
    """The page's JavaScript, block by block."""
    return re.findall(r"```js\n(.*?)```", _text(page), re.DOTALL)


def table(page: str, at: int = 0) -> list[list[str]]:
    """The cells of the page's table number `at`, its head left out."""
    tables = re.findall(r"(?:^\|.*\n)+", _text(page), re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in tables[at].splitlines()[2:]]


def _text(page: str) -> str:
    return (Path("docs/tracker") / page).read_text()


def config_for(site: str, folder: Path) -> Path:
    """Settings of a real collector that takes what the pages of `site` send."""
    config = folder / "trackway.yml"
    config.write_text(
        f"data: {folder}/data\nlisten: 127.0.0.1:0\ncollect: {{listen_metrics: '127.0.0.1:0'}}\n"
        f"log: sqlite:///{folder}/log\nsecret: for-tests\n"
        f"sources: {{shop: {{browser_key: wk_shop, origins: ['{site}']}}}}\n"
    )
    return config
