"""An ASGI app on a real port, served from a thread of its own, for the length of a block."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator

from starlette.types import ASGIApp

from trackway.serving import address_of, bind, serve

# Opens the app that is to be served at the URL given, and closes what it needed.
Opened = Callable[[str], contextlib.AbstractAsyncContextManager[ASGIApp]]


@contextlib.contextmanager
def served(opened: Opened, listen: str = "127.0.0.1:0") -> Iterator[str]:
    """The URL it is served at."""
    started = threading.Event()
    running: list[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        stop = asyncio.Event()
        with contextlib.closing(bind(listen)) as sock:
            url = f"http://{address_of(sock)}"
            async with opened(url) as app:
                running.append((url, asyncio.get_running_loop(), stop))
                started.set()
                await serve(app, sock, stop, 1)

    def run() -> None:
        try:
            asyncio.run(main())
        finally:
            started.set()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait(30)
    assert running, "the app did not start; its thread says why"
    ((url, loop, stop),) = running
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
