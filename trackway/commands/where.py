"""`where`: one event's whole way, from its receipt to what the CDP said."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from exporter.lookup import Lookup
from exporter.searching import Search
from exporter.store import Store
from exporter.whereabouts import Whereabouts
from trackway.commands import shows_pii
from trackway.masking import masked
from trackway.printing import print_json, say
from trackway.settings import Settings
from trackway.stores import with_store


def where(settings: Settings, arguments: Namespace) -> int:
    """Print what became of each record of an id; 1 where there is none."""
    pii = shows_pii(arguments)
    folders: list[Path] = [settings.data, *arguments.answered]

    async def work(store: Store) -> int:
        traces = await Whereabouts(settings, store).traces(arguments.id, arguments.source)
        search = Search(settings, arguments.id, arguments.source)
        known = {(one["topic"], one["partition"], one["offset"]) for one in traces}
        # What the store has not come to yet is looked at in any case; all of it, where it may have been overlooked.
        begin = 0 if arguments.scan else await Lookup(store, settings).positions()
        unknown = [
            one
            for one in await search.in_the_log(begin)
            if (one["topic"], one["partition"], one["offset"]) not in known
        ]
        waiting = search.on_disks(folders)
        found = [
            *[one | {"in_store": True} for one in await search.told_by_the_log(traces)],
            *[one | {"in_store": False} for one in (*unknown, *waiting)],
        ]
        found = [one if pii else masked(one) for one in found]
        if arguments.json:
            print_json({"id": arguments.id, "kept_days": settings.trace_days, "records": found})
        else:
            for one in found:
                print("\n".join(_lines(one)))
        if not found:
            _say_why_not(settings, arguments)
        return 0 if found else 1

    return with_store(settings, work)


def _lines(record: Mapping[str, Any]) -> Iterator[str]:
    """The record's way as a small tree."""
    yield f"{record['id']} of {record['source'] or '-'}"
    steps = list(_steps(record))
    for at, (step, *details) in enumerate(steps):
        last = at + 1 == len(steps)
        yield f"{'└' if last else '├'} {step}"
        for detail in details:
            yield f"{' ' if last else '│'}   {detail}"


def _steps(record: Mapping[str, Any]) -> Iterator[list[str]]:
    by = f" by {record['protocol']}" if "protocol" in record else ""
    what = f", {record['name']} of {record['occurred_at']}" if "name" in record and "occurred_at" in record else ""
    yield [f"received {record['received_at']}{by}{what}"]
    if "replayed_from" in record:
        yield [f"made again of the rejected record {record['replayed_from']}"]
    yield [_receipt(record)]
    yield [_place(record)]
    if "on_disk" not in record:
        yield [_in_store(record)]
    if "profile_id" in record:
        yield [f"session {record['session_id']}" if "session_id" in record else "of no session"]
        yield [f"profile {record['profile_id']}"]
    for export in record.get("exports", ()):
        none = "" if export["rows"] else ": no row of it was sent so far"
        yield [f"export {export['workflow']} ({export['of']}){none}", *map(_row, export["rows"])]


def _receipt(record: Mapping[str, Any]) -> str:
    status = record["status"]
    if status in ("accepted", "unattributed", "twin", "poison"):
        # What the store made of it is not what its sender was told.
        return "receipt: accepted"
    where = f" at {record['path']}" if "path" in record else ""
    told = f": {record['message']}" if "message" in record else ""
    return f"receipt: {status} ({record.get('reason', 'no reason')}{where}){told}"


def _place(record: Mapping[str, Any]) -> str:
    if record.get("on_disk") == "spool":
        return "on the collector's disk, waiting for Kafka; it goes to the log by itself"
    if "on_disk" in record:
        return f"on the collector's disk: Kafka refused it for good ({record['why']}, {record['refused_at']})"
    expired = "" if record.get("in_log", True) else " (no longer held by the log)"
    return f"log: {record['topic']}, partition {record['partition']}, offset {record['offset']}{expired}"


def _in_store(record: Mapping[str, Any]) -> str:
    if not record["in_store"]:
        return "not in the store yet"
    told = {
        "accepted": "counted, and part of a profile",
        "unattributed": "counted; it names nobody, so it is of no profile",
        "twin": "a second record of an event that was accepted before; counted as a twin, and nothing else",
        "poison": f"set aside as poison ({record.get('reason', 'no reason')}); it is of no profile",
    }
    return f"store: {told.get(record['status'], 'counted as ' + record['status'])}"


def _row(row: Mapping[str, Any]) -> str:
    when = f"sent {row['sent_at']}" if "sent_at" in row else f"of the run of {row['run_started_at']}"
    why = f" by {row['by']}: {row['code']}, {row['reason']}" if row["answer"] == "refused" else ""
    return f"{row['answer']}, {when}, run {row['run_id']}{why}"


def _say_why_not(settings: Settings, arguments: Namespace) -> None:
    looked = "the whole log" if arguments.scan else "what of the log the store has not come to"
    say(f"no trace of {arguments.id}: looked in the store, in {looked}, and on the collectors' disks here")
    say(f"traces are kept for {settings.trace_days} days. It may be that")
    say("- it never arrived, or its whole request was refused: then its sender was told (docs/server-side.md)")
    say("- it has another id: an event without one is given one, which its receipt tells")
    say("- it waits on the disk of another machine's collector: give its data folder as --answered FOLDER")
    if not arguments.scan:
        say("- the store has lost it: --scan reads the whole log")
