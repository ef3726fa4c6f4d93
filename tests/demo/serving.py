"""The demo shop and a real collector on one port, as `trackway up --demo` serves them."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Iterator
from pathlib import Path

from collector.app import create_app
from eventlog.opening import open_producer
from tests.trackway.processes import config_in
from trackway.demo.shop import create_shop
from trackway.serving import Dispatch, address_of, bind, serve
from trackway.settings import load

# First segments of the collector's paths; everything else is the shop's.
_COLLECTORS = ("tw", "v1", "tracker.js", "schema", "health", "ready", ".well-known")


@contextlib.contextmanager
def demo_site(folder: Path) -> Iterator[tuple[str, Path]]:
    """Its URL and its settings file, for the length of a block."""
    config = config_in(folder)
    started: queue.SimpleQueue[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = queue.SimpleQueue()

    async def main() -> None:
        stop = asyncio.Event()
        with contextlib.closing(bind("127.0.0.1:0")) as sock:
            url = f"http://{address_of(sock)}"
            config.write_text(config.read_text().replace("https://shop.example", url))
            settings = load(config, {})
            producer = open_producer(settings)
            await producer.start()
            app = Dispatch(create_shop("wk_shop"), dict.fromkeys(_COLLECTORS, create_app(settings, producer)))
            sock.listen()
            started.put((url, asyncio.get_running_loop(), stop))
            await serve(app, sock, stop, 1)
            await producer.stop()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    url, loop, stop = started.get(timeout=30)
    try:
        yield url, config
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
