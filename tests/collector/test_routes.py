"""The paths of all protocols beside each other: each request has one that reads it, whatever else is served there."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
from starlette.applications import Starlette
from starlette.routing import Route as Page

from collector.app import create_app
from collector.openapi import reads
from collector.protocols import FAMILIES
from collector.routes import Found, Routes
from collector.settings import CollectorSettings
from eventlog.opening import open_producer
from exporter.console.routes import PAGES
from exporter.openapi import OPERATIONS
from tests.collector.running import ORIGIN, SERVER_KEY, Running, running, settings_in
from trackway.demo.shop import create_shop

ALL: Final = Routes(CollectorSettings()).all
READS: Final = reads(CollectorSettings())
INGEST: Final = [found for found in ALL if found.route.reply is None]
STRANGER = "https://stranger.example"


def segments_of(path: str) -> list[tuple[str, str] | str]:
    """What each segment is: a text, or what stands before and after its variable."""
    found: list[tuple[str, str] | str] = []
    for segment in path.strip("/").split("/"):
        before, brace, rest = segment.partition("{")
        found.append((before, rest.partition("}")[2]) if brace else segment)
    return found


def may_be_one(one: tuple[str, str] | str, other: tuple[str, str] | str) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one == other
    if isinstance(one, str):
        one, other = other, one
    assert isinstance(one, tuple)
    if isinstance(other, str):
        return other.startswith(one[0]) and other.endswith(one[1]) and len(other) > len(one[0] + one[1])
    before, after = zip(one, other, strict=True)
    return (before[0].startswith(before[1]) or before[1].startswith(before[0])) and (
        after[0].endswith(after[1]) or after[1].endswith(after[0])
    )


def meet(one: str, other: str) -> bool:
    """Whether a path fits both."""
    ours, theirs = segments_of(one), segments_of(other)
    return len(ours) == len(theirs) and all(map(may_be_one, ours, theirs))


@pytest.mark.parametrize(
    ("one", "other", "do"),
    [
        ("/{customer}.rsa", "/12345.rsa", True),
        ("/{customer}.rsa", "/{customer}.stream", False),
        ("/{customer}.rsa", "/e", False),
        ("/{customer}.rsa", "/{any}", True),
        ("/{customer}.rsa", "/.rsa", False),
        ("/{a}/{b}", "/v1/batch", True),
        ("/array/{key}/config", "/array/{key}/config.js", False),
        ("/api/s/{type}", "/api/s/s2s/{type}", False),
        ("/x", "/x/", True),
    ],
)
def test_paths_meet_where_one_request_may_be_both(one: str, other: str, do: bool) -> None:
    assert meet(one, other) is meet(other, one) is do


def test_no_two_routes_match_one_request() -> None:
    both = [
        (one.route.path, other.route.path)
        for one, other in combinations(ALL, 2)
        if set(one.route.methods) & set(other.route.methods) and meet(one.route.path, other.route.path)
    ]
    assert both == []
    # Nor is any of them what the collector answers itself.
    assert [(found.route.path, path) for found in ALL for path in READS if meet(found.route.path, path)] == []


def test_every_family_has_a_path_and_each_is_found_with_and_without_a_slash() -> None:
    assert {id(found.family) for found in INGEST} == {id(family) for family in FAMILIES}
    routes = Routes(CollectorSettings())
    for found in ALL:
        path = one_of(found)
        for asked in (path, path + "/"):
            served = routes.find(asked)
            assert served, asked
            assert {served[method] for method in found.route.methods} == {found}, asked


def test_the_pages_beside_them_are_not_hidden(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    collector = create_app(settings, open_producer(settings))
    shop = create_shop("wk_shop")
    assert isinstance(shop, Starlette)
    beside = [operation.path for operation in OPERATIONS] + [page.path for page in PAGES]
    beside += [page.path for page in shop.routes if isinstance(page, Page)]
    beside += [f"/demo/cdp/{name}" for name in ("", "stream/12345", "rows.json", "faults")]
    beside += ["/", "/console/login", "/console/static/console.js", "/metrics", "/openapi.json", "/nothing"]
    assert len(beside) > 30
    paths = [re.sub(r"\{\w+\}", "one", path) for path in beside if path not in READS]
    assert [path for path in paths if collector.serves(path)] == []


def one_of(found: Found) -> str:
    return re.sub(r"\{\w+\}", "12345", found.route.path)


def bodies() -> Iterator[tuple[str, Any]]:
    """Query and body of a good request of each family's; a path takes some of them."""
    yield "", {"type": "track", "event": "X", "userId": "u", "messageId": "m"}
    yield "", {"batch": [{"type": "track", "event": "X", "userId": "u"}]}
    yield "", {"batch": [{"event": "X", "distinct_id": "d", "properties": {}}]}
    yield "", [{"event": "X", "properties": {"distinct_id": "d", "$insert_id": "i", "time": 1_795_435_049}}]
    yield "", [{"$distinct_id": "d", "$set": {"a": 1}}]
    yield "", [{"$group_key": "k", "$group_id": "g", "$set": {"a": 1}}]
    yield "", {"client_id": "1.2", "events": [{"name": "x", "params": {}}]}
    yield "v=2&cid=1.2&en=x", b""
    yield "", {"specversion": "1.0", "id": "1", "source": "/s", "type": "x"}
    yield "p1=visit&p2=S-1&coid=0b8d0a2e-6a4e-4d43-9a25-3f5a3e1c8f10", b""
    schema = "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4"
    yield "", {"schema": schema, "data": [{"e": "pv", "p": "web", "tv": "js-4", "url": "https://shop.example/"}]}
    yield "e=pv&p=web&tv=js-4&url=https%3A%2F%2Fshop.example%2F", b""
    yield "schema=iglu%3Acom.acme%2Fx%2Fjsonschema%2F1-0-0&a=1", b""
    yield "e=pv&u=https%3A%2F%2Fshop.example%2F", b""
    yield "", {"n": "pageview", "u": "https://shop.example/", "d": "shop.example"}
    yield "", {"type": "event", "payload": {"website": "w", "hostname": "shop.example", "url": "/"}}
    yield "data=eyJldmVudCI6IlgiLCJwcm9wZXJ0aWVzIjp7ImRpc3RpbmN0X2lkIjoiZCJ9fQ%3D%3D", b""
    yield "data=eyIkZGlzdGluY3RfaWQiOiJkIiwiJHNldCI6eyJhIjoxfX0%3D", b""
    yield "data=eyIkZ3JvdXBfa2V5IjoiayIsIiRncm91cF9pZCI6ImciLCIkc2V0Ijp7ImEiOjF9fQ%3D%3D", b""


