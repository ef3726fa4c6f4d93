"""Which topics exist: one table that creates them, checks them and documents them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import TypeAdapter

from eventlog.event import EVENT
from eventlog.outcome import OUTCOME
from eventlog.profile import PROFILE, SESSION
from eventlog.timestamps import DAY_MS

# A record's value may be this large beyond the largest event: headers, key and what the collector adds.
MAX_MESSAGE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True)
class Topic:
    """One topic. `retention_ms` is -1 for ever; `schema` names the document under /schema/."""

    name: str
    schema: str
    value: TypeAdapter[Any]
    partitions: int
    retention_ms: int
    cleanup: Literal["delete", "compact"]
    key: str
    written_by: str
    example: dict[str, Any]

    def full_name(self, prefix: str) -> str:
        return prefix + self.name


EVENTS: Final = Topic(
    name="events.v1",
    schema="event",
    value=EVENT,
    partitions=12,
    retention_ms=30 * DAY_MS,
    cleanup="delete",
    key="16 hex digits that stand for the visitor (an HMAC of the anonymous id, else user id, e-mail, event id)",
    written_by="collector",
    example={
        "id": "0d8c1d3e-6a58-4b6a-9a2e-6f6f0a1c2b3d",
        "name": "buy",
        "kind": "track",
        "source": "shop",
        "channel": "web",
        "protocol": "segment",
        "library": {"name": "trackway.js", "version": "0.1.0"},
        "occurred_at": "2026-11-24T10:15:00.000Z",
        "sent_at": "2026-11-24T10:15:00.120Z",
        "received_at": "2026-11-24T10:15:00.184Z",
        "time_source": "client",
        "anonymous_id": "5c1d1f5e-26a3-4b39-8f5c-0f4a2f9d2a10",
        "user_id": "4711",
        "items": [
            {
                "product_id": "SKU-1",
                "name": "Trail shoe",
                "category_path": [["25", "Shoes"], ["402", "Running"]],
                "price": "89.90",
                "quantity": 1,
                "currency": "EUR",
            }
        ],
        "order": {"order_id": "A-1001", "total": "94.85", "shipping": "4.95", "currency": "EUR"},
        "page": {"url": "https://shop.example/thanks", "path": "/thanks", "title": "Thank you"},
        "client": {"ip": "192.0.2.0", "browser": "Chrome", "os": "Linux", "device": "desktop", "seq": 7},
        "consent": {"analytics": True},
    },
)

REJECTED: Final = Topic(
    name="rejected.v1",
    schema="rejected",
    value=OUTCOME,
    partitions=3,
    retention_ms=14 * DAY_MS,
    cleanup="delete",
    key="as events; the source's name where no event could be read",
    written_by="collector, aggregator (poison)",
    example={
        "status": "rejected",
        "reason": "wrong_type",
        "source": "shop",
        "id": "b7e8",
        "path": "batch[3].properties.price",
        "message": "a number is needed",
        "received_at": "2026-11-24T10:15:00.184Z",
        "protocol": "segment",
        "event": {"type": "track", "messageId": "b7e8", "event": "Product Viewed", "properties": {"price": "cheap"}},
        "request": {
            "path": "/v1/batch",
            "key": "browser",
            "sent_at": "2026-11-24T10:15:00.120Z",
            "cookie_id": "5c1d1f5e-26a3-4b39-8f5c-0f4a2f9d2a10",
            "client": {"ip": "192.0.2.0", "browser": "Chrome", "os": "Linux", "device": "desktop"},
        },
    },
)

SESSIONS: Final = Topic(
    name="sessions.v1",
    schema="session",
    value=SESSION,
    partitions=12,
    retention_ms=30 * DAY_MS,
    cleanup="delete",
    key="the profile's id",
    written_by="aggregator",
    example={
        "id": "8a1c6f1e-4a1b-5e0f-9a55-2f7a4d1c9b11",
        "revision": 3,
        "profile_id": "1f0e7e0a-3b1c-5d7e-8a64-5b7f0f6b1c22",
        "key": "anon:5c1d1f5e-26a3-4b39-8f5c-0f4a2f9d2a10",
        "start": "2026-11-24T10:02:11.000Z",
        "end": "2026-11-24T10:15:00.000Z",
        "duration_ms": 769000,
        "state": "open",
        "counts": {"pageview": 5, "visit": 2, "basket": 1, "buy": 1},
        "views": 5,
        "engaged": True,
        "bounce": False,
        "landing": "https://shop.example/",
        "exit": "https://shop.example/thanks",
        "orders": 1,
        "revenue": {"EUR": "89.90"},
    },
)

PROFILES: Final = Topic(
    name="profiles.v1",
    schema="profile",
    value=PROFILE,
    partitions=12,
    retention_ms=-1,
    cleanup="compact",
    key="the profile's id; a null value says that the profile is no more",
    written_by="aggregator",
    example={
        "id": "1f0e7e0a-3b1c-5d7e-8a64-5b7f0f6b1c22",
        "revision": 9,
        "root": {"kind": "user", "value": "4711"},
        "identifiers": {"user": ["4711"], "anon": ["5c1d1f5e-26a3-4b39-8f5c-0f4a2f9d2a10"]},
        "traits": {"country": "NO"},
        "first_seen": "2026-11-24T10:02:11.000Z",
        "last_seen": "2026-11-24T10:15:00.000Z",
        "counts": {"events": 9, "sessions": 1, "orders": 1, "names": {"pageview": 5, "buy": 1}},
        "money": {"EUR": {"revenue": "89.90", "orders": 1, "min_order": "89.90", "max_order": "89.90"}},
    },
)

TOPICS: Final = (EVENTS, REJECTED, SESSIONS, PROFILES)


def json_schema(topic: Topic) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a topic's values."""
    schema = topic.value.json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "examples": [topic.example], **schema}
