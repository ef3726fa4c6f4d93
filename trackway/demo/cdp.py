"""A stand-in for the CDP: takes what its Streaming API takes, keeps the newest of it in memory and shows it.

    python -m trackway.demo.cdp --listen 127.0.0.1:8090

`POST /stream/{account}` takes rows, `GET /` is a page, `GET /rows.json` the same for programs, `DELETE /rows.json`
forgets it all. `POST /faults` has it misbehave: a list of faults, gone through in order; one without `times` stays.

    [{"status": 503, "retry_after": 1, "times": 2}, {"status": 400, "refuse": "DK"}]

It knows no dataflow, so it cannot tell persons from interactions: it shows rows as they came.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import hashlib
import html
import re
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import orjson
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from eventlog.security_headers import FOR_PAGES
from eventlog.timestamps import format_ms, now_ms
from trackway.printing import say
from trackway.serving import address_of, bind, serve, stopping

# Of each stream; what is older is counted only.
KEPT_ROWS: Final = 10_000
_SHOWN_ROWS: Final = 50
_MAX_BODY: Final = 8 * 1024 * 1024
_CONNECTION: Final = "trackway.connection"


@dataclass(slots=True)
class Fault:
    """One way to misbehave. `times`: for so many requests, 0 for ever. `keep`: whether the rows are kept all the same,
    as when an answer is lost. `drop` cuts the connection without an answer, after `delay` seconds. `refuse`: only
    requests in which some row has this value; `max_rows`: only those with more rows."""

    status: int = 200
    retry_after: int | str | None = None
    delay: float = 0.0
    drop: bool = False
    keep: bool = False
    refuse: Any = None
    max_rows: int | None = None
    times: int = 0

    def concerns(self, rows: list[dict[str, Any]]) -> bool:
        """Whether it befalls a request with these rows."""
        if self.refuse is not None and not any(self.refuse in row.values() for row in rows):
            return False
        return self.max_rows is None or len(rows) > self.max_rows


@dataclass(slots=True)
class StreamOf:
    """What arrived in one stream, drafts and live rows apart. `newest` is first come, first in."""

    account: str
    stream: str
    draft: bool
    requests: int = 0
    rows: int = 0
    last_at: str = ""
    newest: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT_ROWS))


class StandIn:
    """The memory of one stand-in. `refused` counts requests that were not answered with success."""

    def __init__(self) -> None:
        self.streams: dict[tuple[str, str, bool], StreamOf] = {}
        self.faults: list[Fault] = []
        self.refused = 0

    def take(self, account: str, stream: str, draft: bool, rows: list[dict[str, Any]]) -> None:
        """Keep rows that arrived."""
        held = self.streams.setdefault((account, stream, draft), StreamOf(account, stream, draft))
        held.requests += 1
        held.rows += len(rows)
        held.last_at = format_ms(now_ms())
        held.newest.extend(rows)

    def next_fault(self, rows: list[dict[str, Any]]) -> Fault | None:
        """What befalls a request with these rows; it counts down the faults it uses."""
        if not self.faults or not self.faults[0].concerns(rows):
            return None
        fault = self.faults[0]
        if fault.times:
            fault.times -= 1
            if not fault.times:
                self.faults.pop(0)
        return fault

    async def receive(self, request: Request) -> Response:
        """`POST /stream/{account}`."""
        account, stream = request.path_params["account"], request.headers.get("x-streamid", "")
        if not account.isdigit():
            return self._refusal(404, "an account is a number")
        if not stream:
            return self._refusal(401, "the header x-streamid is missing")
        rows = _rows(await request.body())
        if isinstance(rows, str):
            return self._refusal(400, rows)
        draft = request.headers.get("x-isdraft", "").lower() == "true"
        fault = self.next_fault(rows)
        if fault is None or fault.keep or (fault.status < 300 and not fault.drop):
            self.take(account, stream, draft, rows)
        if fault is None:
            return JSONResponse({"received": len(rows)})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(fault.delay):
                await _gone(request)
        if fault.drop:
            self.refused += 1
            await _cut(request)
        if fault.status < 300 or fault.drop:
            return JSONResponse({"received": len(rows)}, fault.status)
        headers = {} if fault.retry_after is None else {"retry-after": str(fault.retry_after)}
        return self._refusal(fault.status, f"a fault was asked for; the first row is {rows[:1]}", headers)

    def _refusal(self, status: int, message: str, headers: dict[str, str] | None = None) -> Response:
        self.refused += 1
        return JSONResponse({"message": message}, status, headers)

    async def misbehave(self, request: Request) -> Response:
        """`POST /faults`: a list of faults, or one."""
        try:
            asked = orjson.loads(await request.body())
            self.faults = [Fault(**one) for one in (asked if isinstance(asked, list) else [asked])]
        except (orjson.JSONDecodeError, TypeError) as error:
            return JSONResponse({"message": f"no list of faults: {error}"}, 400)
        return JSONResponse({"faults": len(self.faults)})

    async def forget(self, _: Request) -> Response:
        """`DELETE /rows.json`: begin anew."""
        self.streams.clear()
        self.faults.clear()
        self.refused = 0
        return Response(status_code=204)

    async def listed(self, _: Request) -> Response:
        """`GET /rows.json`: the streams, their rows oldest first."""
        streams = [{**asdict(one), "newest": list(one.newest)} for one in self.streams.values()]
        return JSONResponse({"streams": streams, "refused_requests": self.refused})

    async def page(self, _: Request) -> Response:
        """`GET /`."""
        return HTMLResponse(_PAGE.replace("{region}", self._region()), headers=_HEADERS)

    def _region(self) -> str:
        if not self.streams:
            return "<p>Nothing has arrived yet. <code>trackway run WORKFLOW --draft</code> sends a sample.</p>"
        newest_first = sorted(self.streams.values(), key=lambda one: one.last_at, reverse=True)
        return "".join(_section(one) for one in newest_first)


def create_stand_in() -> ASGIApp:
    """The app, with a memory of its own; it may be mounted below any path."""
    it = StandIn()
    app = Starlette(
        routes=[
            Route("/", it.page),
            Route("/stream/{account}", it.receive, methods=["POST"]),
            Route("/rows.json", it.listed),
            Route("/rows.json", it.forget, methods=["DELETE"]),
            Route("/faults", it.misbehave, methods=["POST"]),
        ]
    )

    async def with_connection(scope: Scope, receive: Receive, send: Send) -> None:
        # uvicorn's `send` is a method of the request's cycle, which knows the connection; `drop` cuts it.
        cycle = getattr(send, "__self__", None)
        await app({**scope, _CONNECTION: getattr(cycle, "transport", None)}, receive, send)

    return with_connection


async def _cut(request: Request) -> None:
    """End the connection without an answer: cut it, or where it is out of reach wait until the client has gone."""
    connection: asyncio.Transport | None = request.scope[_CONNECTION]
    if connection is not None:
        connection.abort()
    await _gone(request)


async def _gone(request: Request) -> None:
    """Wait until the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _rows(body: bytes) -> list[dict[str, Any]] | str:
    """The rows of a body, or what is wrong with it."""
    if len(body) > _MAX_BODY:
        return "the body is too large"
    try:
        rows = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "the body is no JSON"
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return "the body must be an array of objects"
    if any(isinstance(value, dict) for row in rows for value in row.values()):
        return "a row may not hold objects"
    return rows


