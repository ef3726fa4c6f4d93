"""Records as the services write them, for the tests of what is shown."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from eventlog.event import EVENT
from eventlog.log import Outgoing
from eventlog.opening import open_producer
from eventlog.outcome import OUTCOME
from eventlog.settings import LogSettings
from eventlog.timestamps import format_ms, parse_ms
from eventlog.topics import EVENTS, REJECTED

_numbers = itertools.count(1)


def event(at: int, **fields: Any) -> dict[str, Any]:
    """A canonical event received at `at` (ms)."""
    number = next(_numbers)
    made = {
        "id": f"event-{number}",
        "name": "pageview",
        "kind": "page",
        "source": "shop",
        "channel": "web",
        "protocol": "segment",
        "library": {"name": "trackway.js", "version": "0.1.0"},
        "occurred_at": format_ms(at - 120),
        "received_at": format_ms(at),
        "time_source": "client",
        "anonymous_id": "5c1d1f5e-26a3-4b39-8f5c-0f4a2f9d2a10",
        "page": {"url": "https://shop.example/shoes", "path": "/shoes", "title": "Shoes"},
        "client": {"ip": "192.0.2.0", "browser": "Chrome", "os": "Linux", "device": "desktop", "seq": number},
        "consent": {"analytics": True},
    } | fields
    EVENT.validate_python(made)
    return made


def outcome(at: int, status: str, reason: str, **fields: Any) -> dict[str, Any]:
    """A record of the rejected topic."""
    made = {"status": status, "reason": reason, "source": "shop", "received_at": format_ms(at)} | fields
    OUTCOME.validate_python(made)
    return made


def outgoing(settings: LogSettings, body: Mapping[str, Any]) -> Outgoing:
    """The record of an event or an outcome."""
    topic = EVENTS if "kind" in body else REJECTED
    key = str(body.get("anonymous_id") or body.get("user_id") or body.get("id") or body.get("source", "")).encode()
    source, event_id = str(body.get("source", "")).encode(), str(body.get("id", "")).encode()
    headers = (("ce_source", source), ("ce_id", event_id), ("content-type", b"application/json"))
    at = parse_ms(str(body["received_at"]))
    return Outgoing(topic.full_name(settings.topic_prefix), key, orjson.dumps(body), headers, at)


async def append(settings: LogSettings, bodies: Sequence[Mapping[str, Any]]) -> None:
    """Have the bodies in the log."""
    producer = open_producer(settings)
    await producer.start()
    await producer.append([outgoing(settings, body) for body in bodies])
    await producer.stop()
