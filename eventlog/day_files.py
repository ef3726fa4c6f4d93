"""The embedded log's files: one SQLite database a day, in one folder, written by one process at a time.

    <folder>/2026-11-24.db      the records of that day and, for each partition, its first and next offset

A day's file is closed by whoever opens the next one, in a transaction on the old file: nobody writes to it again.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from eventlog.log import Partition
from eventlog.timestamps import DAY_MS, format_ms, parse_ms

_BUSY_MS: Final = 10_000
_SCHEMA: Final = """
CREATE TABLE record (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL,
    key BLOB NOT NULL, value BLOB, headers BLOB NOT NULL, timestamp INTEGER NOT NULL,
    PRIMARY KEY (topic, partition, offset)
) WITHOUT ROWID;
CREATE TABLE head (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, first INTEGER NOT NULL, next INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) WITHOUT ROWID;
CREATE TABLE closed (at INTEGER NOT NULL);
"""


def connect(file: Path, *, create: bool = False) -> sqlite3.Connection:
    """A connection for one thread at a time, in autocommit; transactions are begun by hand."""
    mode = "rwc" if create else "rw"
    connection = sqlite3.connect(
        f"{file.resolve().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False
    )
    connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    # FULL: a commit has reached the disk, not only the operating system, when it returns.
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def day_files(folder: Path) -> list[Path]:
    """The files there are, oldest first."""
    return sorted(file for file in folder.glob("????-??-??.db"))


def open_newest(folder: Path, now: int) -> sqlite3.Connection:
    """The file that is written to at `now` (ms); made, with the offsets going on, if the day is new."""
    folder.mkdir(parents=True, exist_ok=True)
    files = day_files(folder)
    # A clock that goes back must not lead back into a closed file.
    name = max([f"{format_ms(now)[:10]}.db", *(file.name for file in files[-1:])])
    file = folder / name
    if not files or files[-1].name != name:
        _make(file, files[-1] if files else None, now)
    return connect(file)


def _make(file: Path, previous: Path | None, now: int) -> None:
    if previous is None:
        _make_with(file, [])
        return
    old = connect(previous)
    try:
        old.execute("BEGIN IMMEDIATE")
        if not file.exists():
            heads = old.execute("SELECT topic, partition, next FROM head").fetchall()
            old.execute("INSERT INTO closed VALUES (?)", (now,))
            _make_with(file, heads)
        old.execute("COMMIT")
    finally:
        old.close()


def _make_with(file: Path, heads: Sequence[tuple[str, int, int]]) -> None:
    """Write the file under another name first: half a file never has the name readers look for."""
    draft = file.with_suffix(f".{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    connection = connect(draft, create=True)
    connection.executescript("PRAGMA page_size=8192;" + _SCHEMA)
    connection.executemany("INSERT INTO head VALUES (?, ?, ?, ?)", [(t, p, n, n) for t, p, n in heads])
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    try:
        # Of two processes that make the same file, the first wins.
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Make the folder's entries durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def heads_of(connection: sqlite3.Connection) -> dict[Partition, int]:
    """The next offset of each partition that has ever had a record."""
    return {
        Partition(topic, number): following
        for topic, number, following in connection.execute("SELECT topic, partition, next FROM head")
    }


def is_closed(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM closed LIMIT 1").fetchone() is not None


def drop_expired(folder: Path, retention_ms: int, kept_for_ever: Sequence[str], now: int) -> list[Path]:
    """Delete the files whose every record is older than `retention_ms`; the last value of each key of the topics
    `kept_for_ever` moves on into the next file, under its offset. Answers what was deleted.
    """
    deleted = []
    files = day_files(folder)
    for file, following in itertools.pairwise(files):
        if parse_ms(file.stem) + DAY_MS + retention_ms > now:
            break
        _carry_over(file, following, kept_for_ever)
        for part in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
            part.unlink(missing_ok=True)
        sync_folder(folder)
        deleted.append(file)
    return deleted


def _carry_over(file: Path, following: Path, topics: Sequence[str]) -> None:
    connection = connect(following)
    try:
        connection.execute("ATTACH ? AS old", (str(file),))
        connection.execute("BEGIN IMMEDIATE")
        for topic in topics:
            connection.execute(
                "INSERT OR IGNORE INTO main.record SELECT * FROM old.record AS o WHERE topic = ?1 AND value IS NOT NULL"
                " AND NOT EXISTS (SELECT 1 FROM old.record AS l WHERE l.topic = o.topic AND l.partition = o.partition"
                " AND l.key = o.key AND l.offset > o.offset)"
                " AND NOT EXISTS (SELECT 1 FROM main.record AS l WHERE l.topic = o.topic"
                " AND l.partition = o.partition AND l.key = o.key)",
                (topic,),
            )
        connection.execute("COMMIT")
    finally:
        connection.close()
