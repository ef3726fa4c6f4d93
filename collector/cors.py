"""Answers of the collector and their CORS headers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from starlette.types import Send

# SDKs add headers of their own on retries only (x-retry-count, rsa-retry-attempt, …): a fixed list would lose exactly
# the retried events, so a preflight gets back what it asks for.
_FALLBACK_HEADERS: Final = b"authorization,content-type,x-write-key"
_MAX_AGE: Final = b"86400"


@dataclass(slots=True)
class Answer:
    """A whole answer."""

    status: int
    body: bytes
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    content_type: bytes = b"application/json"

    async def send(self, send: Send, head_only: bool = False) -> None:
        headers = [
            (b"content-type", self.content_type),
            (b"content-length", b"%d" % len(self.body)),
            (b"x-content-type-options", b"nosniff"),
            *self.headers,
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if head_only else self.body})


def cors_headers(origin: str | None, allowed: set[str]) -> list[tuple[bytes, bytes]]:
    """What lets a page of `origin` read the answer; nothing for pages no source knows."""
    if origin is None or origin not in allowed:
        return [(b"vary", b"Origin")]
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", b"Retry-After"),
        (b"vary", b"Origin"),
    ]


def welcome(headers: dict[bytes, bytes], per_second: float) -> Answer:
    """The answer to OPTIONS of a sender of webhooks, which asks whether it may send: it may, with a key. `per_second`:
    how many events one key may send, 0 for any number; the answer says how many requests a minute."""
    rate = b"%d" % max(1, int(per_second * 60)) if per_second else b"*"
    return Answer(
        200,
        b"",
        [
            (b"allow", b"POST, OPTIONS"),
            (b"webhook-allowed-origin", headers[b"webhook-request-origin"]),
            (b"webhook-allowed-rate", rate),
        ],
    )


def preflight(headers: dict[bytes, bytes], allowed: set[str]) -> Answer:
    """The answer to OPTIONS."""
    origin = headers.get(b"origin", b"").decode("latin-1") or None
    found = cors_headers(origin, allowed)
    if origin in allowed:
        found += [
            (b"access-control-allow-methods", b"POST, GET, OPTIONS"),
            (b"access-control-allow-headers", headers.get(b"access-control-request-headers", _FALLBACK_HEADERS)),
            (b"access-control-max-age", _MAX_AGE),
        ]
    return Answer(204, b"", found)
