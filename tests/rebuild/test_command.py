"""`trackway rebuild` as people run it: what it prints and answers, and what is left when it is killed."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import text

from exporter.settings import ExporterSettings
from exporter.store import Store
from tests.rebuild.site import site_of
from tests.rebuild.test_mending import a_week
from tests.rules.events import RULES, SECRET, event
from tests.services.processes import start_process
from tests.trackway.processes import trackway

NOTHING_LEFT = "SELECT COUNT(*) FROM pg_namespace WHERE nspname LIKE 'trackway_rebuild%'"


def config_of(settings: ExporterSettings) -> Path:
    file = settings.data / "trackway.yml"
    lines = [f"data: {settings.data}", f"secret: {SECRET.decode()}", "rules: {trusted_sources: [crm]}"]
    if settings.store:
        lines += [f"store: {settings.store}", "admin: {token: tw_a_token_of_the_tests}"]
    lines.append("sources: {shop: {browser_key: wk_shop, origins: ['http://127.0.0.1:1'], server_key: sk_of_tests}}")
    file.write_text("\n".join(lines))
    return file


async def places_beside(settings: ExporterSettings, store: Store) -> int:
    """How many places of rebuilds there are."""
    if store.dialect == "sqlite":
        return len(list(settings.data.glob("store.db.trackway_rebuild_*[0-9a-f]")))
    async with store.read() as connection:
        return int(await connection.scalar(text(NOTHING_LEFT)) or 0)


def test_it_compares_mends_and_tells(tmp_path: Path) -> None:
    made = ExporterSettings(data=tmp_path, secret=SecretStr(SECRET.decode()), rules=RULES)

    async def scenario() -> None:
        async with site_of(made) as site:
            await a_week(site)
            config = config_of(made)
            async with site.shelf.store.write() as connection:
                await connection.execute(text("UPDATE counts SET n = n + 1"))
            told = await asyncio.to_thread(trackway, "rebuild", "--compare", "--json", config=config)
            assert told.returncode == 1
            rows = [json.loads(line) for line in told.stdout.splitlines()]
            # By the command's own clock sessions may differ too.
            assert "counts" in {row.get("table") for row in rows[:-1]}
            assert rows[-1]["same"] is False
            async with site.shelf.store.write() as connection:
                await connection.execute(text("UPDATE position SET first = first - 5"))
            short = await asyncio.to_thread(trackway, "rebuild", config=config)
            assert short.returncode == 2
            assert "--drop-history" in short.stderr
            assert (await asyncio.to_thread(trackway, "rebuild", "--drop-history", config=config)).returncode == 0
            same = await asyncio.to_thread(trackway, "rebuild", "--compare", config=config)
            assert same.returncode == 0, same.stdout + same.stderr
            assert "the same: made anew from" in same.stderr
            assert await places_beside(made, site.shelf.store) == 0

    asyncio.run(scenario())


def test_whoever_ends_it_leaves_the_store_whole(made: ExporterSettings) -> None:
    async def scenario() -> None:
        async with site_of(made) as site:
            await site.post([event(n * 100, anon=f"a{n % 150}", url="https://x.no/") for n in range(2400)])
            await site.fold(at_once=1000)
            await site.shelf.make_profiles()
            before = await site.shelf.profiles()
            command = [sys.executable, "-m", "trackway", "--config", str(config_of(made)), "rebuild"]
            for how, code in ((signal.SIGINT, 1), (signal.SIGKILL, -signal.SIGKILL)):
                process = start_process(command, made.data / "rebuild.log")
                while not await places_beside(made, site.shelf.store):
                    assert process.poll() is None, (made.data / "rebuild.log").read_text()
                    await asyncio.sleep(0.02)
                process.send_signal(how)
                assert await asyncio.to_thread(process.wait, 60) == code, (made.data / "rebuild.log").read_text()
                assert await places_beside(made, site.shelf.store) == (how is signal.SIGKILL)
                assert await site.shelf.profiles() == before
            # What is left is no hindrance to the next, and is removed.
            assert await site.compare() == []
            assert await places_beside(made, site.shelf.store) == 0

    asyncio.run(scenario())
