"""Jitsu's paths; its messages are Segment's. Pure.

Source: what its SDKs put on the wire. They send one message a request, never again, and lose what is not answered 2xx
with JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

from collector.protocols import segment
from collector.request import Request
from collector.route import Reply, Route
from collector.sent import AddressPolicy, Parsed, Sent
from collector.settings import CollectorSettings
from collector.statuses import Code
from eventlog.event import Kind

PROTOCOLS: Final = ("jitsu",)
STATUSES: Final[Mapping[Code, int]] = {}
refused = segment.refused

_KINDS: Final[frozenset[str]] = frozenset(get_args(Kind))
# Its own words for what is kept of the sender's address, in lower case: who asks for less is not to be misread.
_POLICIES: Final[dict[str, AddressPolicy]] = {"keep": "keep", "striplastoctet": "truncate", "remove": "drop"}
# Destinations that are named here would be loaded by the page.
_DONE: Final = Reply(b'{"ok":true}')


def routes(settings: CollectorSettings) -> list[Route]:
    return [
        Route("/api/s/{type}", summary="One message of Jitsu, of a browser"),
        Route("/api/s/s2s/{type}", summary="One message of Jitsu, of a server"),
    ]


def unwrap(request: Request) -> Parsed:
    """The one message. Raises BadBody."""
    parsed = segment.messages_of(request.take_json(), request, is_single=True)
    parsed.protocol = "jitsu"
    parsed.address = _POLICIES.get((request.header(b"x-ip-policy") or "").lower())
    return parsed


def read(value: Any, path: str, parsed: Parsed) -> Sent:
    """A message; its path says its type, else it does so itself. Raises Rejected."""
    named = parsed.path.rpartition("/")[2]
    kind: Kind | None = named if named in _KINDS else None  # type: ignore[assignment]
    sent = segment.read_message(value, path, parsed, kind)
    sent.server_side = sent.server_side or "/s2s/" in parsed.path
    return sent


def answer(receipts: list[dict[str, Any]], reply: Any) -> Reply:
    return _DONE
