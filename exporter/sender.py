"""Rows into batches, batches to the stream, and what became of them into the ledger."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import orjson

from exporter.cdp.stream import Delivery, Stream, StreamError
from exporter.cdp.stream import Row as Body
from exporter.ledger import Origin
from exporter.row_maker import types_of
from exporter.rows import ColumnType, Fault, padded
from exporter.run_record import Prepared, Refusal, Result, RunRecord
from exporter.workflow import Workflow

# Before this many items were read a share of bad ones says little; at the run's end it counts however few they were.
_FEW: Final = 100


class TooManyRefused(Exception):  # noqa: N818 - what happened to the run
    """More rows were found wrong than the workflow allows."""

    def __init__(self, message: str, origin: Origin) -> None:
        super().__init__(message)
        self.origin = origin


class Sender:
    """The rows of one run on their way. `passing` are the values of a position besides the cursor; None in a draft,
    which has no position."""

    def __init__(
        self, record: RunRecord, stream: Stream, workflow: Workflow, passing: Mapping[str, Any] | None
    ) -> None:
        self._record = record
        self._stream = stream
        self._workflow = workflow
        self._passing = passing
        self._pending: dict[bytes, Prepared] = {}
        self._number = 0
        # What the stream holds of the keys in hand, and its columns with their types.
        self._held: dict[bytes, bytes] = {}
        self._columns: dict[str, ColumnType] = {}

    async def learn_columns(self) -> dict[str, ColumnType]:
        """The stream's columns so far; rows name all of them from now on."""
        self._columns = await self._record.columns()
        return dict(self._columns)

    async def look_up(self, keys: Collection[bytes]) -> None:
        """Learn what the stream holds of these keys, and forget those of before."""
        self._held = await self._record.held(keys)

    def holds(self, key: bytes) -> bytes | None:
        """The content the stream has of a key, or is to have by an interaction that waits here."""
        if not self._workflow.repeatable and key in self._pending:
            return self._pending[key].content
        return self._held.get(key)

    async def add(self, row: Prepared) -> None:
        """Send the row, with others. Raises StreamError, TooManyRefused."""
        if row.key in self._pending:
            # One request never says two things of one key.
            await self.flush()
        self._pending[row.key] = row
        if len(self._pending) >= self._workflow.settings.batch_rows:
            await self.flush()

    async def flush(self) -> None:
        """Send what waits. Raises StreamError, TooManyRefused."""
        rows = list(self._pending.values())
        self._pending.clear()
        if not rows:
            return
        self._number += 1
        await self._record.sending(self._number, rows)
        bodies = [Body(at, self._body(row)) for at, row in enumerate(rows)]
        try:
            delivery = await self._stream.send(bodies)
        except StreamError as error:
            await self._resolve(rows, error.delivery, whole=False)
            raise
        await self._resolve(rows, delivery, whole=True)
        self.judge(few=_FEW)

    def judge(self, few: int = 0) -> None:
        """Raises TooManyRefused where the share of bad rows is over the workflow's, of at least `few` read."""
        tally = self._record.tally
        if tally.read >= few and self._over():
            share = self._workflow.settings.refused_share
            origin: Origin = "CDP" if tally.refused >= tally.invalid else "source"
            raise TooManyRefused(f"{tally.bad:,} of {tally.read:,} rows are wrong, more than {share:.0%}", origin)

    def _over(self) -> bool:
        return self._record.tally.bad > self._workflow.settings.refused_share * self._record.tally.read

    def _body(self, row: Prepared) -> bytes:
        # Interactions are added to the stream: there is nothing to delete. A draft shows the columns that have values.
        whole = self._passing is not None and self._workflow.repeatable
        return orjson.dumps(padded(row.row, self._columns) if whole else row.row)

    async def _resolve(self, rows: list[Prepared], delivery: Delivery, *, whole: bool) -> None:
        """Count and write down a delivery; `whole`: the batch came to its end, so the position may move behind it."""
        accepted = [rows[one.label] for one in delivery.accepted]
        unknown = [rows[one.label] for one in delivery.unknown]
        refused = [
            Refusal(rows[one.row.label].label, "CDP", Fault(f"status_{one.status}", "", one.reason))
            for one in delivery.refused
        ]
        tally = self._record.tally
        tally.accepted += len(accepted)
        tally.refused += len(refused)
        tally.unknown += len(unknown)
        tally.sent += len(accepted) + len(refused) + len(unknown)
        tally.requests += delivery.requests
        tally.retries += delivery.retries
        tally.bytes += delivery.bytes
        tally.waited += delivery.waited
        fresh: dict[str, ColumnType] = {}
        for row in accepted:
            fresh |= {name: kind for name, kind in types_of(row.row).items() if name not in self._columns}
        position = None
        if self._passing is not None and whole and not self._over():
            position = {**self._passing, "cursor": rows[-1].cursor}
        result = Result(accepted, refused, unknown, delivery.bytes, fresh, position)
        await self._record.resolved(self._number, result)
        self._columns |= fresh
        self._held |= {row.key: row.content for row in (*accepted, *unknown)}
