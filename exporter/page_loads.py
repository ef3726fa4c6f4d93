"""What page loads of our tracker made and what of that arrived: losses between browser and collector are seen.

The tracker numbers the events of a page load from 1, so the highest number that arrived tells how many were made at
least. A number counts as arrived whatever became of its event. What is stored of a load is the set of its numbers;
adding to it unites, so neither order, copies, batches nor partitions matter. A load of more than 63 events has a row
for each 63 of them, with a beginning and a browser of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from eventlog.telemetry import BROWSERS
from exporter.fold import Folded
from exporter.store import Store

# Numbers in one row: as many bits as a signed 64-bit integer has beside its sign.
BLOCK: Final = 63

_ADD: Final = (
    "INSERT INTO page_load (load, block, source, browser, first, bits)"
    " {} ON CONFLICT (load, block) DO UPDATE SET"
    " bits = page_load.bits | excluded.bits,"
    " first = CASE WHEN excluded.first < page_load.first THEN excluded.first ELSE page_load.first END,"
    " browser = CASE WHEN excluded.browser < page_load.browser THEN excluded.browser ELSE page_load.browser END"
)
_A_ROW: Final = "VALUES (?, ?, ?, ?, ?, ?)"
_COLUMNS: Final = (
    "SELECT * FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[], $5::bigint[], $6::bigint[])"
)
# Of each row: how many blocks before it did not arrive at all, and whether there are any after it, so that the whole of
# it was made. Rows that agree in all of that are counted together: nearly all loads are short and lack nothing.
_READ: Final = (
    "SELECT source, browser, missing, followed, bits, COUNT(*) FROM (SELECT one.source, one.browser, one.bits,"
    " CASE WHEN one.block = 0 THEN 0 ELSE one.block - 1 - COALESCE((SELECT MAX(other.block) FROM page_load AS other"
    " WHERE other.load = one.load AND other.block < one.block), -1) END AS missing,"
    " EXISTS (SELECT 1 FROM page_load AS other WHERE other.load = one.load AND other.block > one.block) AS followed"
    " FROM page_load AS one WHERE one.first >= :start AND one.first < :end{}) AS blocks"
    " GROUP BY source, browser, missing, followed, bits"
)


class BrowserEvents(NamedTuple):
    """How many events the page loads of one browser made, as far as is known, and how many of them arrived."""

    source: str
    browser: str
    made: int
    arrived: int

    @property
    def lost(self) -> int:
        """How many did not."""
        return self.made - self.arrived

    def told(self) -> dict[str, str | int]:
        """As programs read it."""
        return self._asdict() | {"lost": self.lost}

    @property
    def percent(self) -> float:
        """Its share of those made."""
        return round(100 * self.lost / self.made, 2) if self.made else 0.0


async def add_loads(connection: AsyncConnection, folded: Iterable[Folded]) -> None:
    """Note which events of which page loads a batch has."""
    # [load, block, source, browser, first, bits]
    found: dict[tuple[int, int], list[Any]] = {}
    for one in folded:
        if one.heard is None:
            continue
        load, seq, browser = one.heard
        block = (seq - 1) // BLOCK
        first, bits = one.record.timestamp, 1 << (seq - 1) % BLOCK
        row = found.get((load, block))
        if row is None:
            found[load, block] = [load, block, one.source, browser, first, bits]
            continue
        row[5] |= bits
        if first < row[4]:
            row[4] = first
        if browser < row[3]:
            row[3] = browser
    if found:
        # Two processes that add to the same loads at once then meet in one order, and one waits for the other.
        rows = [tuple(found[key]) for key in sorted(found)]
        if connection.dialect.name == "sqlite":
            await connection.exec_driver_sql(_ADD.format(_A_ROW), rows)
        else:
            # A statement for all of them costs the server half of what one for each does.
            columns = tuple(map(list, zip(*rows, strict=True)))
            await connection.exec_driver_sql(_ADD.format(_COLUMNS), columns)


async def browser_events(store: Store, start: int, end: int, source: str | None = None) -> list[BrowserEvents]:
    """Of page loads that began in [`start`, `end`) (ms), by source and browser."""
    of = {"start": start, "end": end} | ({"source": source} if source else {})
    made: Counter[tuple[str, str]] = Counter()
    arrived: Counter[tuple[str, str]] = Counter()
    async with store.read() as connection:
        rows = await connection.execute(text(_READ.format(" AND one.source = :source" if source else "")), of)
        for its_source, browser, missing, followed, bits, loads in rows:
            key = its_source, browser if browser in BROWSERS else BROWSERS[-1]
            made[key] += loads * (missing * BLOCK + (BLOCK if followed else bits.bit_length()))
            arrived[key] += loads * bits.bit_count()
    return [BrowserEvents(*key, made[key], arrived[key]) for key in sorted(made)]
