"""The stand-in for the CDP: what it takes, what it refuses, what it shows."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.exports.receiving import Cdp, Meet
from trackway.demo.cdp import KEPT_ROWS, create_stand_in


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        ("/stream/12345", {"x-streamid": "s"}, [{"id": 1, "tags": ["a"], "gone": None}], 200),
        ("/stream/12345", {}, [], 401),
        ("/stream/shop", {"x-streamid": "s"}, [], 404),
        ("/stream/12345", {"x-streamid": "s"}, {"id": 1}, 400),
        ("/stream/12345", {"x-streamid": "s"}, [1], 400),
        ("/stream/12345", {"x-streamid": "s"}, [{"map": {}}], 400),
        ("/faults", {}, [{"sttus": 1}], 400),
    ],
)
def test_it_takes_what_the_streaming_api_takes(
    meet: Meet, path: str, headers: dict[str, str], body: Any, status: int
) -> None:
    async def scenario(cdp: Cdp) -> None:
        assert (await cdp.http.post(path, json=body, headers=headers)).status_code == status

    meet(scenario)


def test_the_page_shows_rows_by_stream_newest_first_and_harmless(meet: Meet) -> None:
    async def scenario(cdp: Cdp) -> None:
        assert "Nothing has arrived yet" in (await cdp.http.get("/")).text
        await cdp.http.post("/stream/1", json=[{"id": "first"}, {"id": "<script>"}], headers={"x-streamid": "people"})
        draft = {"x-streamid": "shop", "x-isdraft": "true"}
        await cdp.http.post("/stream/1", json=[{"id": 2, "gone": None}], headers=draft)
        page = (await cdp.http.get("/")).text
        assert page.index("&lt;script&gt;") < page.index("<td>first</td>")
        assert '<span class="draft">draft</span> shop' in page
        assert '<td class="null">null</td>' in page
        # Nothing is fetched from elsewhere.
        assert "http://" not in page
        assert "https://" not in page

    meet(scenario)


def test_it_keeps_the_newest_rows_and_counts_all(meet: Meet) -> None:
    async def scenario(cdp: Cdp) -> None:
        rows = [{"id": number} for number in range(KEPT_ROWS + 5)]
        await cdp.http.post("/stream/1", json=rows, headers={"x-streamid": "s"})
        (stream,) = await cdp.streams()
        assert (stream["rows"], len(stream["newest"]), stream["newest"][0]) == (KEPT_ROWS + 5, KEPT_ROWS, {"id": 5})
        await cdp.forget()
        assert await cdp.streams() == []

    meet(scenario)


def test_it_works_below_a_path_also_where_the_connection_is_out_of_reach() -> None:
    async def main() -> None:
        mounted = Starlette(routes=[Mount("/demo/cdp", create_stand_in())])
        transport = httpx2.ASGITransport(mounted)
        async with httpx2.AsyncClient(transport=transport, base_url="http://stand-in") as http:
            headers = {"x-streamid": "s"}
            assert (await http.post("/demo/cdp/stream/1", json=[{"id": 1}], headers=headers)).status_code == 200
            assert (await http.get("/demo/cdp/rows.json")).json()["streams"][0]["rows"] == 1
            page = await http.get("/demo/cdp/")
            assert 'href="rows.json"' in page.text

    asyncio.run(main())


def test_it_runs_alone() -> None:
    command = [sys.executable, "-m", "trackway.demo.cdp", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    try:
        ready = process.stderr.readline()
        assert ready.startswith("Ready: http://127.0.0.1:")
        url = ready.split()[-1]
        assert httpx2.get(f"{url}rows.json").json() == {"streams": [], "refused_requests": 0}
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
