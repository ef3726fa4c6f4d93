"""The command line. Exit codes: 0 done, 1 a finding, 2 usage or configuration, 3 unreachable."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from eventlog.errors import Unavailable
from eventlog.telemetry import set_up_logging
from trackway import __version__, commands
from trackway.printing import say
from trackway.settings import ConfigError, load

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
    collect = _command(nouns, "collect", "run a collector", ["collect", "--config shop.yml collect"])
    collect.set_defaults(run=commands.collect)
    _add_events(nouns)
    _add_surroundings(nouns)
    return top


def _json(one: argparse.ArgumentParser) -> None:
    one.add_argument("--json", action="store_true", help="one JSON object a line")


def _add_events(nouns: object) -> None:
    events = _command(nouns, "events", "read the log", ["events tail --follow", "events tail --from 15m --name buy"])
    verbs = events.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=_Parser)
    tail = _command(
        verbs, "tail", "print events as they stand in the log", ["events tail", "events tail --follow --name buy"]
    )
    tail.add_argument("--from", dest="start", default="15m", metavar="start|TIME|15m|now", help="where to begin (15m)")
    tail.add_argument("--follow", action="store_true", help="go on until interrupted")
    tail.add_argument("--source", help="only this source")
    tail.add_argument("--name", help="only events of this name")
    tail.add_argument(
        "--status", default="accepted", choices=["accepted", "rejected", "filtered", "duplicate"], help="(accepted)"
    )
    tail.add_argument("--trace", help="only events with this trace code")
    _json(tail)
    tail.add_argument("--pii", action="store_true", help="show personal data in clear; needs --reason")
    tail.add_argument("--reason", default="", help="why personal data is looked at; goes to the process's log")
    tail.set_defaults(run=commands.events_tail)


def _add_surroundings(nouns: object) -> None:
    topics = _command(nouns, "topics", "check the topics, or create them", ["topics", "topics --apply"])
    topics.add_argument("--apply", action="store_true", help="create what is missing and set what differs")
    _json(topics)
    topics.set_defaults(run=commands.topics)
    config = _command(nouns, "config", "the settings", ["config check", "--config shop.yml config show"])
    verbs = config.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=_Parser)
    check = _command(
        verbs, "check", "say whether the settings can be used", ["config check", "--config shop.yml config check"]
    )
    check.set_defaults(run=commands.config_check)
    show = _command(verbs, "show", "print the settings in force, secrets masked", ["config show", "config show --json"])
    _json(show)
    show.set_defaults(run=commands.config_show)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code says what became of it."""
    arguments = parser().parse_args(argv)
    set_up_logging()
    try:
        settings = load(arguments.config, os.environ)
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