def _section(one: StreamOf) -> str:
    """What a stream got, as HTML."""
    rows = list(one.newest)[: -_SHOWN_ROWS - 1 : -1]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    kind = "draft" if one.draft else "live"
    head = "".join(f'<th scope="col">{html.escape(column)}</th>' for column in columns)
    body = "".join("<tr>" + "".join(_cell(row, column) for column in columns) + "</tr>" for row in rows)
    return (
        f'<section><h2><span class="{kind}">{kind}</span> {html.escape(one.stream)}</h2>'
        f"<p>Account {html.escape(one.account)} · rows: {one.rows:,} · requests: {one.requests:,} · latest:"
        f" {one.last_at[11:19]} UTC · newest first{'' if len(rows) == one.rows else f', {len(rows)} shown'}</p>"
        f'<div class="wide" tabindex="0" role="region" aria-label="rows of {html.escape(one.stream)}"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></section>"
    )


def _cell(row: dict[str, Any], column: str) -> str:
    if column not in row:
        return "<td></td>"
    value = row[column]
    if value is None:
        return '<td class="null">null</td>'
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return f"<td>{html.escape(text)}</td>"


_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>CDP stand-in</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<noscript><meta http-equiv="refresh" content="3"></noscript>
<style>
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 20%, transparent) }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; padding: 0 1rem; max-width: 75rem }
h1 { margin: 0 } h2 { font: 600 1.1rem ui-monospace, monospace; margin: 2rem 0 .25rem; overflow-wrap: anywhere }
p { margin: .25rem 0 .75rem } .wide { overflow-x: auto; border: 1px solid var(--line); border-radius: .5rem }
table { border-collapse: collapse; font-size: .875rem; width: 100% }
th, td { padding: .35rem .75rem; text-align: left; white-space: nowrap; border-bottom: 1px solid var(--line) }
tr:last-child td { border-bottom: 0 } .null { opacity: .6; font-style: italic }
.live, .draft { font: 600 .8rem system-ui; padding: .1rem .6rem; border-radius: 1rem; color: #fff; background: #176b3a }
.draft { background: #7a4b00 }
</style></head><body>
<h1>CDP stand-in</h1>
<p>What reached the Streaming API: rows as they came, by stream. <a href="rows.json">As JSON</a></p>
<main id="region" aria-live="off">{region}</main>
<script>
setInterval(async () => {
  const answer = await fetch(location.href).catch(() => null);
  if (!answer || !answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html').getElementById('region');
  const shown = document.getElementById('region');
  if (fresh && fresh.innerHTML !== shown.innerHTML) shown.replaceChildren(...fresh.childNodes);
}, 1000);
</script></body></html>
"""


def _hashes(tag: str) -> str:
    """What stands in the page's elements of this name, as its policy names it."""
    found = re.findall(f"<{tag}>(.*?)</{tag}>", _PAGE, re.DOTALL)
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'" for one in found)


_HEADERS: Final = {
    **FOR_PAGES,
    "content-security-policy": f"default-src 'none'; script-src {_hashes('script')}; style-src {_hashes('style')}; "
    "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}


async def _serve(listen: str) -> None:
    with contextlib.closing(bind(listen)) as sock:
        async with stopping() as stop:
            say(f"Ready: http://{address_of(sock)}/")
            await serve(create_stand_in(), sock, stop, drain_time=1.0)


def main() -> None:
    """Serve the stand-in alone, until TERM or INT."""
    parser = argparse.ArgumentParser(prog="python -m trackway.demo.cdp", description="A stand-in for the CDP.")
    parser.add_argument("--listen", default="127.0.0.1:8090", metavar="HOST:PORT", help="address (127.0.0.1:8090)")
    uvloop.run(_serve(parser.parse_args().listen))


if __name__ == "__main__":
    main()
