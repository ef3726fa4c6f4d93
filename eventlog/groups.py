"""Consumer groups of the embedded log: who reads (a lease), and which offsets were committed."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from eventlog.day_files import connect
from eventlog.log import Partition

_SCHEMA = """
CREATE TABLE IF NOT EXISTS lease ("group" TEXT PRIMARY KEY, member TEXT NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS committed (
    "group" TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL,
    PRIMARY KEY ("group", topic, partition)
) WITHOUT ROWID;
"""


class Groups:
    """One group in the folder's `groups.db`; used by one thread at a time. Times are in milliseconds."""

    def __init__(self, folder: Path, group: str) -> None:
        self._group = group
        self._connection = connect(folder / "groups.db", create=True)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.executescript(_SCHEMA)

    def take(self, member: str, now: int, seconds: float) -> bool:
        """Take or keep the lease for `seconds`; False while another member holds it."""
        until = now + int(seconds * 1000)
        done = self._connection.execute(
            'INSERT INTO lease VALUES (?1, ?2, ?3) ON CONFLICT ("group") DO UPDATE SET member = ?2, until = ?3'
            " WHERE member = ?2 OR until < ?4",
            (self._group, member, until, now),
        )
        return done.rowcount == 1

    def leave(self, member: str) -> None:
        """Let the next member have the lease at once, and close."""
        self._connection.execute('DELETE FROM lease WHERE "group" = ? AND member = ?', (self._group, member))
        self._connection.close()

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany(
                "INSERT INTO committed VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET next = ?4",
                [(self._group, *partition, offset) for partition, offset in offsets.items()],
            )
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            self._connection.execute("ROLLBACK")
            raise
