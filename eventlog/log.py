"""The event log as the services see it: append and read. Two implementations: kafka.py and embedded.py.

A log is named by URL: `kafka://host:9092,host2:9092` or `sqlite:////absolute/folder` (`sqlite:///relative/folder`).
"""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from eventlog.errors import RecordTooLarge
from eventlog.topics import MAX_MESSAGE_BYTES

Headers = tuple[tuple[str, bytes], ...]

# What a record takes in a batch of Kafka's beyond key, value and headers, and a header beyond its name and value, at
# most.
_RECORD_OVERHEAD: Final = 128
_HEADER_OVERHEAD: Final = 8


class Partition(NamedTuple):
    """One partition of one topic; `topic` is the full name, prefix included."""

    topic: str
    number: int


class Position(NamedTuple):
    """Where a record stands in the log."""

    partition: Partition
    offset: int


class Bounds(NamedTuple):
    """The offsets a partition holds: `first` is the oldest still there, `next` the one the next record gets."""

    first: int
    next: int


class OutOfRange(ValueError):  # noqa: N818 - what happened
    """The log does not hold the offset to read of these partitions: retention took it, or it is another log."""

    def __init__(self, offsets: Mapping[Partition, int]) -> None:
        told = ", ".join(f"{at} of {one.topic}/{one.number}" for one, at in sorted(offsets.items()))
        super().__init__(f"outside what the log holds: offset {told}")
        self.offsets = offsets


class Outgoing(NamedTuple):
    """A record to append. `timestamp` is in milliseconds UTC; a None value is a tombstone (compacted topics)."""

    topic: str
    key: bytes
    value: bytes | None
    headers: Headers
    timestamp: int


@dataclass(frozen=True, slots=True)
class Record:
    """A record as read."""

    partition: Partition
    offset: int
    key: bytes
    value: bytes | None
    headers: Headers
    timestamp: int


class Backlog(NamedTuple):
    """What waits on our own disk: how many records and bytes, and since when the oldest does (ms; None: nothing)."""

    records: int
    bytes: int
    oldest: int | None


NO_BACKLOG: Final = Backlog(0, 0, None)


class Producer(Protocol):
    """Appends records. One instance a process, shared by all requests."""

    async def start(self) -> None:
        """Connect and check that every topic is there. Raises Unavailable when the log does not answer."""

    async def append(self, records: Sequence[Outgoing]) -> list[Position | None]:
        """Durable when it returns: one position a record, in the order given; None for one that is on our own disk
        and not in the log yet. Records of one partition keep their order. On `sqlite://` the records of one call
        are stored all or none; on `kafka://` that holds for each partition's share.

        Raises RecordTooLarge before anything is stored, or, after at most the append deadline, Unavailable or
        NoSpace: some of the records may then have been stored all the same.
        """

    def unready(self) -> str | None:
        """Why appends would fail now, in words; None when they would not."""

    def backlog(self) -> Backlog:
        """What is durable on our own disk and not in the log yet."""

    async def stop(self) -> None:
        """Flush what is queued and let go, within the drain time."""


# Called with the partitions newly owned; answers the offset each is to be read from.
Assigned = Callable[[frozenset[Partition]], Awaitable[Mapping[Partition, int]]]
# Called before partitions are given up (or after they were lost).
Revoked = Callable[[frozenset[Partition]], Awaitable[None]]


class Consumer(Protocol):
    """Reads topics, as a member of a group (partitions are shared out among its members) or alone (all of them).

    `commit` is for lag monitoring only: where reading resumes is what `Assigned` answers.
    """

    async def start(self) -> None:
        """Join. Raises Unavailable when the log does not answer."""

    async def poll(self, max_records: int, timeout: float) -> list[Record]:
        """Records of the assigned partitions in offset order per partition; empty after `timeout` s without.

        Raises OutOfRange where retention took what was to be read (only Kafka tells), and Unavailable.
        """

    def assignment(self) -> frozenset[Partition]:
        """The partitions owned now."""

    async def seek(self, partition: Partition, offset: int) -> None:
        """Read `partition` from `offset` on. Raises OutOfRange where it lies outside the partition's bounds."""

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Store the next offset to read of each partition under the group's name."""

    async def bounds(self) -> dict[Partition, Bounds]:
        """Of every partition of the topics, assigned or not."""

    async def offsets_at(self, time: int) -> dict[Partition, int]:
        """For every partition the offset of its first record with a timestamp >= `time` (ms), or its next offset."""

    async def stop(self) -> None:
        """Leave the group at once and let go."""


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key: CRC-32, as librdkafka's `consistent` partitioner has it (not Java's murmur2)."""
    return zlib.crc32(key) % partitions


def refuse_too_large(records: Sequence[Outgoing]) -> None:
    """Raise RecordTooLarge for a record that no log takes."""
    for record in records:
        size = len(record.key) + len(record.value or b"") + _RECORD_OVERHEAD
        for name, value in record.headers:
            size += len(name) + len(value) + _HEADER_OVERHEAD
        if size > MAX_MESSAGE_BYTES:
            raise RecordTooLarge(f"a record of {size} bytes, {MAX_MESSAGE_BYTES} at most")


async def start_at_first(partitions: frozenset[Partition]) -> Mapping[Partition, int]:
    """An `Assigned` that answers nothing: partitions without an answer are read from their first record."""
    return {}


async def keep_quiet(partitions: frozenset[Partition]) -> None:
    """A `Revoked` with nothing to put away."""
