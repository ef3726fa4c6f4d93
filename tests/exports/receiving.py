"""The stand-in for the CDP on a real port."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx2
from starlette.types import ASGIApp

from tests.serving import served
from trackway.demo.cdp import create_stand_in


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


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """A stand-in in a thread of its own, for many tests; its URL."""

    @contextlib.asynccontextmanager
    async def opened(_: str) -> AsyncIterator[ASGIApp]:
        yield create_stand_in()

    with served(opened) as url:
        yield url


@contextlib.asynccontextmanager
async def received(url: str) -> AsyncIterator[Cdp]:
    """The stand-in at `url`, as when new."""
    # Nothing here is encrypted, and reading certificates takes longer than most tests.
    async with httpx2.AsyncClient(base_url=url, verify=False) as http:
        cdp = Cdp(http)
        await cdp.forget()
        yield cdp


Scenario = Callable[[Cdp], Awaitable[None]]
Meet = Callable[[Scenario], None]


def meeting(url: str) -> Meet:
    """Runs scenarios with the stand-in at `url`."""

    def meet(scenario: Scenario) -> None:
        async def main() -> None:
            async with received(url) as cdp:
                await scenario(cdp)

        asyncio.run(main())

    return meet
