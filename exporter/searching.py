"""Looks for one event where the store does not know it: in the log, and on the collectors' own disks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from eventlog.account import COLLECTOR_HEADER, REPLAYED_HEADER
from eventlog.log import Bounds, Outgoing, Partition, Position, Record
from eventlog.refused import refused
from eventlog.settings import LogSettings
from eventlog.spool import undelivered
from eventlog.timestamps import format_ms
from eventlog.topics import EVENTS, REJECTED
from exporter.fold import header, value_of
from exporter.log_reading import read_log, read_records

# What a record tells of itself; nothing of it is personal.
_TOLD: Final = ("protocol", "name", "kind", "channel", "occurred_at", "path", "message")


class Search:
    """For the records of one event id, of one source or of any."""

    def __init__(self, settings: LogSettings, event_id: str, source: str | None = None) -> None:
        self._settings = settings
        self._id, self._source = event_id, source
        self._bytes = event_id.encode()
        self._topics = [topic.full_name(settings.topic_prefix) for topic in (EVENTS, REJECTED)]

    async def told_by_the_log(self, traces: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The traces with what their records tell, as far as the log still holds them. Raises Unavailable."""
        places = [Position(Partition(one["topic"], one["partition"]), one["offset"]) for one in traces]
        records = await read_records(self._settings, places)
        return [
            {**trace, **(_facts(records[place]) if place in records else {"in_log": False})}
            for trace, place in zip(traces, places, strict=True)
        ]

    async def in_the_log(self, start: int | Mapping[Partition, int]) -> list[dict[str, Any]]:
        """Its records from a time (ms) or from offsets on, as the store would tell them. Raises Unavailable."""
        found: list[dict[str, Any]] = []

        def visit(record: Record, _: Bounds) -> None:
            if self._is_it(record):
                place = {"partition": record.partition.number, "offset": record.offset}
                found.append(self._told(record) | place | _facts(record))

        await read_log(self._settings, self._topics, start, visit)
        return found

    def on_disks(self, folders: Sequence[Path]) -> list[dict[str, Any]]:
        """Its records that wait in spools, or were refused by Kafka for good, in these data folders."""
        found: list[dict[str, Any]] = []
        for folder in folders:
            for record in undelivered(folder):
                if self._is_it(record):
                    found.append(self._told(record) | {"on_disk": "spool"} | _facts(record))
            for line in refused(folder):
                record = refused_record(line)
                if self._is_it(record):
                    refusal = {"on_disk": "refused", "refused_at": line["refused_at"], "why": line["why"]}
                    found.append(self._told(record) | refusal | _facts(record))
        return found

    def _is_it(self, record: Record | Outgoing) -> bool:
        if header(record, "ce_id") == self._id:
            return self._source in (None, header(record, "ce_source"))
        if self._bytes not in (record.value or b""):
            return False
        value = value_of(record)
        is_it = isinstance(value, dict) and value.get("id") == self._id
        return is_it and self._source in (None, value.get("source"))

    def _told(self, record: Record | Outgoing) -> dict[str, Any]:
        value = value_of(record)
        told = value if isinstance(value, dict) else {}
        topic = record.topic if isinstance(record, Outgoing) else record.partition.topic
        status = "accepted" if topic == self._topics[0] else str(told.get("status", "unknown"))
        found = {"source": told.get("source", ""), "id": self._id, "status": status, "reason": told.get("reason")}
        found |= {"topic": topic, "received_at": format_ms(record.timestamp)}
        return {name: one for name, one in found.items() if one is not None}


def refused_record(line: Mapping[str, Any]) -> Outgoing:
    """The record of a line of `refused.ndjson`, without its key."""
    headers = tuple((str(name), str(value).encode()) for name, value in line["headers"])
    return Outgoing(line["topic"], b"", str(line["value"]).encode(), headers, line["timestamp"])


def _facts(record: Record | Outgoing) -> dict[str, Any]:
    value = value_of(record)
    told = value if isinstance(value, dict) else {}
    found = {name: told[name] for name in _TOLD if isinstance(told.get(name), str)}
    for name, of in (("collector", COLLECTOR_HEADER), ("replayed_from", REPLAYED_HEADER)):
        if stated := header(record, of):
            found[name] = stated
    return found
