"""The tracker's script as a page gets it: which add-ons, in which order, compressed, cached, checked by its hash."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
from collections.abc import Awaitable, Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import brotli
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.app import create_app
from collector.openapi import document, reads
from collector.script import ADD_ONS, DIST, Script, UnknownAddOn
from eventlog.opening import open_producer
from tests.collector.running import ORIGIN, Running, running, settings_in

CORE = b"(()=>{core})();\n"


def dist_in(folder: Path, names: tuple[str, ...] = ADD_ONS) -> Script:
    """The served script of made-up files, in a manifest of another order than theirs."""
    files = {"core": CORE} | {name: b"%s();\n" % name.encode() for name in reversed(names)}
    for name, content in files.items():
        (folder / f"{name}.js").write_bytes(content)
    told = {"version": "1", "files": {name: {"file": f"{name}.js"} for name in files}}
    (folder / "manifest.json").write_bytes(orjson.dumps(told))
    return Script(folder)


def test_add_ons_stand_in_one_order_whatever_was_asked_for(tmp_path: Path) -> None:
    script = dist_in(tmp_path)
    assert script.add_ons == ("shop", "cmp", "engage", "auto", "debug")
    for asked in permutations(("debug", "engage", "shop", "engage")):
        joined = script.joined(asked)
        assert joined.body == CORE + b"shop();\nengage();\ndebug();\n"
        assert joined is script.joined(("shop", "engage", "debug"))
    assert script.joined().body == CORE
    assert script.joined(ADD_ONS).body == CORE + b"".join(b"%s();\n" % name.encode() for name in ADD_ONS)


def test_its_integrity_is_the_hash_of_the_bytes_that_are_served(tmp_path: Path) -> None:
    script = dist_in(tmp_path)
    for asked in ((), ("auto",), ADD_ONS):
        served = script.answer(b"with=" + ",".join(asked).encode(), {}).body
        assert script.integrity(asked) == "sha384-" + base64.b64encode(hashlib.sha384(served).digest()).decode()


def test_what_stands_in_the_repository_is_served_as_its_manifest_says() -> None:
    script, told = Script(), orjson.loads((DIST / "manifest.json").read_bytes())["files"]
    assert script.integrity() == told["core"]["integrity"]
    assert set(told) == {"core", *script.add_ons}
    for name in script.add_ons:
        core, own = ((DIST / f"{one}.js").read_bytes() for one in ("core", name))
        assert script.joined([name]).body == core.rstrip() + b"\n" + own


def test_no_file_declares_anything_outside_its_own_function() -> None:
    for name in ("core", *Script().add_ons):
        code = (DIST / f"{name}.js").read_bytes().strip()
        assert (code[:6], code[-5:]) == (b"(()=>{", b"})();"), name


@pytest.mark.parametrize("asked", ["tracker", "core", "Engage", "shop,../core", "<script>", "shop,,x"])
def test_an_unknown_add_on_is_refused_with_those_there_are(asked: str, tmp_path: Path) -> None:
    script = dist_in(tmp_path, ("shop", "auto"))
    with pytest.raises(UnknownAddOn):
        script.joined(asked.split(","))
    answer = script.answer(f"with={asked}".encode(), {})
    told = orjson.loads(answer.body)
    assert (answer.status, told["code"]) == (404, "not_found")
    assert "known: shop, auto" in told["message"]
    assert "<" not in told["message"]


@given(st.binary(max_size=80), st.text(max_size=40), st.text(max_size=40))
def test_no_query_and_no_header_breaks_it(query: bytes, coding: str, tag: str) -> None:
    script, headers = Script(), {b"accept-encoding": coding.encode(), b"if-none-match": tag.encode()}
    for asked in (query, b"with=" + query):
        assert script.answer(asked, headers).status in (200, 304, 404)


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip", "gzip"),
        ("br;q=0, gzip;q=0.5", "gzip"),
        ("GZIP ; Q=1", "gzip"),
        ("*", "br"),
        ("*;q=0", None),
        ("br;q=0.000, *;q=0.1", "gzip"),
        ("deflate, zstd", None),
        ("brotli, xgzip", None),
        ("", None),
    ],
)
def test_it_is_compressed_as_the_browser_can_read_it(accepted: str, coding: str | None, tmp_path: Path) -> None:
    script = dist_in(tmp_path)
    answer = script.answer(b"with=shop", {b"accept-encoding": accepted.encode()})
    headers = dict(answer.headers)
    assert headers.get(b"content-encoding", b"").decode() == (coding or "")
    unpack: dict[str | None, Callable[[bytes], Any]] = {"br": brotli.decompress, "gzip": gzip.decompress, None: bytes}
    assert unpack[coding](answer.body) == CORE + b"shop();\n"
    assert headers[b"vary"] == b"Accept-Encoding"


def test_who_has_it_gets_it_no_second_time(tmp_path: Path) -> None:
    script = dist_in(tmp_path)

    def asked(query: bytes, known: bytes, accepted: bytes = b"br") -> int:
        return script.answer(query, {b"accept-encoding": accepted, b"if-none-match": known}).status

    tag = dict(script.answer(b"", {b"accept-encoding": b"br"}).headers)[b"etag"]
    assert tag.startswith(b'"')
    assert tag.endswith(b'-br"')
    for known in (tag, b"W/" + tag, b'"other", W/' + tag, b"*", b" " + tag + b" ,"):
        assert asked(b"", known) == 304, known
    for known in (b"", b'"other"', tag.strip(b'"'), tag[:-1]):
        assert asked(b"", known) == 200, known
    # Another file, and the same in another compression, are other bytes.
    assert asked(b"with=shop", tag) == asked(b"", tag, b"gzip") == asked(b"", tag, b"") == 200


def serve(folder: Path, scenario: Callable[[Running], Awaitable[None]], **changes: Any) -> None:
    async def run() -> None:
        async with running(settings_in(folder, **changes)) as collector:
            await scenario(collector)

    asyncio.run(run())


def test_pages_of_any_host_may_load_it_with_integrity(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        for path in ("/tw/t.js", "/tracker.js"):
            answer = await collector.http.get(path, headers={"origin": "https://elsewhere.example"})
            assert answer.status_code == 200
            assert answer.headers["access-control-allow-origin"] == "*"
            assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
            assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
            assert answer.headers["cache-control"] == "public, max-age=3600"
            assert answer.content == (DIST / "core.js").read_bytes()
            unchanged = await collector.http.get(path, headers={"if-none-match": answer.headers["etag"]})
            assert (unchanged.status_code, unchanged.content) == (304, b"")
            head = await collector.http.head(path)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-length"] == answer.headers["content-length"]
            missing = await collector.http.get(path + "?with=nothing")
            assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
        assert (await collector.http.get("/tw/tracker.mjs")).status_code == 404
        assert (await collector.http.post("/tw/t.js")).status_code == 404

    serve(tmp_path, scenario)


def test_it_and_its_events_have_a_path_of_the_sites_own(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        served = [await collector.http.get(path) for path in ("/shop/a/t.js", "/tw/t.js", "/tracker.js")]
        assert {(answer.status_code, answer.content) for answer in served} == {(200, (DIST / "core.js").read_bytes())}
        message = {"type": "track", "event": "x", "anonymousId": "visitor-1"}
        message["context"] = {"consent": {"categoryPreferences": {"analytics": True}}}  # type: ignore[assignment]
        for path in ("/shop/a/e", "/shop/a/e/", "/tw/e"):
            for body in ({"batch": [message]}, message):
                answer = await collector.post(path, {"writeKey": "wk_shop", **body}, {"origin": ORIGIN})
                assert answer.json()["receipts"][0]["status"] == "accepted", path
        assert [event["protocol"] for event in await collector.stored()] == ["trackway"] * 6
        published: dict[str, Any] = (await collector.http.get("/schema/openapi.json")).json()
        assert {"/shop/a/t.js", "/shop/a/e", "/tw/t.js", "/tw/e", "/tracker.js"} <= set(published["paths"])

    serve(tmp_path, scenario, tracker={"prefix": "/shop/a"})


@pytest.mark.parametrize("prefix", ["", "tw", "/", "/a/", "/a b", "/{a}", "/a?b", "//a"])
def test_a_prefix_is_a_path(prefix: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"tracker\.prefix"):
        settings_in(tmp_path, tracker={"prefix": prefix})


@pytest.mark.parametrize("prefix", ["/i/v0", "/api/s"])
def test_a_prefix_hides_no_protocol(prefix: str, tmp_path: Path) -> None:
    settings = settings_in(tmp_path, tracker={"prefix": prefix})
    with pytest.raises(ValueError, match=f"POST {prefix}/e is routed twice"):
        create_app(settings, open_producer(settings))


def test_the_document_names_what_the_query_may_have(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, tracker={"prefix": "/x"})
    assert set(settings.tracker.scripts) <= set(reads(settings))
    for path in settings.tracker.scripts:
        operation = document(settings, "0")["paths"][path]["get"]
        assert [one["name"] for one in operation["parameters"]] == ["with"]
        assert {"200", "304", "404"} <= set(operation["responses"])


def test_over_http_it_is_compressed(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        answer = await collector.http.get("/tw/t.js", headers={"accept-encoding": "br"})
        assert answer.headers["content-encoding"] == "br"
        assert answer.headers["vary"] == "Accept-Encoding"
        assert answer.content == (DIST / "core.js").read_bytes()

    serve(tmp_path, scenario)
