"""Where one event is: what the store remembers of it, and what the export ledger tells of its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from eventlog.timestamps import format_ms
from exporter.console.mask import mask_reason
from exporter.ledger import BATCH, REFUSED, ROW, RUN
from exporter.lookup import Lookup
from exporter.rows import key_of
from exporter.settings import ExporterSettings
from exporter.store import Store
from exporter.workflow import Workflow, find_workflow

# An order's lines that are looked for among the rows sent.
_LINES: Final = 200

# What the state of a batch says of the rows that the stream holds by it.
_ANSWERS: Final = {"done": "accepted", "sending": "not known yet", "unknown": "unknown"}


class Whereabouts:
    """Asks the store. One instance serves many questions."""

    def __init__(self, settings: ExporterSettings, store: Store) -> None:
        self._lookup = Lookup(store, settings)
        self._store = store
        self._workflows = [find_workflow(settings, name) for name in sorted(settings.workflows)]

    async def traces(self, event_id: str, source: str | None = None) -> list[dict[str, Any]]:
        """Each record of this id, oldest first: source, id, status, reason, topic, partition, offset, received_at and,
        of an accepted one, session_id, profile_id and `exports`: of each workflow whose rows carried it (or, of users,
        its person) the rows with run, batch, sent_at and the CDP's `answer`."""
        found = [one for one in await self._lookup.where(event_id) if source in (None, one["source"])]
        for trace in found:
            if trace["status"] == "accepted":
                trace["exports"] = await self._exports(trace)
        return found

    async def _exports(self, trace: Mapping[str, Any]) -> list[dict[str, Any]]:
        profile = await self._lookup.profile(trace["profile_id"]) if "profile_id" in trace else None
        root = profile["root"] if profile else {"kind": ""}
        labels = [orjson.dumps((trace["source"], trace["id"], line)).decode() for line in range(_LINES)]
        found = []
        async with self._store.read() as connection:
            for workflow in self._workflows:
                if workflow.settings.kind == "interaction":
                    rows = await _rows(connection, workflow, labels)
                elif workflow.settings.from_.kind == "profiles" and root["kind"] == "user":
                    rows = await _rows(connection, workflow, [root["value"]])
                else:
                    continue
                # A user's row is made of the whole profile: which events it already had is not written down.
                of = "the event" if workflow.settings.kind == "interaction" else "the profile, as last sent"
                found.append({"workflow": workflow.name, "kind": workflow.settings.kind, "of": of, "rows": rows})
        return found


async def _rows(connection: AsyncConnection, workflow: Workflow, labels: Sequence[str]) -> list[dict[str, Any]]:
    sent = (
        select(ROW.c.sent_at, ROW.c.run_id, ROW.c.batch, BATCH.c.state)
        .outerjoin(BATCH, and_(BATCH.c.run_id == ROW.c.run_id, BATCH.c.number == ROW.c.batch))
        .where(ROW.c.workflow_id == workflow.id, ROW.c.key.in_([key_of(label) for label in labels]))
        .order_by(ROW.c.sent_at)
    )
    found = [
        {
            "answer": _ANSWERS.get(row.state, "no longer known"),
            "sent_at": format_ms(row.sent_at),
            "run_id": row.run_id,
            "batch": row.batch,
        }
        for row in await connection.execute(sent)
    ]
    refused = (
        select(RUN.c.id, RUN.c.started_at, REFUSED.c.stage, REFUSED.c.code, REFUSED.c.column, REFUSED.c.reason)
        .join(RUN, RUN.c.id == REFUSED.c.run_id)
        .where(RUN.c.workflow_id == workflow.id, REFUSED.c.key.in_([label[:256] for label in labels]))
        .order_by(REFUSED.c.number)
    )
    for row in await connection.execute(refused):
        told = {"answer": "refused", "run_id": row.id, "run_started_at": format_ms(row.started_at), "by": row.stage}
        told |= {"code": row.code, "reason": mask_reason(row.reason)}
        found.append(told | ({"column": row.column} if row.column else {}))
    return found
