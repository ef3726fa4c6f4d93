"""Bytes of a body become values, here only: decompression with limits, then JSON by the fast road or the slow one."""

from __future__ import annotations

import json
import zlib
from typing import Any, Final

import orjson

_GZIP_MAGIC: Final = b"\x1f\x8b"
# orjson reads integers beyond 64 bits as floats: bodies with such long numbers go the slow road. With every digit made
# the same one, they are found by a search for fixed bytes, which is ten times faster than a pattern.
_ALL_DIGITS_ALIKE: Final = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER: Final = b"0" * 19
_INT64: Final = 2**63
_MAX_DEPTH: Final = 200


class BadBody(Exception):  # noqa: N818 - a verdict on the request
    """A body nothing can be read from. `status` is the HTTP status that says so."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class NotANumber:
    """Stands for NaN or an infinity, which JSON does not have: refuses the event that holds it."""


def decompress(body: bytes, encoding: str, max_bytes: int, max_ratio: int) -> bytes:
    """The body without its compression; gzip is also known by its first bytes. Raises BadBody (400 or 413)."""
    if encoding in ("gzip", "x-gzip", "deflate") or body.startswith(_GZIP_MAGIC):
        inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
        limit = min(max_bytes, max(len(body) * max_ratio, 1024))
        try:
            plain = inflate.decompress(body, limit + 1)
        except zlib.error:
            raise BadBody(400, "bad_compression", f"the body is not {encoding or 'gzip'}") from None
        if len(plain) > limit:
            raise BadBody(413, "body_too_large", "the decompressed body is too large; send smaller batches")
        if not inflate.eof:
            raise BadBody(400, "bad_compression", "the compressed body is cut off")
        return plain
    if encoding not in ("", "identity"):
        raise BadBody(400, "bad_compression", f"content-encoding {encoding!r} is not known; use gzip or deflate")
    return body


def decode(body: bytes) -> Any:
    """JSON as values; NotANumber among them where it holds NaN or an infinity. Raises BadBody with 400."""
    try:
        if _LONG_NUMBER not in body.translate(_ALL_DIGITS_ALIKE):
            return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    return _decode_slowly(body)


def _decode_slowly(body: bytes) -> Any:
    """What orjson refuses whole: lone surrogates become U+FFFD, long integers decimal text, NaN is marked."""
    try:
        # Astral characters as two encoded surrogates (CESU-8, seen from browsers) become one character.
        text = body.decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    except UnicodeDecodeError:
        raise BadBody(400, "not_utf8", "the body is not UTF-8") from None
    try:
        value = json.loads(text, parse_int=_integer, parse_float=_float, parse_constant=lambda _: NotANumber())
        return _clean(value, 0)
    except (ValueError, RecursionError):
        raise BadBody(400, "invalid_json", "the body is not JSON, or nested too deeply") from None


def _integer(digits: str) -> int | str:
    # int() of very long text is slow by design of CPython, and refused over 4,300 digits.
    if len(digits) > 20:
        return digits
    number = int(digits)
    return number if -_INT64 <= number < _INT64 else digits


def _float(digits: str) -> float | NotANumber:
    number = float(digits)
    return number if abs(number) != float("inf") else NotANumber()


def _clean(value: Any, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise ValueError("too deep")
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_clean(inner, depth + 1) for inner in value]
    if isinstance(value, dict):
        return {_clean(key, depth + 1): _clean(inner, depth + 1) for key, inner in value.items()}
    return value
