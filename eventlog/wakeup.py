"""Wakes readers of the embedded log that live in the writer's own process, without waiting for their next look."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path

_lock = threading.Lock()
_sleepers: dict[Path, dict[asyncio.Event, asyncio.AbstractEventLoop]] = {}


def register(folder: Path, event: asyncio.Event) -> None:
    """Have `event` set after each commit to `folder`."""
    with _lock:
        _sleepers.setdefault(folder.resolve(), {})[event] = asyncio.get_running_loop()


def unregister(folder: Path, event: asyncio.Event) -> None:
    with _lock:
        _sleepers.get(folder.resolve(), {}).pop(event, None)


def wake(folder: Path) -> None:
    """Tell the readers of `folder` (resolved) that there is something new. Called from the writer thread."""
    with _lock:
        sleepers = list(_sleepers.get(folder, {}).items())
    for event, loop in sleepers:
        with contextlib.suppress(RuntimeError):  # its loop has been closed
            loop.call_soon_threadsafe(event.set)
