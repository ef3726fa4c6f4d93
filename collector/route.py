"""A path that a protocol's senders use, and what they are answered. Pure."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from collector.request import Request


@dataclass(slots=True)
class Reply:
    """What a protocol answers when nothing is wrong: exactly 200 for all whose clients accept it."""

    body: bytes
    status: int = 200
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


# What is asked for as an image, by mails and by pages without a script.
PIXEL: Final = Reply(
    base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"),
    content_type=b"image/gif",
    headers=((b"cache-control", b"no-store"),),
)


class Route(NamedTuple):
    """A path, in which `{name}` stands for anything but a slash; served with a slash at its end too.

    With `reply` it is one of the calls an SDK makes before it sends: answered at once, its body not looked at. Without,
    events are read from it. `summary` says in the OpenAPI document what it is.
    """

    path: str
    methods: tuple[str, ...] = ("POST",)
    reply: Callable[[Request], Reply] | None = None
    summary: str = ""
