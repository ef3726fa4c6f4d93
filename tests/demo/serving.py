"""The demo shop and a real collector on one port, as `trackway up --demo` serves them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from starlette.types import ASGIApp

from collector.app import create_app
from eventlog.opening import open_producer
from tests.serving import served
from tests.trackway.processes import config_in
from trackway.demo.shop import create_shop
from trackway.serving import Dispatch
from trackway.settings import DEMO_FILE, load

_SETTINGS = DEMO_FILE.read_text()
# Of the demo's settings those that say where the Ibexa form's calls have what.
RAPTOR = _SETTINGS[_SETTINGS.index("raptor:") : _SETTINGS.index("cdp:")]


@contextlib.contextmanager
def demo_site(folder: Path) -> Iterator[tuple[str, Path]]:
    """Its URL and its settings file, for the length of a block."""
    config = config_in(folder)

    @contextlib.asynccontextmanager
    async def opened(url: str) -> AsyncIterator[ASGIApp]:
        config.write_text(config.read_text().replace("https://shop.example", url) + RAPTOR)
        settings = load(config, {})
        producer = open_producer(settings)
        await producer.start()
        collector = create_app(settings, producer)
        yield Dispatch(create_shop("wk_shop"), (collector.serves, collector))
        await producer.stop()

    with served(opened) as url:
        yield url, config
