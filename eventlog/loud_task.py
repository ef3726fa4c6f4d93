"""Background work that nobody awaits: if it fails, the process ends and says why, rather than going on without it."""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections.abc import Coroutine


def loud_task(work: Coroutine[None, None, None]) -> asyncio.Task[None]:
    """A task of the running loop. An exception in it ends the process with status 3: what was acknowledged is on disk
    or in the log, and the next process goes on from there."""
    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(_end_the_process)
    return task


def _end_the_process(task: asyncio.Task[None]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        # Where, not with what: an exception's text may hold an event.
        where = "".join(traceback.format_tb(error.__traceback__))
        sys.stderr.write(f"trackway: background work failed ({type(error).__name__}); this process ends\n{where}")
        sys.stderr.flush()
        os._exit(3)
