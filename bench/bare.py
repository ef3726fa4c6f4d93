"""The reference: a bare ASGI app that reads the body and answers, nothing else."""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"16")],
}
_BODY = {"type": "http.response.body", "body": b'{"success":true}'}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Read everything, answer 200."""
    more = scope["type"] == "http"
    while more:
        message = await receive()
        more = message.get("more_body", False)
    await send(_START)
    await send(_BODY)
