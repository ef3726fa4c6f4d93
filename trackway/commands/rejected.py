"""`rejected list|show|repair|replay`: what did not become an event, why, and once more."""

from __future__ import annotations

import contextlib
import heapq
import re
from argparse import Namespace
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from collector.repair import BadRules, Rule, read_rules
from exporter.console.mask import mask_body, mask_source, mask_within
from exporter.lease import LeaseLost, held
from exporter.lookup import Lookup
from exporter.rejected import Cause, Found, Wanted, group, most_first, read_at, read_rejected
from exporter.replays import REPLAYS, is_being_sent, replayed_of
from exporter.store import Store
from trackway.commands import moment, shows_pii
from trackway.printing import print_json, print_rows, print_tree, say
from trackway.replaying import FATES, Account, Replaying
from trackway.settings import ConfigError, Settings
from trackway.stores import with_store
from trackway.yaml_file import dotted, line_of, read_yaml

_LIST: Final = ("received_at", "record", "status", "reason", "path", "source", "id", "kept", "replayed",
                "message")  # fmt: skip
_CAUSES: Final = ("cause", "count", "kept", "replayed", "status", "reason", "path", "source", "first_seen", "last_seen",
                  "sample", "message")  # fmt: skip
_NOTHING: Final = "nothing matches; try an earlier --from, such as 7d or start"
_POSITION: Final = re.compile(r"(\d{1,4})/(\d{1,18})")


def list_rejected(settings: Settings, arguments: Namespace) -> int:
    """Print the newest records, or all of them grouped by cause."""
    wanted = _wanted(arguments)

    async def work(store: Store) -> int:
        causes: dict[str, Cause] = {}
        newest: list[tuple[int, str, Found]] = []
        total = 0
        async for some in read_rejected(settings, wanted):
            total += len(some)
            if arguments.group:
                group(some, await replayed_of(store, [one.place for one in some]), causes)
            else:
                newest = heapq.nlargest(arguments.limit, [*newest, *((one.at, one.position, one) for one in some)])
        if arguments.group:
            rows = [cause.row() for cause in most_first(causes)]
        else:
            replayed = await replayed_of(store, [one.place for *_, one in newest])
            rows = [one.row(replayed) for *_, one in newest]
            if total > len(newest):
                say(f"the newest {len(newest)} of {total}; --limit shows more, --group all by cause")
        print_rows([_shown(row) for row in rows], _CAUSES if arguments.group else _LIST, arguments.json, _NOTHING)
        return 0

    return with_store(settings, work)


def show(settings: Settings, arguments: Namespace) -> int:
    """Print all that is kept of a record; 1 where there is none of this id."""
    pii = shows_pii(arguments)

    async def work(store: Store) -> int:
        found = await _of_id(settings, store, arguments.id)
        for at, one in enumerate(found):
            if at and not arguments.json:
                print()
            told = {"record": one.position, "cause": one.cause} | (one.outcome if pii else _masked(one))
            print_json(told) if arguments.json else print_tree(told)
        if not found:
            say("no record of this id stands in the rejected topic; its records are kept for 14 days")
        elif not pii:
            say("personal data is masked; --pii --reason TEXT shows it")
        return 0 if found else 1

    return with_store(settings, work)


def repair(settings: Settings, arguments: Namespace) -> int:
    """Repair events by the rules of a file, and with --apply replay them; 1 where some stay refused."""
    rules = _rules(arguments.rules)
    return _again(settings, arguments, rules)


def replay(settings: Settings, arguments: Namespace) -> int:
    """Replay events as they are, with --apply; 1 where some stay refused."""
    return _again(settings, arguments, None)


def _again(settings: Settings, arguments: Namespace, rules: Sequence[Rule] | None) -> int:
    wanted = _wanted(arguments)

    async def work(store: Store) -> int:
        async with contextlib.AsyncExitStack() as stack:
            lease = None
            if arguments.apply:
                lease = await stack.enter_async_context(held(store, REPLAYS, wait=False))
                if lease is None:
                    say("another `trackway rejected` is at it; try again when it has ended")
                    return 1
            replaying = Replaying(settings, store, rules, lease)
            if arguments.id:
                await replaying.run(_named(settings, store, arguments.id))
            else:
                await replaying.run(read_rejected(settings, wanted))
        _print_accounts(replaying, arguments)
        await _say_what_follows(replaying, store, arguments.apply)
        lost = replaying.total("refused", "unrepairable")
        # Rules may well mean other records than those of which nothing was kept.
        return 1 if lost or (rules is None and replaying.total("not_kept")) else 0

    try:
        return with_store(settings, work)
    except LeaseLost:
        say("the store did not answer in time; what was sent is known, so run the same again")
        return 1


