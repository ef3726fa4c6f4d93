"""Appending records to the log itself, past every disk of a process's own."""

from __future__ import annotations

from collections.abc import Sequence

from eventlog.log import Outgoing, Position, Producer


async def append_all(producer: Producer, records: Sequence[Outgoing]) -> list[Position]:
    """Where each record stands in the log, which must have taken all of them."""
    positions = [position for position in await producer.append(records) if position is not None]
    assert len(positions) == len(records)
    return positions
