"""What each command does; its answer is the exit code."""

from __future__ import annotations

import asyncio
import re
from argparse import Namespace
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
import structlog
import uvloop

from eventlog.errors import Unavailable
from eventlog.log import Bounds, Consumer, Partition, Record
from eventlog.opening import open_consumer
from eventlog.provision import provision
from eventlog.timestamps import DAY_MS, HOUR_MS, MINUTE_MS, now_ms, parse_ms
from eventlog.topics import EVENTS, REJECTED
from trackway import services
from trackway.masking import masked
from trackway.printing import print_json, print_rows, print_tree, say
from trackway.settings import ConfigError, Settings

_log = structlog.get_logger(__name__)

_DURATION: Final = re.compile(r"(\d+)([smhd])")
_UNITS: Final = {"s": 1000, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}


def run(work: Callable[[], Awaitable[int]]) -> int:
    """Run a coroutine on uvloop."""

    async def main() -> int:
        return await work()

    return uvloop.run(main())


def collect(settings: Settings, _: Namespace) -> int:
    async def work() -> int:
        try:
            await services.collect(settings)
        except OSError as error:
            raise Unavailable(f"cannot listen on {settings.listen}: {error.strerror}") from None
        return 0

    return run(work)


def topics(settings: Settings, arguments: Namespace) -> int:
    findings = asyncio.run(provision(settings, arguments.apply))
    rows = [{"topic": one.topic, "state": one.level, "what": one.message} for one in findings]
    print_rows(rows, ("topic", "state", "what"), arguments.json)
    return int(any(one.level == "fail" for one in findings))


def config_check(settings: Settings, _: Namespace) -> int:
    sources = len(settings.sources)
    say(f"the settings can be used: {sources} source{'' if sources == 1 else 's'}")
    return 0


def config_show(settings: Settings, arguments: Namespace) -> int:
    # SecretStr writes itself as stars.
    values = settings.model_dump(mode="json", by_alias=True)
    if arguments.json:
        print_json(values)
    else:
        print_tree(values)
    return 0


def events_tail(settings: Settings, arguments: Namespace) -> int:
    if arguments.pii and not arguments.reason:
        raise ConfigError(["--pii shows personal data and needs --reason"])
    if arguments.pii:
        _log.info("personal_data_shown", command="events tail", reason=arguments.reason)
    topic = EVENTS if arguments.status == "accepted" else REJECTED
    start = _moment(arguments.start)

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


def _moment(text: str) -> int:
    """`start`, `now`, a duration before now (`15m`), or a time, as milliseconds."""
    if text in ("start", "now"):
        return 0 if text == "start" else now_ms()
    duration = _DURATION.fullmatch(text)
    if duration:
        return now_ms() - int(duration.group(1)) * _UNITS[duration.group(2)]
    try:
        return parse_ms(text)
    except ValueError:
        raise ConfigError([f"{text!r} is no time; write start, now, 15m, 24h or 2026-11-24T10:00:00Z"]) from None
