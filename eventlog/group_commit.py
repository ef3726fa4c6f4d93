"""What a writer thread takes at once: everything that came while it was busy shares its next transaction and fsync."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Iterator
from typing import TypeVar

_T = TypeVar("_T")


def groups(waiting: queue.SimpleQueue[_T | None], most: int) -> Iterator[list[_T]]:
    """What waits in the queue, `most` at a time; waits for the next, and ends with the None that ends the queue."""
    is_over = False
    while not is_over:
        taken = [waiting.get()]
        with contextlib.suppress(queue.Empty):
            while len(taken) < most:
                taken.append(waiting.get_nowait())
        is_over = None in taken
        if group := [one for one in taken if one is not None]:
            yield group
