"""A site's own server, as in production: its pages are its own, the tracker's paths are passed on to the collector."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

import httpx2
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.serving import served
from trackway.demo.shop import create_shop
from trackway.serving import Dispatch, segments

_OF_THE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "date"}


def passing_on(to: str, client: httpx2.AsyncClient) -> ASGIApp:
    """Requests go to `to` as they came, answers come back as they are."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        asked = client.build_request(
            request.method,
            f"{to}{request.url.path}?{request.url.query}",
            headers=[(name, value) for name, value in request.headers.items() if name not in ("connection", "host")],
            content=await request.body(),
        )
        answer = await client.send(asked)
        back = Response(answer.content, answer.status_code)
        for name, value in answer.headers.multi_items():
            if name.lower() not in _OF_THE_CONNECTION:
                back.headers.append(name, value)
        await back(scope, receive, send)

    return app


@contextlib.contextmanager
def front(port: int, collector: str) -> Iterator[None]:
    """The demo shop on `port`, its /tw at `collector`, for the length of a block."""

    @contextlib.asynccontextmanager
    async def opened(_: str) -> AsyncIterator[ASGIApp]:
        async with httpx2.AsyncClient(timeout=10) as client:
            yield Dispatch(create_shop("wk_shop"), (segments("tw"), passing_on(collector, client)))

    with served(opened, f"127.0.0.1:{port}"):
        yield
