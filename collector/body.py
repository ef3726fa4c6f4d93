"""A request's body, read within size and time, and within what all bodies together may hold of memory."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import Receive

from collector.decode import BadBody
from collector.decompress import GZIP_MAGIC, decompress
from collector.settings import Limits
from collector.statuses import Overload

# Half of the bytes in flight is for requests up to this size: many large ones, or slow ones, never keep out the small
# ones that pages send.
_SMALL: Final = 65_536
# Commas of about ten events.
_MANY_VALUES: Final = 250
# What a value takes once it is read, about. It also bounds how many long bodies wait for their turn.
_VALUE_BYTES: Final = 32
# What an event takes while it is worked on, beside the bytes of the body it came in: record, receipt, headers.
RECORD_BYTES: Final = 2048


class Flight:
    """The bytes of all requests being worked on, in this process."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0


class Held:
    """One request's share of the bytes in flight."""

    __slots__ = ("_flight", "body", "is_large", "size")

    def __init__(self, flight: Flight) -> None:
        self._flight = flight
        self.size = 0
        # Whether it is one of the large ones; of a body that does not say its length that is taken to be so.
        self.is_large = False
        self.body: bytes | bytearray = b""

    def take_body(self) -> bytes | bytearray:
        """The body, which nothing here keeps any longer."""
        body, self.body = self.body, b""
        return body

    def is_long(self, most: int) -> bool:
        """Whether reading the body takes milliseconds: it has many values, however short they are. Then room is held
        for what it is read into, unless it has more than `most`, as which it is refused when it is read. Raises
        Overload."""
        values = self.body.count(b",") if len(self.body) > _MANY_VALUES else 0
        if values <= _MANY_VALUES:
            return False
        self.is_large = True
        if values <= most:
            self.take(values * _VALUE_BYTES)
        return True

    def take(self, size: int) -> None:
        """Hold `size` bytes more. Raises Overload where that is more than there may be."""
        flight = self._flight
        if self.size + size > _SMALL:
            self.is_large = True
        others = flight.held - self.size
        # Whoever is alone may have everything: what keeps to the limits is never refused for good.
        if others and flight.held + size > (flight.limit // 2 if self.is_large else flight.limit):
            raise Overload("too_many_bytes", "too many bytes are being worked on; send the same again")
        flight.held += size
        self.size += size

    def give_back(self) -> None:
        """Everything, at the end."""
        self._flight.held -= self.size
        self.size = 0


async def read_body(headers: dict[bytes, bytes], receive: Receive, limits: Limits, held: Held) -> bytes | bytearray:
    """The decompressed body, counted in `held` as it arrives. Raises BadBody, Overload.

    A timer of its own for each request would cost more than all else here, so there is one only from the first part
    on; where not even that comes, the server cuts the connection (`connections.body_seconds`).
    """
    declared = int(headers.get(b"content-length", _SMALL + 1))
    if declared > limits.body_bytes:
        raise _too_large(limits)
    held.is_large = declared > _SMALL
    body: bytes | bytearray
    first, is_whole = await _next_part(receive, limits, held)
    body = first
    if not is_whole:
        try:
            async with asyncio.timeout(limits.body_seconds):
                body = await _rest(first, receive, limits, held)
        except TimeoutError:
            raise BadBody("slow_body", f"a body has {limits.body_seconds:g} s to arrive") from None
    encoding = headers.get(b"content-encoding")
    if encoding is None and not body.startswith(GZIP_MAGIC):
        return body
    plain = decompress(body, (encoding or b"").decode("latin-1"), limits.body_bytes, limits.ratio)
    if plain is not body:
        held.take(len(plain))
    return plain


async def _rest(first: bytes, receive: Receive, limits: Limits, held: Held) -> bytearray:
    # One growing piece: a list of parts would cost a slow sender's body forty times its size.
    whole, is_whole = bytearray(first), False
    while not is_whole:
        part, is_whole = await _next_part(receive, limits, held)
        whole += part
    return whole


async def _next_part(receive: Receive, limits: Limits, held: Held) -> tuple[bytes, bool]:
    """A part of the body, and whether it is the last."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise BadBody("cut_off")
    part: bytes = message.get("body", b"")
    if held.size + len(part) > limits.body_bytes:
        raise _too_large(limits)
    held.take(len(part))
    return part, not message.get("more_body", False)


def _too_large(limits: Limits) -> BadBody:
    return BadBody("body_too_large", f"a body has {limits.body_bytes} bytes at most; send smaller batches")
