"""Every way a request is refused whole: one table for the code, the counts, the docs and the OpenAPI document. Pure."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import orjson

from eventlog.errors import Unavailable

Code = Literal[
    "bad_request", "invalid_json", "not_utf8", "too_deep", "bad_compression", "cut_off",
    "unknown_key", "origin_not_allowed", "server_key_in_browser", "not_found", "method", "slow_headers", "slow_body",
    "body_too_large", "too_many_events", "too_many_values", "unknown_compression", "unknown_format",
    "headers_too_large",
    "unavailable", "rate_limited", "too_many_bytes", "too_many_connections", "disk_full",
]  # fmt: skip


class Status(NamedTuple):
    """The HTTP status of a code, and what the sender is to know of it."""

    status: int
    text: str


CODES: Final[dict[Code, Status]] = {
    "bad_request": Status(400, "this is no HTTP request"),
    "invalid_json": Status(400, "the body is not JSON, or not of the form this path takes"),
    "not_utf8": Status(400, "the body is not UTF-8"),
    "too_deep": Status(400, "objects and lists are nested so deeply that nothing can be read"),
    "bad_compression": Status(400, "the body is not what Content-Encoding says, or is cut off"),
    "cut_off": Status(400, "the connection ended before the body did"),
    "unknown_key": Status(401, "no write key, or one that no source has"),
    "origin_not_allowed": Status(403, "the page's origin is not one of the source's"),
    "server_key_in_browser": Status(403, "a server key came with an Origin header"),
    "not_found": Status(404, "nothing is served at this path"),
    "method": Status(405, "the path takes another method; see Allow"),
    "slow_headers": Status(408, "the request's headers took too long to arrive"),
    "slow_body": Status(408, "the body took too long to arrive"),
    "body_too_large": Status(413, "the body is too large, compressed or not; send smaller batches"),
    "too_many_events": Status(413, "the batch has too many messages; send smaller ones"),
    "too_many_values": Status(413, "the body has too many values; send smaller batches"),
    "unknown_compression": Status(415, "Content-Encoding names something else than one of gzip, deflate, br, zstd"),
    "unknown_format": Status(415, "CloudEvents in a mode or format that is not read; send JSON, or ce-* headers"),
    "headers_too_large": Status(431, "the headers are too large or too many"),
    "unavailable": Status(503, "not stored, or not known to be; send the same again"),
    "rate_limited": Status(503, "more events than this key or address may send; send the same again later"),
    "too_many_bytes": Status(503, "too many bytes are being worked on; send the same again"),
    "too_many_connections": Status(503, "too many connections are open; try again"),
    "disk_full": Status(507, "the collector's own disk is full; nothing was stored"),
}


class Overload(Unavailable):
    """A 503 of a limit's making: which, and after how many seconds to try again."""

    def __init__(self, code: Code, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message, retry_after)
        self.code: Code = code


def problem(code: Code, message: str = "", status: int | None = None) -> bytes:
    """The one shape of errors; SDKs read `code`, `message`, `error` and `status`, and some fail without one. `status`:
    where it is another than the table's."""
    usual, text = CODES[code]
    said = message or text
    told = {"success": False, "code": code, "message": said, "error": said, "status": status or usual}
    return orjson.dumps(told)
