"""RudderStack's own paths; its messages are Segment's, and so are most of its paths. Pure.

Source: RudderStack's public HTTP API and what its SDKs put on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from collector.decode import BadBody
from collector.protocols import segment
from collector.request import Request
from collector.route import PIXEL, Reply, Route
from collector.sent import Parsed, Sent
from collector.settings import CollectorSettings
from collector.statuses import Code
from eventlog.event import Kind

PROTOCOLS: Final = ("rudderstack",)
STATUSES: Final[Mapping[Code, int]] = {}
refused, answer = segment.refused, segment.answer

_BEACON: Final = "/beacon/v1/batch"
_PIXELS: Final[dict[str, Kind]] = {"/pixel/v1/track": "track", "/pixel/v1/page": "page"}
# Names in a pixel's address stand in each other by dots, no deeper than this.
_MAX_DEPTH: Final = 8


def routes(settings: CollectorSettings) -> list[Route]:
    return [
        Route(_BEACON, summary="Messages of RudderStack's beacon"),
        *(Route(path, ("GET",), summary="One message of RudderStack, as an image's address") for path in _PIXELS),
        Route("/sourceConfig", ("GET",), _source_config, "What RudderStack's SDK for browsers asks for at its start"),
    ]


def unwrap(request: Request) -> Parsed:
    """The messages of a beacon, or the one of a pixel. Raises BadBody."""
    if request.path in _PIXELS:
        parsed = Parsed("rudderstack", [_nested(request.query)], fingerprint=request.fingerprint(), reply=PIXEL)
        parsed.is_link = True
    else:
        parsed = segment.messages_of(request.take_json(), request, is_single=False)
        parsed.protocol = "rudderstack"
    return parsed


def read(value: Any, path: str, parsed: Parsed) -> Sent:
    """A message. Raises Rejected."""
    if parsed.path not in _PIXELS:
        return segment.read(value, path, parsed)
    sent = segment.read_message(value, path, parsed, _PIXELS[parsed.path])
    sent.event["channel"] = "pixel"
    return sent


def _nested(fields: Mapping[str, str]) -> dict[str, Any]:
    """`context.page.url=x` as {"context": {"page": {"url": "x"}}}. Raises BadBody where a name is two things."""
    message: dict[str, Any] = {}
    for name, value in fields.items():
        *outer, last = name.split(".", _MAX_DEPTH)
        place = message
        for part in outer:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise BadBody("invalid_json", "a name of the query is both a value and an object")
        if isinstance(place.get(last), dict):
            raise BadBody("invalid_json", "a name of the query is both a value and an object")
        place[last] = value
    return message


def _source_config(request: Request) -> Reply:
    # Without this the SDK never sends anything. It names no other destination, and asks for no report of errors.
    key = request.query.get("writeKey", "")
    silent = {"enabled": False}
    source = {
        "id": "trackway", "name": "trackway", "writeKey": key, "enabled": True, "workspaceId": "trackway",
        "destinations": [], "dataplanes": {}, "config": {"statsCollection": {"errors": silent, "metrics": silent}},
    }  # fmt: skip
    return Reply(orjson.dumps({"source": source, "updatedAt": "2026-01-01T00:00:00.000Z"}))
