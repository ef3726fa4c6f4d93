"""`events tail`: what is in the log."""

from __future__ import annotations

from argparse import Namespace
from contextlib import aclosing
from typing import Any

import orjson

from eventlog.log import Record
from eventlog.topics import EVENTS, REJECTED
from trackway.commands import moment, run, shows_pii
from trackway.commands.reading import records
from trackway.masking import masked
from trackway.printing import print_json, say
from trackway.settings import Settings


def tail(settings: Settings, arguments: Namespace) -> int:
    """Print events, or what became of those that are none, as they stand in the log."""
    shows_pii(arguments)
    topic = EVENTS if arguments.status == "accepted" else REJECTED
    start = moment(arguments.start)

    async def work() -> int:
        shown = 0
        async with aclosing(records(settings, topic, start, arguments.follow)) as found:
            async for record in found:
                event = _event(record, arguments)
                if event is not None:
                    shown += 1
                    _print_event(event, record, arguments)
        if not shown:
            say("nothing matches; try an earlier --from, such as 24h or start")
        return 0

    return run(work)


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
