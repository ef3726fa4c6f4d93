"""`events tail`: what is in the log."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import orjson

from eventlog.log import Bounds, Consumer, Partition, Record
from eventlog.opening import open_consumer
from eventlog.topics import EVENTS, REJECTED
from trackway.commands import moment, run, shows_pii
from trackway.masking import masked
from trackway.printing import print_json, say
from trackway.settings import Settings


def tail(settings: Settings, arguments: Namespace) -> int:
    """Print events, or what became of those that are none, as they stand in the log."""
    shows_pii(arguments)
    topic = EVENTS if arguments.status == "accepted" else REJECTED
    start = moment(arguments.start)

    async def work() -> int:
        starts: dict[Partition, int] = {}
        ends: dict[Partition, Bounds] = {}

        # Before anything is fetched: afterwards each question would wait for a fetch to end.
        async def begin(_: frozenset[Partition]) -> dict[Partition, int]:
            ends.update(await consumer.bounds())
            starts.update(await consumer.offsets_at(start))
            return starts

        consumer = open_consumer(settings, [topic.full_name(settings.topic_prefix)], assigned=begin)
        await consumer.start()
        try:
            await _tail(consumer, {one: (starts[one], ends[one].next) for one in starts}, arguments)
        finally:
            await consumer.stop()
        return 0

    return run(work)


async def _tail(consumer: Consumer, ranges: dict[Partition, tuple[int, int]], arguments: Namespace) -> None:
    """Print what is in the ranges (first offset and the one behind the last), with --follow what comes behind too."""
    left = sum(max(0, end - first) for first, end in ranges.values())
    shown = 0
    while arguments.follow or left > 0:
        records = await consumer.poll(500, 1.0)
        for record in records:
            if record.offset < ranges[record.partition][1]:
                left -= 1
            event = _event(record, arguments)
            if event is not None:
                shown += 1
                _print_event(event, record, arguments)
    if not shown:
        say("nothing matches; try an earlier --from, such as 24h or start")


def _event(record: Record, arguments: Namespace) -> dict[str, Any] | None:
    event: dict[str, Any] = orjson.loads(record.value or b"{}")
    if arguments.status != "accepted" and event.get("status") != arguments.status:
        return None
    for name in ("source", "name", "trace"):
        wanted = getattr(arguments, name)
        if wanted and event.get(name) != wanted:
            return None
    return event if arguments.pii else masked(event)


def _print_event(event: dict[str, Any], record: Record, arguments: Namespace) -> None:
    if arguments.json:
        print_json({**event, "partition": record.partition.number, "offset": record.offset})
    elif arguments.status == "accepted":
        who = event.get("user_id") or event.get("anonymous_id") or "-"
        page = event.get("page", {}).get("path", "")
        print("  ".join((event["occurred_at"], event["name"].ljust(12), event["source"], who, page)), flush=True)
    else:
        where = f" at {event['path']}" if "path" in event else ""
        told = event.get("message", "")
        print(f"{event['received_at']}  {event['status']}: {event['reason']}{where}  {told}", flush=True)
