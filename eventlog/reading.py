"""Reads the embedded log's files; used by one thread at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from eventlog.day_files import connect, day_files, open_newest
from eventlog.embedded import unpack_headers
from eventlog.log import Bounds, Partition, Record
from eventlog.timestamps import now_ms


class Files:
    """Every day's file, oldest first, opened when first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[Path, sqlite3.Connection] = {}
        # The newest file's data_version at the last read that found nothing: nothing can be new while it stands.
        self._exhausted: tuple[Path, int] | None = None
        self._exhausted_at: dict[Partition, int] = {}
        open_newest(folder, now_ms()).close()

    def read(self, positions: Mapping[Partition, int], limit: int) -> list[Record]:
        """Up to `limit` records from the given offsets on, in offset order a partition."""
        files = self._files()
        newest = (files[-1], self._version(files[-1]))
        if newest == self._exhausted and positions == self._exhausted_at:
            return []
        records: list[Record] = []
        at = dict(positions)
        for file in files:
            nexts = self._nexts(file)
            for partition, offset in at.items():
                if offset < nexts.get(partition, 0) and len(records) < limit:
                    found = self._records(file, partition, offset, limit - len(records))
                    records += found
                    # A share of a full answer ends inside this file: the next file must wait.
                    at[partition] = found[-1].offset + 1 if len(records) >= limit else nexts[partition]
            if len(records) >= limit:
                return records
        if not records:
            self._exhausted, self._exhausted_at = newest, dict(positions)
        return records

    def bounds(self, partitions: Sequence[Partition]) -> dict[Partition, Bounds]:
        files = self._files()
        newest = self._nexts(files[-1])
        firsts: dict[Partition, int] = {}
        for file in files:
            for partition in partitions:
                # One step into the index each; grouping would read all of it.
                if partition not in firsts and (first := self._first(file, partition)) is not None:
                    firsts[partition] = first
        return {
            partition: Bounds(firsts.get(partition, newest.get(partition, 0)), newest.get(partition, 0))
            for partition in partitions
        }

    def offsets_at(self, partitions: Sequence[Partition], time: int) -> dict[Partition, int]:
        files = self._files()
        nexts = self._nexts(files[-1])
        found = {partition: nexts.get(partition, 0) for partition in partitions}
        for file in reversed(files):
            for partition in partitions:
                row = self._connection(file).execute(
                    "SELECT MIN(offset) FROM record WHERE topic = ? AND partition = ? AND timestamp >= ?",
                    (*partition, time),
                )
                first = row.fetchone()[0]
                if first is not None:
                    found[partition] = first
        return found

    def close(self) -> None:
        for connection in self._open.values():
            connection.close()
        self._open.clear()

    def _files(self) -> list[Path]:
        files = day_files(self._folder)
        for gone in self._open.keys() - set(files):
            self._open.pop(gone).close()
        return files

    def _connection(self, file: Path) -> sqlite3.Connection:
        connection = self._open.get(file)
        if connection is None:
            connection = self._open[file] = connect(file)
        return connection

    def _version(self, file: Path) -> int:
        return int(self._connection(file).execute("PRAGMA data_version").fetchone()[0])

    def _nexts(self, file: Path) -> dict[Partition, int]:
        rows = self._connection(file).execute("SELECT topic, partition, next FROM head")
        return {Partition(topic, number): following for topic, number, following in rows}

    def _first(self, file: Path, partition: Partition) -> int | None:
        statement = "SELECT MIN(offset) FROM record WHERE topic = ? AND partition = ?"
        first: int | None = self._connection(file).execute(statement, partition).fetchone()[0]
        return first

    def _records(self, file: Path, partition: Partition, offset: int, limit: int) -> list[Record]:
        rows = self._connection(file).execute(
            "SELECT offset, key, value, headers, timestamp FROM record"
            " WHERE topic = ? AND partition = ? AND offset >= ? ORDER BY offset LIMIT ?",
            (*partition, offset, limit),
        )
        return [
            Record(partition, at, key, value, unpack_headers(headers), timestamp)
            for at, key, value, headers, timestamp in rows
        ]
