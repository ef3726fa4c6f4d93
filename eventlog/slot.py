"""A collector process's own folder: what must outlive the process, and belongs to one process at a time.

    <data>/workers/0/           the slot: held by a file lock for as long as the process lives
    <data>/workers/0/lock

A process takes the free slot of the lowest number, so whoever starts next after a crash finds what the dead one left.
Its spool, its ids seen and its account of what it answered lie in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_FOLDER = "workers"


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot that this process holds."""

    number: int
    folder: Path
    lock: IO[bytes]

    def release(self) -> None:
        """Let go; the folder and what is in it stay."""
        self.lock.close()


@contextlib.contextmanager
def taken_slot(data: Path) -> Iterator[Slot]:
    """The free slot of the lowest number, for the length of the block."""
    slot = next(found for number in itertools.count() if (found := try_slot(data, number)) is not None)
    try:
        yield slot
    finally:
        slot.release()


def free_slots(data: Path) -> list[Slot]:
    """The slots that nobody holds, held from now on: what dead processes left and no new one has taken up."""
    return [slot for number in slot_numbers(data) if (slot := try_slot(data, number)) is not None]


def slot_folders(data: Path) -> list[Path]:
    """The folders of all slots there are, whoever holds them."""
    return [data / _FOLDER / str(number) for number in slot_numbers(data)]


def slot_numbers(data: Path) -> list[int]:
    """The numbers of all slots there are."""
    folder = data / _FOLDER
    return sorted(int(one.name) for one in folder.iterdir() if one.name.isdigit()) if folder.is_dir() else []


def try_slot(data: Path, number: int) -> Slot | None:
    """The slot of this number, made if it is new; None while another process holds it."""
    folder = data / _FOLDER / str(number)
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return Slot(number, folder, lock)