def _print_accounts(replaying: Replaying, arguments: Namespace) -> None:
    accounts = sorted(replaying.accounts.values(), key=lambda one: (-one.fates.total(), one.cause))
    rows = [account.row() for account in accounts]
    fates = [fate for fate in FATES if replaying.total(fate)]
    columns = ("cause", "reason", "path", "source", "count", *fates)
    print_rows(rows, columns, arguments.json, _NOTHING)
    if not arguments.json:
        for account in accounts:
            _print_details(account)


def _print_details(account: Account) -> None:
    if not account.why and not account.samples:
        return
    print(f"\n{account.cause}  {account.reason} {account.path}".rstrip())
    for why, count in account.why.most_common():
        print(f"  {count} {why}")
    for sample in account.samples:
        print(f"  {sample['record']} {sample['id']}")
        for change in sample["changes"]:
            print(f"    {change['at']}: {_side(change, 'before')} -> {_side(change, 'after')}")


def _side(change: dict[str, Any], name: str) -> str:
    return orjson.dumps(change[name]).decode() if name in change else "nothing"


async def _say_what_follows(replaying: Replaying, store: Store, applied: bool) -> None:
    count = replaying.total("replayed")
    events = f"{count} event{'' if count == 1 else 's'}"
    if not applied:
        say(f"a dry run: nothing was sent; --apply sends {events}")
    elif not count:
        say("nothing was sent")
    elif await is_being_sent(store):
        say(f"{events} handed to the aggregator, which is sending to the log")
    else:
        waits = "waits in the store and is" if count == 1 else "wait in the store and are"
        say(f"{events} {waits} sent once `trackway up` or `trackway aggregate` runs")


def _wanted(arguments: Namespace) -> Wanted:
    statuses = (arguments.status,) if getattr(arguments, "status", None) else ("rejected", "poison")
    reason, cause = arguments.reason or "", arguments.cause or ""
    return Wanted(moment(arguments.start), moment(arguments.end), statuses, arguments.source or "", reason, cause)


def _rules(file: Path) -> list[Rule]:
    value, lines = read_yaml(file)
    try:
        return read_rules(value)
    except BadRules as error:
        problems = []
        for place, text in error.problems:
            line = line_of(tuple(part if isinstance(part, int) else str(part) for part in place), lines)
            where = f"{dotted(place)}: " if place else ""
            problems.append(f"{file}:{line or 1}: {where}{text}")
        raise ConfigError(problems) from None


async def _named(settings: Settings, store: Store, ids: Sequence[str]) -> AsyncIterator[list[Found]]:
    for one in ids:
        found = [record for record in await _of_id(settings, store, one) if record.outcome["status"] != "duplicate"]
        if not found:
            say(f"{one}: no record of this id stands in the rejected topic")
        yield found


async def _of_id(settings: Settings, store: Store, text: str) -> list[Found]:
    """The records of an event's id, or the one at `partition/offset`."""
    position = _POSITION.fullmatch(text)
    if position:
        return await read_at(settings, [(int(position[1]), int(position[2]))])
    lookup = Lookup(store, settings)
    known = [one for one in await lookup.where(text) if one["topic"].endswith("rejected.v1")]
    found = await read_at(settings, [(one["partition"], one["offset"]) for one in known])
    if not found:
        # The store may not have come so far.
        everything = Wanted(0, moment("now") + 1, ("rejected", "poison", "filtered", "duplicate"))
        async for some in read_rejected(settings, everything):
            found += [one for one in some if one.outcome.get("id") == text]
    return found


def _masked(found: Found) -> dict[str, Any]:
    shown: dict[str, Any] = mask_body(found.outcome)
    if "prefix" in found.outcome:
        shown["prefix"] = mask_source(found.outcome["prefix"])
    return shown


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row of a list: what people call things may be personal."""
    return {name: mask_within(value) if isinstance(value, str) else value for name, value in row.items()}
