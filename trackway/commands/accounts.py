"""`ledger`: whether what was answered is stored, and what is stored was counted."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from eventlog.account import Key
from eventlog.timestamps import DAY_MS, MINUTE_MS, format_ms, now_ms
from eventlog.topics import EVENTS, REJECTED
from exporter.accounts import Accounts, Asked, Totals, by_source, take_accounts, totals_of
from exporter.answers import Fault
from exporter.ledger import rows_by_minute
from exporter.page_loads import BrowserEvents, browser_events
from exporter.store import Store
from trackway.commands import moment
from trackway.printing import print_json, print_rows, say
from trackway.settings import ConfigError, Settings
from trackway.stores import with_store

# How many minutes that differ are printed one by one.
_DIFFERENCES: Final = 50
_BROWSERS: Final = ("source", "browser", "made", "arrived", "lost", "%")
_COLUMNS: Final = ("source", "status", "answered", "log", "waiting", "behind", "store", "law 1", "law 2")


def ledger(settings: Settings, arguments: Namespace) -> int:
    """Take the accounts; 1 where a law does not hold."""
    start, end = moment(arguments.start), moment(arguments.end)
    if start >= end:
        raise ConfigError([f"--from {arguments.start} is not before --to {arguments.end}"])
    for folder in arguments.answered:
        if not folder.is_dir():
            raise ConfigError([f"--answered {folder}: there is no such folder; give the `data` of that machine"])
    stated = frozenset(name for name, source in settings.sources.items() if source.allow_received_at)
    asked = Asked(arguments.source, (settings.data, *arguments.answered), stated)

    async def work(store: Store) -> int:
        accounts = await take_accounts(settings, store, start, end, asked)
        exports = await rows_by_minute(store, accounts.since, end)
        browsers = await browser_events(store, start, end, arguments.source)
        if arguments.json:
            _print_lines(accounts, exports, browsers, end)
        else:
            _print_tables(accounts, exports, start)
            _print_browsers(browsers)
        return 0 if accounts.holds else 1

    return with_store(settings, work)


def _print_lines(
    accounts: Accounts, exports: Iterable[dict[str, Any]], browsers: Iterable[BrowserEvents], end: int
) -> None:
    wrong1, wrong2 = set(accounts.differences), {fault.key for fault in accounts.answers.faults}
    for key in accounts.keys:
        told = {"minute": format_ms(key[0]), "source": key[1], "status": key[2]} | _numbers(totals_of(accounts, key))
        print_json(told | {"law1": key not in wrong1, "law2": key not in wrong2})
    for row in exports:
        print_json(row | {"minute": format_ms(row["minute"])})
    for one in browsers:
        print_json(one.told())
    answers = accounts.answers
    print_json(
        {
            "law1": not accounts.differences,
            "law2": answers.holds if answers.collectors and not answers.unheard else None if answers.holds else False,
            "from": format_ms(accounts.since),
            "to": format_ms(end),
            "law2_until": format_ms(answers.until),
            "behind": accounts.behind,
            "stored_unanswered": answers.unanswered,
            "died": [{"from": format_ms(one.first), "to": _end(one.last), "most": one.most} for one in answers.deaths],
            "undeliverable": sum(accounts.undeliverable.values()),
            "replayed": accounts.replayed,
            "twins": accounts.twins,
            "no_collector": accounts.nameless,
            "collectors": answers.collectors,
            "collectors_missing": {name: sum(counts.values()) for name, counts in answers.unheard.items()},
            "requests_refused": dict(answers.refused),
        }
    )


def _print_tables(accounts: Accounts, exports: Iterable[dict[str, Any]], start: int) -> None:
    wrong1 = {key[1:] for key in accounts.differences}
    wrong2 = {fault.key[1:] for fault in accounts.answers.faults}
    rows = [
        {"source": source or "-", "status": status, **_numbers(totals)}
        | {"law 1": _word((source, status) in wrong1), "law 2": _law2(accounts, totals, (source, status) in wrong2)}
        for source, status, totals in by_source(accounts)
    ]
    print_rows(rows, _COLUMNS, as_json=False, empty="nothing was received in this time")
    told = ", ".join(f"{n} {status}" for status, n in sorted(accounts.statuses.items()))
    if told:
        print(f"\nthe store counted: {told}")
    for row in _by_workflow(exports):
        print("exports of {workflow} ({mode}): {sent} rows sent, {accepted} accepted, {refused} refused".format(**row))
    if accounts.answers.refused:
        refused = ", ".join(f"{n} {reason}" for reason, n in sorted(accounts.answers.refused.items()))
        print(f"requests refused whole: {refused}")
    if accounts.since > start > 0:
        less = now_ms() - accounts.since < (min(one.retention_ms for one in (EVENTS, REJECTED)) - DAY_MS)
        short = "; that is less than it should hold: see `trackway topics`" if less else ""
        since = format_ms(accounts.since)
        say(f"the log no longer holds what was received before {since}; compared from there on{short}")
    for line in (*_law1_lines(accounts), *_law2_lines(accounts)):
        print(line)


def _print_browsers(browsers: Sequence[BrowserEvents]) -> None:
    if not browsers:
        return
    print("\nmade by page loads of the tracker that began in this time, and arrived:\n")
    rows = [
        {name: f"{value:,}" if isinstance(value, int) else value for name, value in one.told().items()}
        | {"%": f"{one.percent:.2f}"}
        for one in browsers
    ]
    print_rows(rows, _BROWSERS, as_json=False, empty="")


def _law1_lines(accounts: Accounts) -> Iterator[str]:
    yield ""
    if accounts.differences:
        yield "law 1 does not hold: the store did not count what the log holds"
        for key in accounts.differences[:_DIFFERENCES]:
            yield f"  {_place(key)}: {accounts.log[key]} in the log, {accounts.store[key]} counted by the store" + (
                f", of which {accounts.forgotten[key]} left no trace" if accounts.forgotten[key] else ""
            )
        yield from _more(len(accounts.differences))
        yield "  what to do: docs/accounts.md, 'Law 1 does not hold'"
    else:
        yield "law 1 holds: the store counted what the log holds"
    if accounts.behind:
        yield f"  {accounts.behind} records of the log are not in the store yet; they are on neither side"


def _law2_lines(accounts: Accounts) -> Iterator[str]:
    answers = accounts.answers
    faults = answers.faults
    if faults:
        yield "law 2 does not hold: what was answered is not what is stored"
        yield from (f"  {_told(fault)}" for fault in faults[:_DIFFERENCES])
        yield from _more(len(faults))
        yield "  what to do: docs/accounts.md, 'Law 2 does not hold'"
    elif answers.collectors:
        yield "law 2 holds: what was answered is stored"
    elif not answers.unheard:
        yield "law 2 was not checked: no collector has kept account here"
    for name, counts in answers.unheard.items():
        yield f"law 2 was not checked for {sum(counts.values())} records of the collector {name}, {_span(counts)}:"
        yield "  its account is not here, or ends before; give the data folder of its machine, or a copy as new,"
        yield "  as --answered FOLDER"
    if answers.collectors:
        yield f"  what was received since {format_ms(answers.until)} is still in motion: of that only a loss would show"
    if answers.unanswered:
        yield f"  stored, unanswered: {answers.unanswered}"
    for death in answers.deaths:
        time = f"{format_ms(death.first)} and {_end(death.last)}"
        yield f"  a collector died between {time}; it may have stored {death.most} events that it never answered"
    if accounts.undeliverable:
        yield f"acknowledged, but refused by Kafka for good: {sum(accounts.undeliverable.values())}"
        yield "  they are kept in refused.ndjson of the collector's slot; see docs/accounts.md, 'Undeliverable'"
    if accounts.replayed:
        yield f"  made again of rejected ones: {accounts.replayed}; no collector answered them"
    if accounts.twins:
        yield f"  stored twice by a collector: {accounts.twins}; they count once"
    if accounts.nameless:
        yield f"  events that name no collector, from before accounts were kept or by hand: {accounts.nameless}"


def _told(fault: Fault) -> str:
    where = f"{_place(fault.key)}, collector {fault.collector}"
    if fault.held < fault.answered:
        return f"{where}: {fault.answered} answered, only {fault.held} stored"
    explained = f"{fault.allowed} of them can be explained" if fault.allowed else "which nothing explains"
    return f"{where}: {fault.answered} answered, {fault.held} stored: {fault.held - fault.answered} more, {explained}"


def _law2(accounts: Accounts, totals: Totals, wrong: bool) -> str:
    return _word(wrong) if totals.answered or totals.held else "-"


def _numbers(totals: Totals) -> dict[str, int]:
    return {
        "answered": totals.answered,
        "log": totals.log + totals.later,
        "waiting": totals.disks,
        "behind": totals.later,
        "store": totals.store,
    }


def _by_workflow(exports: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    sums: dict[tuple[str, str], dict[str, Any]] = {}
    for row in exports:
        of = row["workflow"], row["mode"]
        one = sums.setdefault(of, {"workflow": of[0], "mode": of[1], "sent": 0, "accepted": 0, "refused": 0})
        for name in ("sent", "accepted", "refused"):
            one[name] += row[name]
    return [one for _, one in sorted(sums.items())]


def _more(count: int) -> Iterator[str]:
    if count > _DIFFERENCES:
        yield f"  and {count - _DIFFERENCES} more minutes; --json has all of them"


def _word(wrong: bool) -> str:
    return "WRONG" if wrong else "ok"


def _place(key: Key) -> str:
    return f"{format_ms(key[0])} {key[1] or '-'} {key[2]}"


def _span(counts: Iterable[Key]) -> str:
    minutes = sorted({key[0] for key in counts})
    return f"received between {format_ms(minutes[0])} and {_end(minutes[-1])}"


def _end(minute: int) -> str:
    return format_ms(minute + MINUTE_MS)
