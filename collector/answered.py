"""What this collector answered, counted when it answers: one side of the accounts, and the totals behind metrics."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Final

from collector.account_file import AccountFile
from collector.intake import Context, Receipt
from eventlog.account import COLLECTOR_HEADER, IDLE_MS, Key, Line, Mark, day_file
from eventlog.log import Headers
from eventlog.timestamps import MINUTE_MS, now_ms

_TICK_SECONDS: Final = 1.0
_STATUS: Final = attrgetter("status")
# The least that is promised: a line for every request of a quiet site would be too many.
_FEW: Final = 10


class Answered:
    """Counts receipts by minute, source and status. Without a slot's folder nothing is written.

    `refused`: whole requests by reason, `reasons`: of the events those that have one, by (source, status, reason); both
    since the start. `headers`: what a record carries whose receipt is counted here.
    """

    def __init__(self, slot: Path | None) -> None:
        self._totals: Counter[tuple[str, str]] = Counter()
        self.refused: Counter[str] = Counter()
        self.reasons: Counter[tuple[str, str, str]] = Counter()
        self._file = None if slot is None else AccountFile(slot)
        self.headers: Headers = ((COLLECTOR_HEADER, self._file.name.encode()),) if self._file else ()
        self._line = Line(now_ms())
        # Requests handed to the log: when, by a number of their own.
        self._under_way: dict[int, int] = {}
        self._numbers = itertools.count()
        # Events under way, or answered and not told of yet; of the latter how many; and what the file promises.
        self._pending = self._untold = 0
        self._most = _FEW
        # Events settled since the last tick, and when a line was written last.
        self._traffic = self._written = 0

    @property
    def totals(self) -> Counter[tuple[str, str]]:
        """Events by (source, status) since the start."""
        totals = self._totals.copy()
        _add(totals, self._line)
        return totals

    def begin(self, events: int) -> int:
        """A request's records are about to be handed to the log; its number, for `give` or `fail`."""
        number = next(self._numbers)
        self._under_way[number] = now_ms()
        self._pending += events
        if self._pending > self._most:
            self._most *= 2
            self._write(now_ms())
        return number

    def give(self, number: int, receipts: Sequence[Receipt], context: Context) -> None:
        """Its receipts are given."""
        self._settle(number, receipts, context, self._line.answered)
        for receipt in receipts:
            if receipt.reason:
                self.reasons[context.source, receipt.status, receipt.reason] += 1

    def fail(self, number: int, receipts: Sequence[Receipt], context: Context) -> None:
        """It is refused after all; some of its records may be stored."""
        self._settle(number, receipts, context, self._line.failed)

    def refuse(self, reason: str) -> None:
        """A whole request is refused, for a reason of the closed list."""
        self.refused[reason] += 1
        self._line.refused[now_ms() // MINUTE_MS * MINUTE_MS, reason] += 1

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keep account for the length of the block, in which requests are served and `tick` runs."""
        self._write(now_ms(), "start")
        try:
            yield
        finally:
            # Requests that were cut off at the drain time tell of their failure when it is their turn.
            await asyncio.sleep(0)
            self._write(now_ms(), "" if self._under_way else "stop")
            if self._file is not None:
                self._file.close()

    async def tick(self, stop: asyncio.Event) -> None:
        """Write each second what there is to tell, until `stop` is set."""
        day: Path | None = None
        while not stop.is_set():
            now = now_ms()
            if self._file is not None and (today := day_file(Path(), now)) != day:
                day = today
                await asyncio.to_thread(self._file.tidy, now)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _TICK_SECONDS)
            now, line = now_ms(), self._line
            if line.answered or line.failed or line.refused or now - self._written >= IDLE_MS:
                # What came in the last second may come in the next.
                self._most, self._traffic = max(_FEW, self._traffic), 0
                self._write(now)

    def _settle(self, number: int, receipts: Sequence[Receipt], context: Context, counts: Counter[Key]) -> None:
        del self._under_way[number]
        self._untold += len(receipts)
        self._traffic += len(receipts)
        minute, source = context.now // MINUTE_MS * MINUTE_MS, context.source
        if len(receipts) == 1:
            counts[minute, source, receipts[0].status] += 1
            return
        for status, n in Counter(map(_STATUS, receipts)).items():
            counts[minute, source, status] += n

    def _write(self, now: int, mark: Mark = "") -> None:
        """Tell what there is to tell, and promise anew."""
        line, under_way = self._line, self._pending - self._untold
        line.at, line.mark = now, mark
        line.most = 0 if mark == "stop" else max(self._most, 2 * under_way, _FEW)
        line.oldest = next(iter(self._under_way.values())) if self._under_way else None
        if self._file is None or self._file.append(line):
            _add(self._totals, line)
            self._line, self._written = Line(now), now
            self._pending, self._untold, self._most = under_way, 0, line.most
        else:
            # The disk does not take it: tried again at the next tick, or when as much again has come.
            self._most = 2 * self._pending


def _add(totals: Counter[tuple[str, str]], line: Line) -> None:
    for (_, source, status), n in line.answered.items():
        totals[source, status] += n
