"""The published OpenAPI document says what the collector does: no path, status or code more or less."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any, get_args

from starlette.types import Message

from collector.app import Collector, create_app
from collector.openapi import OPENAPI_PATH, document, reads
from collector.routes import Routes
from collector.settings import CollectorSettings, Limits
from collector.statuses import CODES, Code
from eventlog.opening import open_producer
from eventlog.telemetry import REFUSED_CODES
from tests.collector.running import SERVER_KEY, running, settings_in

TRACK = {"type": "track", "event": "x", "userId": "u"}
DOCS = Path("docs/limits.md")


def app_in(folder: Path) -> Collector:
    settings = settings_in(folder)
    return create_app(settings, open_producer(settings))


async def ask(app: Collector, method: str, path: str) -> int:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b"", "scheme": "http"}
    await app(scope, receive, send)
    return int(sent[0]["status"])


def test_it_lists_exactly_the_paths_that_are_served(tmp_path: Path) -> None:
    app = app_in(tmp_path)
    paths = document(CollectorSettings(), "0")["paths"]
    routed = {found.route.path for found in Routes(CollectorSettings()).all}
    assert set(paths) == routed | set(reads(CollectorSettings()))
    for path, operations in paths.items():
        one = re.sub(r"{\w+}", "x", path)
        statuses = {
            method: asyncio.run(ask(app, method.upper(), one)) for method in ("get", "post", "put", "delete", "patch")
        }
        served = {method for method, status in statuses.items() if status not in (404, 405)}
        assert served == set(operations), path
        assert app.serves(one)
        assert asyncio.run(ask(app, "GET", path + "/x/y")) == 404
        assert not app.serves(path + "/x/y")


def test_every_code_stands_in_it_with_its_status() -> None:
    made = document(CollectorSettings(), "0")
    assert set(made["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]) == set(CODES)
    assert set(CODES) == set(get_args(Code)) == set(REFUSED_CODES)
    named: set[str] = set()
    of_path = {found.route.path: found.family.STATUSES for found in Routes(CollectorSettings()).all}
    for path, operations in made["paths"].items():
        statuses = {code: status.status for code, status in CODES.items()} | dict(of_path.get(path, {}))
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                codes = re.findall(r"`(\w+)`: ", answer["description"])
                assert all(str(statuses[code]) == status for code in codes), (operation["operationId"], status)
                named |= set(codes)
    # Nothing in the document is asked for by a wrong path or method.
    assert named == set(CODES) - {"not_found", "method"}


def test_the_page_of_limits_names_every_code_and_every_limit() -> None:
    text = DOCS.read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d{3}) \|", text, re.MULTILINE))
    assert rows == {code: str(status.status) for code, status in CODES.items()}
    assert [name for name in Limits.model_fields if f"`limits.{name}`" not in text] == []


def test_what_it_says_of_an_answer_is_what_is_answered(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(settings_in(tmp_path)) as collector:
            published = (await collector.http.get(OPENAPI_PATH)).json()
            assert published["paths"] == document(CollectorSettings(), "0")["paths"]
            schemas = published["components"]["schemas"]
            batch = await collector.post("/v1/batch", {"writeKey": SERVER_KEY, "batch": [TRACK, 7]})
            receipt = schemas["Receipt"]["properties"]
            for shown in batch.json()["receipts"]:
                assert set(shown) <= set(receipt)
                assert shown["status"] in receipt["status"]["enum"]
                assert shown.get("reason", "duplicate") in receipt["reason"]["enum"]
            problem: dict[str, Any] = (await collector.post("/v1/batch", b"{")).json()
            assert set(problem) == set(schemas["Problem"]["required"])
            for path, read in reads(collector.settings).items():
                answer = await collector.http.get(path)
                assert (answer.status_code, answer.headers["content-type"]) == (200, read.media_type)
                assert answer.headers["x-frame-options"] == "DENY"
                assert "default-src 'none'" in answer.headers["content-security-policy"]

    asyncio.run(scenario())
