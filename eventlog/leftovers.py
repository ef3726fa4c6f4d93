"""Spools of processes that died, brought into the log by one that lives: its own slot's, and those of free slots."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import structlog

from eventlog.errors import NoSpace, Unavailable
from eventlog.kafka_client import BATCH_BYTES
from eventlog.log import Outgoing, Partition, Position
from eventlog.read_back import UNSURE_BYTES, UNSURE_RECORDS, Unsure, find_stored
from eventlog.settings import LogSettings
from eventlog.slot import Slot, free_slots
from eventlog.spool import DiskSpool, is_sound, spool_files

_log = structlog.get_logger(__name__)

_EVERY_SECONDS: Final = 30.0
_AGAIN_SECONDS: Final = 1.0
_AT_ONCE: Final = 1_000


class _Appender(Protocol):
    """The producer, as far as it is needed."""

    @property
    def is_direct(self) -> bool: ...

    async def append(self, records: Sequence[Outgoing]) -> list[Position | None]: ...


async def bring_leftovers(settings: LogSettings, slot: Slot, producer: _Appender, stopping: asyncio.Event) -> None:
    """Bring in what there is, and look again and again for what a process that died meanwhile has left."""
    mine = spool_files(slot.folder)[:-1]
    while not stopping.is_set():
        wait = _EVERY_SECONDS
        try:
            if producer.is_direct:
                while mine:
                    await _bring(settings, mine[0], producer)
                    mine.pop(0)
                await _bring_orphans(settings, producer)
        except (Unavailable, NoSpace) as error:
            _log.warning("leftover_waits", reason=str(error))
            wait = _AGAIN_SECONDS
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_AGAIN_SECONDS if mine else wait):
                await stopping.wait()


async def _bring_orphans(settings: LogSettings, producer: _Appender) -> None:
    free = free_slots(settings.data)
    try:
        for one in free:
            for file in spool_files(one.folder):
                await _bring(settings, file, producer)
    finally:
        for one in free:
            one.release()


async def _bring(settings: LogSettings, file: Path, producer: _Appender) -> None:
    if not await asyncio.to_thread(_is_sound_or_aside, file):
        return
    spool = DiskSpool(file, settings.spool)
    try:
        count = spool.backlog().records
        for partition in await spool.partitions():
            await _bring_partition(settings, spool, partition, producer)
        _log.info("leftover_brought_in", records=count)
    finally:
        await spool.close()


def _is_sound_or_aside(file: Path) -> bool:
    """Whether the spool can be read; if not it is renamed. The collector must not fail with its disk, and what can be
    saved of it is a person's to save."""
    if is_sound(file):
        return True
    aside = file.with_suffix(".damaged")
    file.rename(aside)
    _log.error("leftover_damaged", file=str(aside))
    return False


async def _bring_partition(settings: LogSettings, spool: DiskSpool, partition: Partition, producer: _Appender) -> None:
    acked = await spool.acked(partition)
    unsure = Unsure(acked, await spool.oldest(partition, UNSURE_BYTES, UNSURE_RECORDS))
    found = await find_stored(settings, {partition: unsure})
    await spool.delivered(partition, found[partition], None)
    while rows := await spool.oldest(partition, BATCH_BYTES, _AT_ONCE):
        positions = await producer.append([row.record for row in rows])
        stored = [position.offset for position in positions if position is not None]
        await spool.delivered(partition, [row.id for row in rows], max(stored) + 1 if stored else None)
