"""Which exports fail, and since when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import bindparam, text

from exporter.store import Store

# Of each workflow: when its last good live run ended, and when the first that failed after that one did. A partial run
# has delivered what was right, and few rows were wrong: where many are, it has failed.
_STATEMENT: Final = text(
    "WITH good AS (SELECT workflow, MAX(ended_at) AS at FROM export_run"
    " WHERE mode = 'live' AND state IN ('succeeded', 'partial') GROUP BY workflow)"
    " SELECT run.workflow, COALESCE(MAX(good.at), 0),"
    " MIN(CASE WHEN run.state = 'failed' AND run.ended_at > COALESCE(good.at, 0) THEN run.ended_at END)"
    " FROM export_run run LEFT JOIN good ON good.workflow = run.workflow"
    " WHERE run.mode = 'live' AND run.workflow IN :names GROUP BY run.workflow"
).bindparams(bindparam("names", expanding=True))


class Failing(NamedTuple):
    """For how many seconds a workflow has failed (0: it does not), and when it last succeeded (ms; 0: never)."""

    seconds: float
    last_success: int


async def failing_workflows(store: Store, workflows: Sequence[str], now: int) -> dict[str, Failing]:
    """Every workflow of the settings, as its live runs in the ledger tell."""
    found = dict.fromkeys(workflows, Failing(0.0, 0))
    if not workflows:
        return found
    async with store.read() as connection:
        for name, success, failed in await connection.execute(_STATEMENT, {"names": list(workflows)}):
            found[name] = Failing(0.0 if failed is None else max(0, now - failed) / 1000, success)
    return found
