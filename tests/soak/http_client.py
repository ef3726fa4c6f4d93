"""One kept-alive HTTP/1.1 connection, as small as it can be, that tells apart how a request may fail."""

from __future__ import annotations

import asyncio
from typing import Final

AUTHORIZATION: Final = "Basic c2tfc2hvcDo="  # sk_shop and no password


class Failed(Exception):  # noqa: N818 - what happened
    """A request without an answer. `how`: `refused` (nobody listens), `closed` (in good order, before a byte of an
    answer came), `reset`, or `cut` (in the middle of an answer); and on what connection."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


class Client:
    """Connects when it must; after an answer that says so, or a failure, the next request connects anew."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        # What the last request did: `connecting`, or sent on a `new` or a `kept` connection.
        self.stage = ""

    async def post(self, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (names in small letters) and body. Raises Failed."""
        try:
            return await self._post(path, body)
        except Failed:
            self.close()
            raise
        except OSError:
            self.close()
            raise Failed(f"reset ({self.stage})") from None
        except asyncio.CancelledError:
            self.close()
            raise

    def close(self) -> None:
        if self._streams:
            self._streams[1].close()
            self._streams = None

    async def _post(self, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if self._streams is not None and self._streams[0].at_eof():
            # It was closed while nobody used it: every client looks before it sends.
            self.close()
        self.stage = "kept"
        if self._streams is None:
            self.stage = "connecting"
            try:
                self._streams = await asyncio.open_connection(self._host, self._port)
            except ConnectionRefusedError:
                raise Failed("refused") from None
            self.stage = "new"
        reader, writer = self._streams
        head = (
            f"POST {path} HTTP/1.1\r\nhost: {self._host}:{self._port}\r\nauthorization: {AUTHORIZATION}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        try:
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = dict(_named(line) for line in lines if line)
            content = await reader.readexactly(int(headers["content-length"]))
        except asyncio.IncompleteReadError as error:
            raise Failed(f"{'cut' if error.partial else 'closed'} ({self.stage})") from None
        if headers.get("connection", "").lower() == "close":
            self.close()
        return int(first.split(" ", 2)[1]), headers, content


def _named(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.lower(), value.strip()
