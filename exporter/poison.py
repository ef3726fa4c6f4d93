"""Batches that hold records which cannot be stored: these are found by halving and set aside, the others are stored.

A few such records are somebody's mistake. Many are a mistake of ours, or of the installation: then their partition is
stopped before more of its events are set aside, and goes on once it is mended.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from eventlog.log import Partition
from exporter.apply import Batch, apply
from exporter.failures import blames_data, told_without_values
from exporter.fold import BUGS, Folded, as_poison, fold_again
from exporter.store import Store

_log = structlog.get_logger(__name__)

# So many poison records of a partition in one batch never stop it: a share of a small batch says nothing.
FEW: Final = 10


@dataclass
class Stored:
    """What became of a batch: how many records of each status, where its partitions stand, which go no further, why."""

    counts: Counter[str] = field(default_factory=Counter)
    ends: dict[Partition, int] = field(default_factory=dict)
    stopped: dict[Partition, str] = field(default_factory=dict)


async def store_batch(store: Store, batch: Batch, topic_prefix: str | None, max_poison: float) -> Stored:
    """Store what can be stored of the batch. `max_poison` is how many percent of a partition's records may be poison.

    Raises Fenced, and whatever says that the database does not answer; both may come after a part was stored.
    """
    return await _Storing(store, batch, topic_prefix, max_poison).run()


def most_poison(records: int, max_poison: float) -> int:
    """How many of this many records of one partition may be poison."""
    return max(FEW, int(records * max_poison / 100))


class _Storing:
    """One batch's way into the store."""

    def __init__(self, store: Store, batch: Batch, topic_prefix: str | None, max_poison: float) -> None:
        self._store = store
        self._prefix = topic_prefix
        self._folded = batch.folded
        self._at: dict[Partition, int | None] = dict(batch.begins)
        records = Counter(one.record.partition for one in batch.folded)
        self._may_be = {one: most_poison(n, max_poison) for one, n in records.items()}
        self._records = records
        self._poison: defaultdict[Partition, list[Folded]] = defaultdict(list)
        self._stored = Stored()

    async def run(self) -> Stored:
        for one in self._folded:
            if one.is_poison:
                self._count(one)
        waiting: list[Sequence[Folded]] = [self._folded]
        while waiting:
            some = [one for one in waiting.pop() if one.record.partition not in self._stored.stopped]
            if some:
                waiting += reversed(await self._store_or_split(some))
        return self._stored

    async def _store_or_split(self, some: Sequence[Folded]) -> list[Sequence[Folded]]:
        """Store them; answers what is to be tried instead where they cannot be stored together."""
        ends = {one.record.partition: one.record.offset + 1 for one in some}
        batch = Batch(some, {one: self._at[one] for one in ends}, ends)
        try:
            counts = await apply(self._store, batch, self._prefix)
        except (*BUGS, SQLAlchemyError) as error:
            if not blames_data(error):
                raise
            if len(some) == 1:
                return self._set_aside(some[0], error)
            middle = len(some) // 2
            again = [fold_again(one) for one in some]
            return [again[:middle], again[middle:]]
        self._stored.counts += counts
        self._stored.ends |= ends
        self._at |= ends
        return []

    def _set_aside(self, one: Folded, error: Exception) -> list[Sequence[Folded]]:
        partition, offset = one.record.partition, one.record.offset
        reason = told_without_values(error)
        _log.error("poison", topic=partition.topic, partition=partition.number, offset=offset, error=reason)
        if one.is_poison or not one.member:
            # Not even its place can be told: nothing may be skipped in silence.
            self._stop(partition, f"the record at offset {offset} cannot be stored, nor set aside ({reason})")
            return []
        poison = as_poison(one, "not_storable")
        self._count(poison)
        return [[poison]]

    def _count(self, poison: Folded) -> None:
        partition = poison.record.partition
        found = self._poison[partition]
        found.append(poison)
        if len(found) > self._may_be[partition]:
            self._stop(partition, _too_many(found, self._records[partition]))

    def _stop(self, partition: Partition, reason: str) -> None:
        self._stored.stopped[partition] = reason


def _too_many(poison: Sequence[Folded], records: int) -> str:
    reasons = Counter(one.reason or "" for one in poison)
    told = ", ".join(f"{n} {reason}" for reason, n in sorted(reasons.items()))
    return (
        f"{told} among {records} records from offset {poison[0].record.offset} on; mend what writes or reads them and"
        " start the aggregator again, or have them set aside with a higher `aggregate.max_poison`"
    )


def stopped_text(stopped: Mapping[Partition, str]) -> str | None:
    """What readiness says of stopped partitions; None where there are none."""
    return "; ".join(_one_stopped(one, stopped[one]) for one in sorted(stopped)) or None


def _one_stopped(partition: Partition, reason: str) -> str:
    return f"partition {partition.topic}/{partition.number} is stopped: {reason}"
