"""What is said when the log, the store or Trackway itself fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from exporter.app import create_admin_app
from exporter.console.auth import SignIn
from exporter.settings import ExporterSettings
from exporter.store import Store, open_store
from tests.console.site import SECRET

TOKEN = "tw_a-token-of-the-tests"


@asynccontextmanager
async def admin(folder: Path, **settings: Any) -> AsyncIterator[tuple[httpx2.AsyncClient, Store]]:
    """A signed-in browser of an admin listener in this process; it carries the token too."""
    made = ExporterSettings(data=folder, secret=SECRET, **settings)
    store = await open_store(made)
    await store.migrate()
    sign_in = SignIn(TOKEN, SECRET.get_secret_value())
    app = create_admin_app(made, store, sign_in=sign_in)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
        assert (await client.get(sign_in.sign_in_link("http://127.0.0.1"))).status_code == 303
        yield client, store
    await app.close()
    await store.close()


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await scenario()

    asyncio.run(main())


def test_a_log_that_does_not_answer_is_said_in_words_and_the_store_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")

    async def scenario() -> None:
        async with admin(tmp_path, log=f"sqlite:///{tmp_path / 'file'}") as (client, _):
            page = await client.get("/console/live")
            assert (page.status_code, page.headers["retry-after"]) == (503, "5")
            assert "The event log does not answer" in page.text
            assert (await client.get("/console/live.json")).json()["error"]["where"] == "log"
            assert (await client.get("/console/profiles")).status_code == 200

    run(scenario)


def test_a_store_that_does_not_answer_is_said_in_words_and_live_goes_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with admin(tmp_path) as (client, store):
            assert (await client.get("/ready")).status_code == 200
            async with store.write() as connection:
                for table in ("profile", "position"):
                    await connection.execute(text(f"DROP TABLE {table}"))
            got = await client.get("/api/v1/profiles")
            assert (got.status_code, got.json()["error"]["where"]) == (503, "store")
            assert "The store does not answer" in (await client.get("/console/profiles")).text
            ready = await client.get("/ready")
            assert (ready.status_code, ready.json()["reason"]) == (503, "the store does not answer")
            assert (await client.get("/console/live")).status_code == 200

    run(scenario)


@pytest.mark.parametrize("path", ["/console/profiles", "/api/v1/profiles"])
def test_a_failure_of_ours_has_a_number_that_is_in_the_log_and_nothing_personal_is(tmp_path: Path, path: str) -> None:
    async def scenario() -> None:
        async with admin(tmp_path) as (client, store):
            body = orjson.dumps({"root": "kari@mail.example"}).decode()[:-1]
            async with store.write() as connection:
                row = {"id": "1", "body": body}
                statement = (
                    "INSERT INTO profile (id, kind, value, revision, digest, changed_at, body)"
                    " VALUES (:id, 'user', '1', 1, 1, 1, :body)"
                )
                await connection.execute(text(statement), row)
            with capture_logs() as logs:
                got = await client.get(path)
            assert got.status_code == 500
            assert "default-src 'none'" in got.headers["content-security-policy"]
            (line,) = logs
            assert line["request"] in got.text
            assert line["error"] == "JSONDecodeError"
            assert any("lookup.py" in frame for frame in line["frames"])
            assert "kari" not in got.text + str(line)

    run(scenario)
