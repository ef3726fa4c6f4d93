"""The services and their wiring."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from collector.app import create_app
from eventlog.embedded import lock_writer
from eventlog.opening import open_producer
from trackway.printing import say
from trackway.serving import address_of, bind, serve, stopping
from trackway.settings import Settings


async def collect(settings: Settings) -> None:
    """Run a collector until TERM or INT. Raises Unavailable when the log does not answer, OSError for a taken port."""
    with _only_collector(settings), contextlib.closing(bind(settings.listen)) as sock:
        producer = open_producer(settings)
        await producer.start()
        try:
            async with stopping() as stop:
                app = create_app(settings, producer)
                say(f"Ready: http://{address_of(sock)} (log: {'Kafka' if settings.is_kafka else settings.log_folder})")
                await serve(app, sock, stop, settings.drain_time)
        finally:
            await producer.stop()


@contextlib.contextmanager
def _only_collector(settings: Settings) -> Iterator[None]:
    # The embedded log has one collector; with Kafka there may be many.
    with contextlib.nullcontext() if settings.is_kafka else lock_writer(settings.log_folder):
        yield
