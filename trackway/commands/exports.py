"""`run`, `runs list` and `schedule`: exports by hand, past, and to come."""

from __future__ import annotations

from argparse import Namespace

from eventlog.timestamps import now_ms
from exporter import ledger
from exporter.run import run_now
from exporter.schedule import next_ticks
from exporter.store import Store
from exporter.workflow import Mode, WorkflowError
from trackway.printing import print_json, print_rows, say
from trackway.settings import ConfigError, Settings
from trackway.stores import with_store

_COLUMNS = ("started_at", "workflow", "mode", "scope", "state", "read", "sent", "accepted", "outcome")


def run_workflow(settings: Settings, arguments: Namespace) -> int:
    """Run one export and wait for it; 1 where not everything went through."""

    async def work(store: Store) -> int:
        mode: Mode = "draft" if arguments.draft else "live"
        try:
            done = await run_now(settings, store, arguments.workflow, mode, arguments.full)
        except WorkflowError as error:
            raise ConfigError([str(error)]) from None
        if arguments.json:
            print_json(done)
        else:
            say(f"{done['workflow']} ({mode}, run {done['id']}): {done['outcome']}")
        return 0 if done["state"] == "succeeded" else 1

    return with_store(settings, work)


def list_runs(settings: Settings, arguments: Namespace) -> int:
    """Print the newest runs, newest first."""

    async def work(store: Store) -> int:
        rows = await ledger.list_runs(store, arguments.limit, arguments.workflow)
        print_rows(rows, _COLUMNS, arguments.json, "no run yet; `trackway run WORKFLOW --draft` makes one")
        return 0

    return with_store(settings, work)


def schedule(settings: Settings, arguments: Namespace) -> int:
    """Print when each workflow runs next."""
    rows = next_ticks(settings, now_ms())
    if not arguments.json:
        rows = [row | {"next": (row["next"] or ["-"])[0]} for row in rows]
    print_rows(
        rows, ("workflow", "kind", "mode", "in_words", "next", "local"), arguments.json, "no workflow is configured"
    )
    return 0
