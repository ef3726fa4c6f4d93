"""The stand-in for the CDP on a real port, for the length of a block."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx2

from trackway.demo.cdp import create_stand_in
from trackway.serving import address_of, bind, serve


class Cdp:
    """What tests ask of it."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http
        self.url = str(http.base_url).rstrip("/")

    async def faults(self, *faults: dict[str, Any]) -> None:
        """From now on it misbehaves so; without faults it behaves again."""
        answer = await self.http.post("/faults", json=list(faults))
        assert answer.status_code == 200, answer.text

    async def streams(self) -> list[dict[str, Any]]:
        """What arrived."""
        streams: list[dict[str, Any]] = (await self.http.get("/rows.json")).json()["streams"]
        return streams

    async def rows(self, stream: str, *, draft: bool = False) -> list[dict[str, Any]]:
        """The rows of a stream, first come first."""
        found = [one["newest"] for one in await self.streams() if (one["stream"], one["draft"]) == (stream, draft)]
        return found[0] if found else []

    async def forget(self) -> None:
        """As when new."""
        await self.http.delete("/rows.json")


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Cdp]:
    """Serve until the block ends."""
    stop = asyncio.Event()
    sock = bind("127.0.0.1:0")
    # Who comes before the server serves is to wait, not to be turned away.
    sock.listen()
    serving = asyncio.create_task(serve(create_stand_in(), sock, stop, 1.0))
    try:
        async with httpx2.AsyncClient(base_url=f"http://{address_of(sock)}") as http:
            yield Cdp(http)
    finally:
        stop.set()
        await serving
        sock.close()
