"""The embedded event log: the producer. SQLite files, one writer thread, group commit.

Whatever was asked for while the last commit ran is stored by the next one, in one transaction with one fsync.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import queue
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import orjson

from eventlog.compact import dumps
from eventlog.day_files import drop_expired, heads_of, is_closed, open_newest
from eventlog.errors import NoSpace, Unavailable
from eventlog.group_commit import groups
from eventlog.log import NO_BACKLOG, Backlog, Headers, Outgoing, Partition, Position, partition_of, refuse_too_large
from eventlog.settings import LogSettings
from eventlog.timestamps import HOUR_MS, now_ms
from eventlog.topics import TOPICS
from eventlog.wakeup import wake

# A commit takes at most this many appends, so that the first does not wait for the last.
_GROUP: Final = 2_000


class _Request:
    """One append on its way through the writer thread."""

    __slots__ = ("future", "loop", "records")

    def __init__(self, records: Sequence[Outgoing], loop: asyncio.AbstractEventLoop) -> None:
        self.records = records
        self.loop = loop
        self.future: asyncio.Future[list[Position | None]] = loop.create_future()


class EmbeddedProducer:
    """`Producer` on SQLite files. Several processes may append to one folder; each commit takes the write lock."""

    def __init__(self, settings: LogSettings, now: Callable[[], int] = now_ms) -> None:
        self._settings = settings
        self._folder = settings.log_folder.resolve()
        self._now = now
        self._counts = {topic.full_name(settings.topic_prefix): topic.partitions for topic in TOPICS}
        self._queue: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._problem: str | None = "not started"

    async def start(self) -> None:
        writer = await asyncio.to_thread(_Writer, self._folder, self._settings, self._now)
        self._thread = threading.Thread(target=self._run, args=(writer,), name="eventlog-writer", daemon=True)
        self._problem = None
        self._thread.start()

    async def append(self, records: Sequence[Outgoing]) -> list[Position | None]:
        for record in records:
            if record.topic not in self._counts:
                raise Unavailable(f"topic {record.topic} is not in the table of topics")
        refuse_too_large(records)
        if self._thread is None:
            raise Unavailable(f"event log: {self._problem}")
        if not records:
            return []
        request = _Request(records, asyncio.get_running_loop())
        self._queue.put(request)
        try:
            async with asyncio.timeout(self._settings.append_deadline):
                return await request.future
        except TimeoutError:
            raise Unavailable("the event log's disk did not answer in time") from None

    def unready(self) -> str | None:
        return self._problem

    def backlog(self) -> Backlog:
        return NO_BACKLOG

    async def stop(self) -> None:
        thread, self._thread, self._problem = self._thread, None, "stopped"
        if thread:
            self._queue.put(None)
            await asyncio.to_thread(thread.join, self._settings.drain_time)

    def _run(self, writer: _Writer) -> None:
        for requests in groups(self._queue, _GROUP):
            self._store(writer, requests)
        writer.close()

    def _store(self, writer: _Writer, requests: list[_Request]) -> None:
        try:
            results = writer.commit([request.records for request in requests], self._counts)
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY):
                # After a failed fsync nobody knows what the disk holds: another process must find out.
                sys.stderr.write(f"trackway: the event log's disk failed ({error}); this process ends\n")
                sys.stderr.flush()
                os._exit(3)
            error_of: type[NoSpace | Unavailable] = NoSpace if code == sqlite3.SQLITE_FULL else Unavailable
            self._problem = "the disk is full" if error_of is NoSpace else "another process holds the event log"
            for request in requests:
                request.loop.call_soon_threadsafe(_fail, request.future, error_of(self._problem))
            return
        self._problem = None
        for loop in {request.loop for request in requests}:
            mine = [(one.future, result) for one, result in zip(requests, results, strict=True) if one.loop is loop]
            with contextlib.suppress(RuntimeError):  # the loop was closed by a caller that gave up
                loop.call_soon_threadsafe(_settle, mine)
        wake(self._folder)


class _Writer:
    """The writer thread's connection to the newest file."""

    def __init__(self, folder: Path, settings: LogSettings, now: Callable[[], int]) -> None:
        self._folder, self._now = folder, now
        self._prefix = settings.topic_prefix
        self._connection = open_newest(folder, now())
        self._heads: dict[Partition, int] = {}
        self._version = -1
        self._day = -1
        self._retained_at = 0

    def commit(self, appends: list[Sequence[Outgoing]], counts: dict[str, int]) -> list[list[Position | None]]:
        self._begin()
        try:
            rows: list[tuple[str, int, int, bytes, bytes | None, bytes, int]] = []
            heads, results = self._heads, []
            changed: set[Partition] = set()
            for records in appends:
                positions: list[Position | None] = []
                for record in records:
                    partition = Partition(record.topic, partition_of(record.key, counts[record.topic]))
                    offset = heads.get(partition, 0)
                    heads[partition] = offset + 1
                    changed.add(partition)
                    positions.append(Position(partition, offset))
                    headers = pack_headers(record.headers)
                    rows.append((*partition, offset, record.key, record.value, headers, record.timestamp))
                results.append(positions)
            self._connection.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            self._connection.executemany(
                "INSERT INTO head VALUES (?1, ?2, 0, ?3) ON CONFLICT DO UPDATE SET next = ?3",
                [(*partition, heads[partition]) for partition in changed],
            )
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            self._version = -1  # the offsets counted up in memory were not stored
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise
        return results

    def close(self) -> None:
        self._connection.close()

    def _begin(self) -> None:
        now = self._now()
        if now // HOUR_MS // 24 != self._day:
            self._day = now // HOUR_MS // 24
            self._reopen(now)
        while True:
            self._connection.execute("BEGIN IMMEDIATE")
            version = self._connection.execute("PRAGMA data_version").fetchone()[0]
            if version == self._version:
                return
            # Another process wrote: its offsets count, and it may have opened the next day's file.
            if not is_closed(self._connection):
                self._heads, self._version = heads_of(self._connection), version
                return
            self._connection.execute("ROLLBACK")
            self._reopen(now)

    def _reopen(self, now: int) -> None:
        self._connection.close()
        self._connection = open_newest(self._folder, now)
        self._version = -1
        limited = [topic.retention_ms for topic in TOPICS if topic.retention_ms > 0]
        for_ever = [topic.full_name(self._prefix) for topic in TOPICS if topic.retention_ms < 0]
        drop_expired(self._folder, max(limited), for_ever, now)


@contextlib.contextmanager
def lock_writer(folder: Path) -> Iterator[None]:
    """Be the only collector of this folder. Raises Unavailable when there is one already."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "collector.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Unavailable(
                f"another collector writes to {folder}; the embedded log has one, for more use a kafka:// log"
            ) from None
        yield


def pack_headers(headers: Headers) -> bytes:
    """Headers as a JSON list of names and values; the values are UTF-8."""
    return dumps([(name, value.decode()) for name, value in headers])


def unpack_headers(packed: bytes) -> Headers:
    return tuple((name, value.encode()) for name, value in orjson.loads(packed))


def _settle(results: list[tuple[asyncio.Future[list[Position | None]], list[Position | None]]]) -> None:
    for future, positions in results:
        if not future.done():
            future.set_result(positions)


def _fail(future: asyncio.Future[list[Position | None]], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
