"""What cannot be sent to Kafka now, on our own disk: one SQLite file for each life of a process, in its slot.

    <data>/workers/0/spool/1795000000000.db     made when the process started (ms); deleted when it is empty at its end
    <data>/workers/0/refused.ndjson             records that Kafka refuses for good: refused.py

Records are kept by partition in the order of their appends; one thread writes, with one fsync for all that came
meanwhile. A file whose process died is a leftover: leftovers.py brings it in.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import shutil
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from eventlog.day_files import sync_folder
from eventlog.embedded import pack_headers, unpack_headers
from eventlog.errors import NoSpace, Unavailable
from eventlog.group_commit import groups
from eventlog.log import NO_BACKLOG, Backlog, Outgoing, Partition
from eventlog.settings import SpoolSettings
from eventlog.slot import slot_folders
from eventlog.timestamps import now_ms

_FOLDER: Final = "spool"
_BUSY_MS: Final = 10_000
# A commit takes at most this many requests, so that the first does not wait for the last.
_GROUP: Final = 2_000
_SCHEMA: Final = """
PRAGMA auto_vacuum = INCREMENTAL;
CREATE TABLE IF NOT EXISTS record (
    id INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL,
    key BLOB NOT NULL, value BLOB, headers BLOB NOT NULL, timestamp INTEGER NOT NULL, spooled_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS record_by_partition ON record (topic, partition, id);
CREATE TABLE IF NOT EXISTS acked (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY (topic, partition)
) WITHOUT ROWID;
"""
_RECORD: Final = "topic, key, value, headers, timestamp"
_SIZE: Final = "length(key) + ifnull(length(value), 0) + length(headers)"


class Spooled(NamedTuple):
    """A record in the spool."""

    id: int
    record: Outgoing


class Spool(Protocol):
    """Where records wait that Kafka has not acknowledged. `acked` is the partition's next offset after the last
    acknowledged record: whatever may have been stored without our knowing it stands from there on."""

    def write(self, partition: Partition, acked: int | None, records: Sequence[Outgoing]) -> asyncio.Future[range]:
        """Durable when the future is done; its result is their ids. Raises Unavailable or NoSpace where there is
        no room; the future may raise NoSpace."""

    async def oldest(self, partition: Partition, most_bytes: int, most: int) -> list[Spooled]:
        """The first records of a partition, at most so many and so many bytes, at least one if there is one."""

    async def delivered(self, partition: Partition, ids: Sequence[int], acked: int | None) -> None:
        """Forget records that are in the topic. Raises NoSpace."""

    def unready(self) -> str | None:
        """Why records could not be taken, in words."""

    def backlog(self) -> Backlog:
        """What waits."""

    async def close(self) -> None:
        """Finish what was asked and let go."""


class NoSpool:
    """No disk of its own: what Kafka does not acknowledge in time is refused, and whoever appends keeps it."""

    def write(self, partition: Partition, acked: int | None, records: Sequence[Outgoing]) -> asyncio.Future[range]:
        raise Unavailable("Kafka did not acknowledge in time")

    async def oldest(self, partition: Partition, most_bytes: int, most: int) -> list[Spooled]:
        return []

    async def delivered(self, partition: Partition, ids: Sequence[int], acked: int | None) -> None:
        """Nothing is kept."""

    def unready(self) -> str | None:
        return "Kafka does not answer"

    def backlog(self) -> Backlog:
        return NO_BACKLOG

    async def close(self) -> None:
        """Nothing is open."""


class _Request(NamedTuple):
    """Something for the thread to do within a transaction."""

    do: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]


class DiskSpool:
    """`Spool` on a file. Opening it makes the file; a leftover is opened the same way, to be read and emptied."""

    def __init__(self, file: Path, settings: SpoolSettings) -> None:
        self.file = file
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._connection = _open(file)
        self._next = _scalar(self._connection, "SELECT max(id) FROM record") + 1
        # Written by the thread only, read by anyone.
        self._records = _scalar(self._connection, "SELECT count(*) FROM record")
        self._bytes = _scalar(self._connection, f"SELECT sum({_SIZE}) FROM record")
        self._oldest: int | None = None
        self._look_for_oldest()
        # What was asked for and is not on the disk yet counts against the quota too.
        self._coming = 0
        self._queue: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="eventlog-spool", daemon=True)
        self._thread.start()

    def write(self, partition: Partition, acked: int | None, records: Sequence[Outgoing]) -> asyncio.Future[range]:
        size = sum(map(_size, records))
        if self._bytes + self._coming + size > self._settings.quota_bytes:
            raise Unavailable("Kafka does not answer and the spool is full")
        if shutil.disk_usage(self.file.parent).free < self._settings.min_free_bytes:
            raise NoSpace("Kafka does not answer and the disk is full")
        ids = range(self._next, self._next + len(records))
        self._next = ids.stop
        now = now_ms()
        rows = [
            (id, *partition, one.key, one.value, pack_headers(one.headers), one.timestamp, now)
            for id, one in zip(ids, records, strict=True)
        ]

        def insert(connection: sqlite3.Connection) -> range:
            connection.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            if acked is not None:
                _note_acked(connection, partition, acked)
            self._records += len(rows)
            self._bytes += size
            return ids

        self._coming += size
        future = self._ask(insert)
        future.add_done_callback(lambda _: self._written(size))
        return future

    async def oldest(self, partition: Partition, most_bytes: int, most: int) -> list[Spooled]:
        def read(connection: sqlite3.Connection) -> list[Spooled]:
            statement = f"SELECT id, {_RECORD} FROM record WHERE topic = ? AND partition = ? ORDER BY id LIMIT ?"
            found: list[Spooled] = []
            size = 0
            for id, *fields in connection.execute(statement, (*partition, most)):
                record = _record(fields)
                size += _size(record)
                if found and size > most_bytes:
                    break
                found.append(Spooled(id, record))
            return found

        return list(await self._ask(read))

    async def delivered(self, partition: Partition, ids: Sequence[int], acked: int | None) -> None:
        def delete(connection: sqlite3.Connection) -> None:
            for id in ids:
                gone = connection.execute(f"DELETE FROM record WHERE id = ? RETURNING {_SIZE}", (id,)).fetchone()
                if gone is not None:
                    self._records -= 1
                    self._bytes -= gone[0]
            if acked is not None:
                _note_acked(connection, partition, acked)

        await self._ask(delete)

    async def acked(self, partition: Partition) -> int | None:
        """The offset from which on unacknowledged records of this partition may stand."""
        statement = "SELECT next FROM acked WHERE topic = ? AND partition = ?"
        row = await self._ask(lambda connection: connection.execute(statement, partition).fetchone())
        return None if row is None else int(row[0])

    async def partitions(self) -> list[Partition]:
        """Those that have records here."""
        statement = "SELECT DISTINCT topic, partition FROM record ORDER BY 1, 2"
        rows = await self._ask(lambda connection: connection.execute(statement).fetchall())
        return [Partition(topic, number) for topic, number in rows]

    def unready(self) -> str | None:
        if shutil.disk_usage(self.file.parent).free < self._settings.min_free_bytes:
            return "the disk is nearly full"
        if self._bytes > 0.95 * self._settings.quota_bytes:
            return "Kafka does not answer and the spool is nearly full"
        return None

    def backlog(self) -> Backlog:
        return Backlog(self._records, self._bytes, self._oldest)

    async def close(self) -> None:
        self._queue.put(None)
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        self._thread.join()
        self._connection.close()
        if not self._records:
            for part in ("", "-wal", "-shm"):
                Path(f"{self.file}{part}").unlink(missing_ok=True)
            sync_folder(self.file.parent)

    def _ask(self, do: Callable[[sqlite3.Connection], Any]) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        self._queue.put(_Request(do, future))
        return future

    def _written(self, size: int) -> None:
        self._coming -= size

    def _run(self) -> None:
        for requests in groups(self._queue, _GROUP):
            self._transact(requests)

    def _transact(self, requests: list[_Request]) -> None:
        before = self._records, self._bytes
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            results = [one.do(self._connection) for one in requests]
            self._connection.execute("COMMIT")
            if before[0] and not self._records:
                with contextlib.suppress(sqlite3.Error):  # what was asked for is done all the same
                    self._give_space_back()
            self._look_for_oldest()
        except sqlite3.Error as error:
            self._records, self._bytes = before
            self._rolled_back(error, requests)
            return
        with contextlib.suppress(RuntimeError):  # the loop was closed by a caller that gave up
            self._loop.call_soon_threadsafe(_settle, requests, results)

    def _rolled_back(self, error: sqlite3.Error, requests: list[_Request]) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("ROLLBACK")
        full = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
        # A full disk may also show as a file that cannot grow.
        if not full and shutil.disk_usage(self.file.parent).free > 2**20:
            # After a failed fsync nobody knows what the disk holds: another process must find out.
            sys.stderr.write(f"trackway: the spool's disk failed ({error}); this process ends\n")
            sys.stderr.flush()
            os._exit(3)
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(_fail, requests)

    def _give_space_back(self) -> None:
        self._connection.execute("PRAGMA incremental_vacuum").fetchall()
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _look_for_oldest(self) -> None:
        row = self._connection.execute("SELECT spooled_at FROM record ORDER BY id LIMIT 1").fetchone()
        self._oldest = None if row is None else row[0]


def new_spool(slot_folder: Path, settings: SpoolSettings) -> DiskSpool:
    """An empty spool of this process, in its slot. Raises NoSpace."""
    folder = slot_folder / _FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A clock that went back must not open a leftover.
        newest = max((int(file.stem) for file in spool_files(slot_folder)), default=0)
        spool = DiskSpool(folder / f"{max(now_ms(), newest + 1)}.db", settings)
        sync_folder(folder)
    except (OSError, sqlite3.OperationalError) as error:
        raise NoSpace(f"the spool in {folder} cannot be made: {error}") from None
    return spool


def spool_files(slot_folder: Path) -> list[Path]:
    """The spools of a slot, oldest first; the last may be in use."""
    return sorted((slot_folder / _FOLDER).glob("*.db"), key=lambda file: int(file.stem))


def is_sound(file: Path) -> bool:
    """Whether a spool can be read to its end."""
    try:
        with contextlib.closing(_open(file)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
    except sqlite3.DatabaseError:
        return False


def undelivered(data: Path) -> Iterator[Outgoing]:
    """Every record that waits in a spool of this data folder, of living processes and dead ones."""
    for folder in slot_folders(data):
        for file in spool_files(folder):
            # Emptied and deleted meanwhile, or damaged: what the ledger then misses, it tells.
            with contextlib.suppress(FileNotFoundError, sqlite3.DatabaseError):
                connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True, isolation_level=None)
                with contextlib.closing(connection):
                    connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
                    for fields in connection.execute(f"SELECT {_RECORD} FROM record ORDER BY id"):
                        yield _record(fields)


def _open(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
        # FULL: a commit has reached the disk, not only the operating system, when it returns.
        connection.execute("PRAGMA synchronous=FULL")
        # Always: the process that made the file may have been killed half way through.
        connection.executescript(_SCHEMA)
        connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _note_acked(connection: sqlite3.Connection, partition: Partition, acked: int) -> None:
    connection.execute("INSERT INTO acked VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET next = ?3", (*partition, acked))


def _record(fields: Sequence[Any]) -> Outgoing:
    topic, key, value, headers, timestamp = fields
    return Outgoing(topic, key, value, unpack_headers(headers), timestamp)


def _size(record: Outgoing) -> int:
    return len(record.key) + len(record.value or b"") + len(pack_headers(record.headers))


def _scalar(connection: sqlite3.Connection, statement: str) -> int:
    return int(connection.execute(statement).fetchone()[0] or 0)


def _settle(requests: list[_Request], results: list[Any]) -> None:
    for one, result in zip(requests, results, strict=True):
        if not one.future.done():
            one.future.set_result(result)


def _fail(requests: list[_Request]) -> None:
    for one in requests:
        if not one.future.done():
            one.future.set_exception(NoSpace("Kafka does not answer and the disk is full"))
