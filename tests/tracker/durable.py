"""A real collector, of the tests that ask what it has accepted."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eventlog.topics import REJECTED
from tests.trackway.processes import collecting, stored

_CONFIG = """\
data: {folder}/data
listen: 127.0.0.1:0
collect: {{listen_metrics: '127.0.0.1:0'}}
trusted_proxies: [127.0.0.1]
log: sqlite:///{folder}/log
secret: for-tests
sources:
  shop: {{browser_key: wk_shop, origins: ['{origin}'], server_key: sk_shop}}
"""


class Durable:
    """What stands in its log. `url` is known while it runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.url = ""

    @contextlib.contextmanager
    def running(self, origin: str) -> Iterator[None]:
        """Serve the source whose pages are at `origin`, for the length of the block."""
        (self._folder / "trackway.yml").write_text(_CONFIG.format(folder=self._folder, origin=origin))
        with collecting(self._folder / "trackway.yml") as self.url:
            yield

    def accepted(self) -> list[dict[str, Any]]:
        return stored(self._folder / "trackway.yml")

    def names(self) -> Counter[str]:
        return Counter(event["name"] for event in self.accepted())

    def outcomes(self) -> Counter[str]:
        """What did not become an event, by its status: a resend is a `duplicate`."""
        return Counter(one["status"] for one in stored(self._folder / "trackway.yml", REJECTED))
