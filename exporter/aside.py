"""What aggregation has set aside and went on without, as the store tells it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from eventlog.log import Partition
from eventlog.timestamps import now_ms
from exporter.apply import put_marks
from exporter.failures import told_without_values
from exporter.marks import Kind, Mark, hash64
from exporter.store import Store

_log = structlog.get_logger(__name__)

PARTITION: Final = "partition"
_PUT: Final = (
    "INSERT INTO set_aside (kind, value, reason, at) VALUES (:kind, :value, :reason, :at)"
    " ON CONFLICT (kind, value) DO UPDATE SET reason = excluded.reason, at = excluded.at"
)


class Aside(NamedTuple):
    """What stands in the store: why each partition was stopped, and how many profiles could not be made and why."""

    partitions: Mapping[str, str]
    profiles: Mapping[str, int]


async def all_aside(store: Store) -> Aside:
    """Everything that is set aside; profiles by reason."""
    async with store.read() as connection:
        rows = list(await connection.execute(text("SELECT kind, value, reason FROM set_aside")))
    profiles: dict[str, int] = {}
    for kind, _, reason in rows:
        if kind != PARTITION:
            profiles[reason] = profiles.get(reason, 0) + 1
    return Aside({value: reason for kind, value, reason in rows if kind == PARTITION}, profiles)


async def marks_aside(connection: AsyncConnection) -> set[Mark]:
    """The marks that are left alone until they are tried again."""
    rows = await connection.execute(text("SELECT kind, value FROM set_aside WHERE kind <> 'partition'"))
    return {Mark(kind, value) for kind, value in rows}


async def set_mark_aside(connection: AsyncConnection, mark: Mark, error: Exception) -> None:
    """Go on without the profiles of this mark."""
    reason = told_without_values(error)
    # The mark names a person; its hash is enough to find it in the store.
    _log.error("profile_set_aside", kind=mark.kind, hash=hash64(mark.value), error=reason)
    row = {"kind": mark.kind, "value": mark.value, "reason": reason, "at": now_ms()}
    await connection.execute(text(_PUT), row)


async def try_again(connection: AsyncConnection) -> int:
    """Have every profile that is set aside made once more; answers how many marks that are."""
    marks = await marks_aside(connection)
    if marks:
        kinds: set[Kind] = {mark.kind for mark in marks}
        await connection.execute(
            text("DELETE FROM set_aside WHERE kind = :kind"), [{"kind": kind} for kind in sorted(kinds)]
        )
        await put_marks(connection, marks)
    return len(marks)


async def note_partitions(store: Store, partitions: Iterable[Partition], stopped: Mapping[Partition, str]) -> None:
    """Tell whoever looks which of the partitions are read no further, and why."""
    async with store.write() as connection:
        for one in sorted(partitions):
            row = {"kind": PARTITION, "value": _name(one)}
            if one in stopped:
                await connection.execute(text(_PUT), {**row, "reason": stopped[one], "at": now_ms()})
            else:
                await connection.execute(text("DELETE FROM set_aside WHERE kind = :kind AND value = :value"), row)


def _name(partition: Partition) -> str:
    return f"{partition.topic}/{partition.number}"
