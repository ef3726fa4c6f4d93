"""The database cuts connections at work: the aggregator waits, nothing is lost, nothing counts twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import text

from eventlog.timestamps import now_ms
from exporter.lookup import Lookup
from exporter.settings import ExporterSettings
from exporter.store import open_store
from tests.aggregate.test_loop import folding, opened, until_folded
from tests.console.seeds import event, outgoing
from tests.services import Postgres

CUTS, EVENTS = 4, 200
_CUT = (
    "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'"
)


def test_connections_cut_at_work_are_waited_for(postgres: Postgres, tmp_path: Path) -> None:
    settings = ExporterSettings(data=tmp_path, store=postgres.new_database(), secret=SecretStr("a secret of the tests"))

    async def scenario() -> None:
        async with opened(settings) as (store, producer):
            other = await open_store(settings)
            at = now_ms()
            total = cut = 0
            async with asyncio.timeout(60), folding(settings, store):
                while cut < CUTS:
                    bodies = [event(at, anonymous_id=f"visitor-{n % 50}") for n in range(EVENTS)]
                    await producer.append([outgoing(settings, body) for body in bodies])
                    total += EVENTS
                    for _ in range(20):
                        await asyncio.sleep(0.005)
                        async with other.write() as connection:
                            cut += int(await connection.scalar(text(_CUT)) or 0)
                await until_folded(other, total)
            await other.close()
            lookup = Lookup(store, settings)
            counted = await lookup.counts(0, now_ms() + 60_000)
            assert Counter(status for _, _, status, n in counted for _ in range(n)) == Counter(accepted=total)
            profiles = await lookup.recent_profiles(100)
            assert sum(one["counts"]["events"] for one in profiles) == total

    asyncio.run(scenario())
