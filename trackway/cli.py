"""The command line. Exit codes: 0 done, 1 a finding, 2 usage or configuration, 3 unreachable."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, cast

from eventlog.errors import Unavailable
from eventlog.telemetry import set_up_logging
from trackway import __version__
from trackway.printing import say
from trackway.settings import DEFAULT_FILE, DEMO_FILE, ConfigError, Settings, load

DONE, FINDING, USAGE, UNREACHABLE = 0, 1, 2, 3

Add = Callable[..., argparse.ArgumentParser]


class _Parser(argparse.ArgumentParser):
    """argparse that names the nearest command or option."""

    def error(self, message: str) -> NoReturn:
        words = [action.dest for action in self._actions] + list(_choices(self))
        unknown = message.split("'")[1] if message.count("'") >= 2 else ""
        near = difflib.get_close_matches(unknown, words, n=1)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        say(f"{self.prog}: {message}.{hint}\nSee `{self.prog} --help`.")
        raise SystemExit(USAGE)


def _choices(parser: argparse.ArgumentParser) -> list[str]:
    return [name for action in parser._actions if isinstance(action.choices, dict) for name in action.choices]


def _command(parent: object, name: str, does: str, examples: Sequence[str]) -> argparse.ArgumentParser:
    epilog = "examples:\n" + "\n".join(f"  trackway {example}" for example in examples)
    parser: argparse.ArgumentParser = parent.add_parser(  # type: ignore[attr-defined]
        name,
        help=does,
        description=does[0].upper() + does[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def parser() -> argparse.ArgumentParser:
    """Every command with its options."""
    top = _Parser(prog="trackway", description="First-party tracking gateway: events in over HTTP, durable in Kafka.")
    top.add_argument("--version", action="version", version=f"trackway {__version__}")
    top.add_argument(
        "--config",
        type=Path,
        default=Path(os.environ["TRACKWAY_CONFIG"]) if os.environ.get("TRACKWAY_CONFIG") else None,
        help="settings file (default: ./trackway.yml if it is there, or TRACKWAY_CONFIG)",
    )
    nouns = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    _add_services(nouns)
    _add_events(nouns)
    _add_accounts(nouns)
    _add_rejected(nouns)
    _add_people(nouns)
    _add_exports(nouns)
    _add_website(nouns)
    _add_surroundings(nouns)
    return top


def _in(module: str, name: str) -> Callable[[Settings, argparse.Namespace], int]:
    """The command `name` of trackway/commands/<module>.py, loaded when it runs: each needs other parts."""

    def run(settings: Settings, arguments: argparse.Namespace) -> int:
        command: Callable[[Settings, argparse.Namespace], int]
        command = getattr(importlib.import_module(f"trackway.commands.{module}"), name)
        return command(settings, arguments)

    return run


def _json(one: argparse.ArgumentParser) -> None:
    one.add_argument("--json", action="store_true", help="one JSON object a line")


def _pii(one: argparse.ArgumentParser) -> None:
    one.add_argument("--pii", action="store_true", help="show personal data in clear; needs --reason")
    one.add_argument("--reason", default="", help="why personal data is looked at; goes to the process's log")


def _add_services(nouns: object) -> None:
    up = _command(nouns, "up", "run everything by one command", ["up --demo", "--config shop.yml up"])
    up.add_argument("--demo", action="store_true", help="with a shop to click through and a stand-in for the CDP")
    up.set_defaults(run=_in("services", "up"))
    collect = _command(nouns, "collect", "run a collector", ["collect", "--config shop.yml collect --workers 4"])
    workers = "processes on one port; more than 1 needs Kafka (1)"
    collect.add_argument("--workers", type=int, default=1, metavar="N", help=workers)
    collect.add_argument("--inherited-socket", type=int, help=argparse.SUPPRESS)
    collect.set_defaults(run=_in("services", "collect"))
    aggregate = _command(nouns, "aggregate", "run an aggregator", ["aggregate", "--config shop.yml aggregate"])
    aggregate.add_argument("--stop-with-stdin", action="store_true", help=argparse.SUPPRESS)
    aggregate.set_defaults(run=_in("services", "aggregate"))
    export = _command(nouns, "export", "run scheduled exports, API and console", ["export", "--config shop.yml export"])
    export.set_defaults(run=_in("services", "export"))


def _add_events(nouns: object) -> None:
    noun = _command(nouns, "events", "read the log", ["events tail --follow", "events tail --from 15m --name buy"])
    verbs = noun.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=_Parser)
    tail = _command(
        verbs, "tail", "print events as they stand in the log", ["events tail", "events tail --follow --name buy"]
    )
    tail.add_argument("--from", dest="start", default="15m", metavar="start|TIME|15m|now", help="where to begin (15m)")
    tail.add_argument("--follow", action="store_true", help="go on until interrupted")
    tail.add_argument("--source", help="only this source")
    tail.add_argument("--name", help="only events of this name")
    statuses = ["accepted", "rejected", "filtered", "duplicate", "poison"]
    tail.add_argument("--status", default="accepted", choices=statuses, help="(accepted)")
    tail.add_argument("--trace", help="only events with this trace code")
    _json(tail)
    _pii(tail)
    tail.set_defaults(run=_in("events", "tail"))


def _add_accounts(nouns: object) -> None:
    does = "check that what was answered is stored, and what is stored was counted"
    ledger = _command(nouns, "ledger", does, ["ledger", "ledger --from 24h --source shop"])
    ledger.add_argument("--from", dest="start", default="24h", metavar="start|TIME|24h", help="first minute (24h)")
    ledger.add_argument("--to", dest="end", default="now", metavar="TIME|now", help="end (now)")
    ledger.add_argument("--source", help="only this source")
    ledger.add_argument(
        "--answered",
        action="append",
        type=Path,
        default=[],
        metavar="FOLDER",
        help="the data folder, or a copy, of another machine that runs collectors; may be given again",
    )
    _json(ledger)
    ledger.set_defaults(run=_in("accounts", "ledger"))
    where = _command(nouns, "where", "tell one event's whole way", ["where 6bf3556d-0c1a", "where m-17 --scan --json"])
    where.add_argument("id", metavar="ID", help="the event's id, as in its receipt")
    where.add_argument("--source", help="only this source's event of that id")
    where.add_argument("--scan", action="store_true", help="read the whole log for it if the store does not know it")
    where.add_argument("--answered", action="append", type=Path, default=[], metavar="FOLDER", help="as of `ledger`")
    _json(where)
    _pii(where)
    where.set_defaults(run=_in("where", "where"))
    _add_rebuild(nouns)


def _add_rebuild(nouns: object) -> None:
    rebuild = _command(
        nouns,
        "rebuild",
        "make the store anew from the log, or compare it with one made anew",
        ["rebuild --compare", "rebuild", "rebuild --drop-history"],
    )
    how = rebuild.add_mutually_exclusive_group()
    how.add_argument(
        "--compare", action="store_true", help="change nothing, print what differs; 1 where something does"
    )
    how.add_argument("--drop-history", action="store_true", help="forget what the log no longer holds")
    _json(rebuild)
    rebuild.set_defaults(run=_in("again", "rebuild"))


def _add_rejected(nouns: object) -> None:
    examples = ["rejected list --group", "rejected repair rules.yml"]
    noun = _command(nouns, "rejected", "what did not become an event, and once more", examples)
    verbs = noun.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=_Parser)
    examples = ["rejected list --from 7d --group", "rejected list --reason wrong_type --json"]
    listing = _command(verbs, "list", "print rejected events, or their causes", examples)
    _which_rejected(listing)
    statuses = ["rejected", "poison", "filtered", "duplicate"]
    listing.add_argument("--status", choices=statuses, help="(rejected and poison)")
    listing.add_argument("--group", action="store_true", help="by cause: reason, path without indexes, source")
    listing.add_argument("--limit", type=int, default=100, help="how many at most, the newest (100)")
    listing.set_defaults(run=_in("rejected", "list_rejected"))
    examples = ["rejected show b7e8", "rejected show 2/1047"]
    show = _command(verbs, "show", "print what is kept of a rejected event", examples)
    show.add_argument("id", metavar="ID", help="the event's id, or its record as partition/offset")
    _json(show)
    _pii(show)
    show.set_defaults(run=_in("rejected", "show"))
    examples = ["rejected repair rules.yml", "rejected repair rules.yml --from 7d --apply"]
    repair = _command(verbs, "repair", "repair rejected events by rules and replay them", examples)
    repair.add_argument("rules", type=Path, metavar="RULES.yml", help="a list of set, rename, cast, remove")
    examples = ["rejected replay --id b7e8", "rejected replay --reason too_deep --apply"]
    replay = _command(verbs, "replay", "replay rejected events as they are", examples)
    for one, name in ((repair, "repair"), (replay, "replay")):
        _which_rejected(one)
        one.add_argument(
            "--id", action="append", help="only the event of this id, or partition/offset; may be repeated"
        )
        one.add_argument("--apply", action="store_true", help="send them; without it this is a dry run")
        one.set_defaults(run=_in("rejected", name))


def _which_rejected(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "--from", dest="start", default="24h", metavar="start|TIME|24h", help="received from then on (24h)"
    )
    one.add_argument("--to", dest="end", default="now", metavar="TIME|now", help="received before (now)")
    one.add_argument("--source", help="only of this source")
    one.add_argument("--reason", help="only with this reason")
    one.add_argument("--cause", help="only of this cause, as `list --group` names it")
    _json(one)


def _add_people(nouns: object) -> None:
    noun = _command(nouns, "profile", "read profiles", ["profile show ID", "profile show user 4711"])
    verbs = noun.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=_Parser)
    show = _command(verbs, "show", "print one profile with its sessions", ["profile show ID", "profile show user 4711"])
    show.add_argument("who", nargs="+", metavar="ID | KIND VALUE", help="an id, or user|email|ruid|anon and a value")
    _json(show)
    _pii(show)
    show.set_defaults(run=_in("people", "show"))


def _add_exports(nouns: object) -> None:
    run = _command(nouns, "run", "run an export now", ["run people --draft", "run people --no-draft --full"])
    run.add_argument("workflow", help="its name in the settings")
    draft = run.add_mutually_exclusive_group(required=True)
    draft.add_argument("--draft", action="store_true", dest="draft", help="a bounded sample, marked as a draft")
    draft.add_argument("--no-draft", action="store_false", dest="draft", help="for real")
    run.add_argument("--full", action="store_true", help="every row, not only what changed")
    _json(run)
    run.set_defaults(run=_in("exports", "run_workflow"))
    noun = _command(nouns, "runs", "past exports", ["runs list", "runs list --workflow people --json"])
    verbs = noun.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=_Parser)
    listing = _command(verbs, "list", "print the latest runs", ["runs list", "runs list --workflow people"])
    listing.add_argument("--workflow", help="only runs of this one")
    listing.add_argument("--limit", type=int, default=20, help="how many at most (20)")
    _json(listing)
    listing.set_defaults(run=_in("exports", "list_runs"))
    schedule = _command(nouns, "schedule", "when which export runs next", ["schedule", "schedule --json"])
    _json(schedule)
    schedule.set_defaults(run=_in("exports", "schedule"))


def _add_website(nouns: object) -> None:
    examples = ["snippet", "snippet --source shop --with shop,engage --host https://t.shop.example"]
    snippet = _command(nouns, "snippet", "print what a website pastes to load the tracker", examples)
    snippet.add_argument("--source", help="whose key; needed where several sources have a browser key")
    snippet.add_argument(
        "--with", dest="add_ons", default="", metavar="ADD-ONS", help="add-ons of the tracker, as `shop,engage`"
    )
    snippet.add_argument("--host", metavar="URL", help="where browsers reach the collector (`public_url`, else a path)")
    _json(snippet)
    snippet.set_defaults(run=_in("website", "snippet"))
    examples = ["types > src/trackway-events.d.ts", "types --source shop --from 30d"]
    types = _command(
        nouns, "types", "print TypeScript types of the website's own events, as the log has them", examples
    )
    types.add_argument("--source", help="only this source")
    types.add_argument("--from", dest="start", default="7d", metavar="start|TIME|7d", help="where to begin (7d)")
    types.add_argument("--limit", type=int, default=100_000, help="how many events to look at, at most (100000)")
    types.set_defaults(run=_in("website", "types"))


def _add_surroundings(nouns: object) -> None:
    topics = _command(nouns, "topics", "check the topics, or create them", ["topics", "topics --apply"])
    topics.add_argument("--apply", action="store_true", help="create what is missing and set what differs")
    _json(topics)
    topics.set_defaults(run=_in("surroundings", "topics"))
    config = _command(nouns, "config", "the settings", ["config check", "--config shop.yml config show"])
    verbs = config.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=_Parser)
    check = _command(
        verbs, "check", "say whether the settings can be used", ["config check", "--config shop.yml config check"]
    )
    check.set_defaults(run=_in("surroundings", "check"))
    show = _command(verbs, "show", "print the settings in force, secrets masked", ["config show", "config show --json"])
    _json(show)
    show.set_defaults(run=_in("surroundings", "show"))
    doctor = _command(nouns, "doctor", "check everything this installation needs", ["doctor", "doctor --json"])
    _json(doctor)
    doctor.set_defaults(run=_in("surroundings", "doctor"))


def settings_file(arguments: argparse.Namespace) -> Path | None:
    """The settings file named, else the demo's for `up --demo`."""
    if arguments.config is None and getattr(arguments, "demo", False) and not DEFAULT_FILE.exists():
        return DEMO_FILE
    return cast("Path | None", arguments.config)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code says what became of it."""
    arguments = parser().parse_args(argv)
    set_up_logging()
    try:
        arguments.settings_file = settings_file(arguments)
        settings = load(arguments.settings_file, os.environ)
        return int(arguments.run(settings, arguments))
    except ConfigError as error:
        for problem in error.problems:
            say(problem)
        return USAGE
    except Unavailable as error:
        say(f"trackway: {error}")
        return UNREACHABLE
    except KeyboardInterrupt:
        return DONE
    except BrokenPipeError:
        # The reader of a pipe (`| head`) has gone: nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
