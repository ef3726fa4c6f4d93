"""An installation under test: a store, an embedded log whose events are folded at once, the stand-in for the CDP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import text

from eventlog.event import Event
from eventlog.log import Outgoing, Producer, Record
from eventlog.opening import open_producer
from eventlog.timestamps import now_ms, parse_ms
from exporter.ledger import show_run
from exporter.run import run_now
from exporter.settings import ExporterSettings
from exporter.store import Store, open_store
from exporter.workflow import Mode, WorkflowSettings
from tests.appending import append_all
from tests.exports.receiving import Cdp, received
from tests.rules.events import event
from tests.store.folding import TOPIC, Shelf

STREAM = "00000000-00000000-00000000-00000001"
GRANTED = {"analytics": True, "third_party_sharing": True}
DENIED = {"analytics": True, "third_party_sharing": False}


def with_workflow(settings: ExporterSettings, **workflow: Any) -> ExporterSettings:
    """The settings with one workflow, `it`."""
    one = WorkflowSettings.model_validate({"stream_id": STREAM, "require_draft": False} | workflow)
    return settings.model_copy(update={"workflows": {"it": one}})


@dataclass
class Site:
    """What tests do with it."""

    settings: ExporterSettings
    store: Store
    cdp: Cdp
    _producer: Producer
    _offsets: dict[Any, int | None] = field(default_factory=dict)
    _unfolded: list[Record] = field(default_factory=list)

    async def append(self, *events: Event) -> None:
        """Have the events in the log, and folded with what happens next."""
        outgoing = [
            Outgoing(
                TOPIC, str(one.get("anonymous_id", "-")).encode(), orjson.dumps(one), (), parse_ms(one["received_at"])
            )
            for one in events
        ]
        positions = await append_all(self._producer, outgoing)
        self._unfolded += [
            Record(at.partition, at.offset, one.key, one.value, one.headers, one.timestamp)
            for one, at in zip(outgoing, positions, strict=True)
        ]

    async def happen(self, *events: Event) -> None:
        """Have the events in the log, in the store and in profiles."""
        if events:
            await self.append(*events)
        records, self._unfolded = self._unfolded, []
        shelf = Shelf(self.store, self.settings, self.settings.rules, now_ms(), self._offsets)
        await shelf.apply(records)
        await shelf.make_profiles()

    async def user(self, user: str, /, at: int = 0, consent: dict[str, bool] = GRANTED, **traits: Any) -> None:
        """A user says who they are."""
        await self.happen(event(at, "identify", user=user, anon=f"of-{user}", traits=traits, consent=consent))

    async def export(self, mode: Mode = "live", *, full: bool = False, **workflow: Any) -> dict[str, Any]:
        """Run the workflow once, with other settings if given."""
        return await run_now(self.settings_with(**workflow), self.store, "it", mode, full)

    def settings_with(self, **workflow: Any) -> ExporterSettings:
        """The settings with these of the workflow changed."""
        if not workflow:
            return self.settings
        changed = self.settings.workflows["it"].model_copy(update=workflow)
        return self.settings.model_copy(update={"workflows": {"it": changed}})

    async def rows(self, *, draft: bool = False) -> list[dict[str, Any]]:
        """What reached the workflow's stream."""
        return await self.cdp.rows(STREAM, draft=draft)

    async def shown(self, run: dict[str, Any]) -> dict[str, Any]:
        """The run with batches and refused rows."""
        found = await show_run(self.store, run["id"])
        assert found is not None
        return found

    async def query(self, statement: str) -> list[Any]:
        """Rows of the store's tables."""
        async with self.store.write() as connection:
            done = await connection.execute(text(statement))
            return [tuple(row) for row in done] if done.returns_rows else []


Scenario = Callable[[Site], Awaitable[None]]


def on_site(settings: ExporterSettings, scenario: Scenario, **workflow: Any) -> None:
    """Run a scenario on a site whose workflow is of these settings."""

    async def main() -> None:
        async with at_site(settings, **workflow) as site:
            await scenario(site)

    asyncio.run(main())


@contextlib.asynccontextmanager
async def at_site(settings: ExporterSettings, **workflow: Any) -> AsyncIterator[Site]:
    async with received(settings.cdp["default"].endpoint) as cdp:
        made = with_workflow(settings, **workflow)
        producer = open_producer(made)
        await producer.start()
        store = await open_store(made)
        await store.migrate()
        try:
            yield Site(made, store, cdp, producer)
        finally:
            await store.close()
            await producer.stop()


def ndjson(folder: Path, *items: Any) -> str:
    """A file of items, as `from` names it."""
    file = folder / "items.ndjson"
    file.write_bytes(b"".join((one if isinstance(one, bytes) else orjson.dumps(one)) + b"\n" for one in items))
    return f"ndjson:{file}"


def balanced(run: dict[str, Any]) -> bool:
    """Whether a live run's counts add up."""
    read = run["unchanged"] + run["suppressed"] + run["invalid"] + run["sent"]
    sent = run["accepted"] + run["refused"] + run["unknown"]
    return (read, sent) == (run["read"], run["sent"])