# What was for another path: no such JSON, no such format, or, to Snowplow's trackers, not to be sent again.
NOT_READ = {400, 415, 422}
# Where people are led on by a link of theirs: no SDK asks there.
LINKS = {"/r/tp2"}
ERROR = {"success", "code", "message", "error", "status"}


async def _try_each(one: Running, key: str) -> dict[tuple[str, str], dict[int, Any]]:
    """The answers of each path and method to every body, by status."""
    found: dict[tuple[str, str], dict[int, Any]] = {}
    for ingest in INGEST:
        for method in ingest.route.methods:
            answers = found[method, ingest.route.path] = {}
            for query, body in bodies():
                target = one_of(ingest) + (f"?{query}" if query else "")
                content = body if isinstance(body, bytes) else orjson.dumps(body)
                answer = await one.http.request(method, target, content=content, headers={"x-write-key": key})
                answers[answer.status_code] = answer
    return found


async def _with_keys(folder: Path) -> None:
    async with running(settings_in(folder)) as one:
        for path, answers in (await _try_each(one, "nobody")).items():
            assert 401 in answers, path
            assert set(answers) <= NOT_READ | {401}, path
            for status, answer in answers.items():
                told = answer.json()
                assert told.keys() >= ERROR, (path, told)
                assert (told["success"], told["status"]) == (False, status)
        assert await one.stored() == []
        for path, answers in (await _try_each(one, SERVER_KEY)).items():
            success = 302 if path[1] in LINKS else 200
            assert success in answers, (path, {status: answer.text for status, answer in answers.items()})
            # What was not for this path is refused whole, or event by event.
            assert set(answers) <= NOT_READ | {success}, path


def test_success_is_200_and_an_unknown_key_401_on_every_path(tmp_path: Path) -> None:
    asyncio.run(_with_keys(tmp_path))


async def _preflights(folder: Path) -> None:
    async with running(settings_in(folder)) as one:
        for found in ALL:
            for path in (one_of(found), one_of(found) + "/"):
                asked = "authorization,x-retry-count"
                headers = {"origin": ORIGIN, "access-control-request-headers": asked}
                told = await one.http.options(path, headers=headers | {"access-control-request-method": "POST"})
                assert told.status_code == 204, path
                assert told.headers["access-control-allow-origin"] == ORIGIN
                assert told.headers["access-control-allow-credentials"] == "true"
                assert told.headers["access-control-allow-headers"] == asked
                assert "origin" in told.headers["vary"].lower()
                stranger = await one.http.options(path, headers=headers | {"origin": STRANGER})
                assert "access-control-allow-origin" not in stranger.headers
                for method in ("GET", "POST", "HEAD", "PUT"):
                    answer = await one.http.request(method, path, headers={"origin": ORIGIN})
                    assert not 300 <= answer.status_code < 400, (method, path)
                    assert (answer.status_code == 405) == (method not in found.route.methods), (method, path)
                    if method in found.route.methods:
                        assert answer.headers["access-control-allow-origin"] == ORIGIN, (method, path)


def test_pages_may_send_to_every_path_and_are_never_sent_elsewhere(tmp_path: Path) -> None:
    asyncio.run(_preflights(tmp_path))
