"""`rebuild`: the store made anew from the log, to compare it or to have it mended."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from typing import Any, Final

from eventlog.errors import Unavailable
from exporter.anew import Halted, HistoryGone
from exporter.beside import Busy, NotAllowed
from exporter.compare import Difference
from exporter.rebuild import Findings, HistoryShort, compare
from exporter.rebuild import rebuild as rebuild_store
from exporter.store import STORE_AWAY, Store
from trackway.printing import print_json, say
from trackway.settings import ConfigError, Settings
from trackway.stores import with_store

# How many differences are printed one by one.
_SHOWN: Final = 50
_TOLD_EVERY: Final = 0.2


def rebuild(settings: Settings, arguments: Namespace) -> int:
    """Compare (1 where something differs), or mend."""

    async def work(store: Store) -> int:
        task = asyncio.current_task()
        assert task is not None
        # Told to go, it removes what it has made beside the store first.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        progress = _Progress()
        try:
            if arguments.compare:
                return _tell_comparison(await compare(settings, store, progress.told), arguments.json)
            return _tell_rebuild(
                await rebuild_store(settings, store, progress.told, drop_history=arguments.drop_history),
                arguments.json,
            )
        except HistoryShort as error:
            raise ConfigError([str(error)]) from None
        except (Busy, NotAllowed) as error:
            raise ConfigError([str(error)]) from None
        except (Halted, HistoryGone) as error:
            say(f"trackway: not done, nothing was changed: {error}")
            return 1
        except STORE_AWAY as error:
            raise Unavailable(f"the store does not answer ({type(error).__name__})") from None
        except asyncio.CancelledError:
            say("interrupted: run it again")
            return 1

    return with_store(settings, work)


class _Progress:
    """A line that is written over and over, on a terminal only."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._last = 0.0
        self._begun = time.monotonic()

    def told(self, read: int, total: int) -> None:
        now = time.monotonic()
        if self._shown and (now - self._last > _TOLD_EVERY or read == total):
            self._last = now
            rate = read / max(now - self._begun, 0.001)
            end = "; profiles are made\n" if read == total else ""
            sys.stderr.write(f"\r{read:,} of {total:,} records read, {rate:,.0f}/s{end}")
            sys.stderr.flush()


def _tell_comparison(findings: Findings, as_json: bool) -> int:
    _print_differences(findings.differences, as_json)
    _tell_unmakeable(findings, as_json)
    same = not findings.differences and not findings.unmakeable
    if as_json:
        print_json({"records": findings.records, "differences": len(findings.differences), "same": same})
    elif same:
        say(f"the same: made anew from {findings.records:,} records of the log")
    else:
        say(f"{len(findings.differences):,} differences; `trackway rebuild` mends them")
    return 0 if same else 1


def _tell_rebuild(findings: Findings, as_json: bool) -> int:
    _print_differences(findings.differences, as_json)
    _tell_unmakeable(findings, as_json)
    if as_json:
        print_json({"records": findings.records, "made_again": len(findings.differences)})
    else:
        say(
            f"rebuilt from {findings.records:,} records of the log;"
            f" {len(findings.differences):,} profiles differed and are sent again"
        )
    return 1 if findings.unmakeable else 0


def _print_differences(differences: Sequence[Difference], as_json: bool) -> None:
    for one in differences if as_json else differences[:_SHOWN]:
        if as_json:
            print_json(_row(one))
        else:
            print(f"{one.table} {one.id}: {one.what}" if one.id else f"{one.table}: {one.what}", flush=True)
    if not as_json and len(differences) > _SHOWN:
        say(f"and {len(differences) - _SHOWN:,} more; --json prints all")


def _row(one: Difference) -> dict[str, Any]:
    row: dict[str, Any] = {"table": one.table, "what": one.what}
    return row | ({"profile_id": one.id, "sessions": list(one.sessions)} if one.id else {})


def _tell_unmakeable(findings: Findings, as_json: bool) -> None:
    for reason, n in sorted(findings.unmakeable.items()):
        if as_json:
            print_json({"cannot_be_made": n, "reason": reason})
        else:
            print(f"{n:,} profiles cannot be made: {reason}", flush=True)
