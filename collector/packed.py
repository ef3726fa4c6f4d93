"""JSON as browsers' SDKs pack it beside compression: in a form, in base64, or in both. Pure."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

from collector.decode import BadBody, decode
from collector.request import Request, form_fields

_BLANK: Final = b" \t\r\n\xef\xbb\xbf"
_JSON_STARTS: Final = (b"{", b"[")
_URL_SAFE: Final = str.maketrans("-_ ", "+/+")


def take_packed(request: Request) -> tuple[Any, dict[str, str]]:
    """The body's values, and the fields of the form it was in. What it is is seen from its bytes: content types are
    not to be believed. Raises BadBody."""
    most = request.settings.limits.body_values
    body = request.take_body()
    if body.lstrip(_BLANK)[:1] in _JSON_STARTS:
        return decode(body, most), {}
    fields = form_fields(body)
    if "data" in fields:
        return unpack(fields.pop("data"), most), fields
    # A body that is base64 alone has no field's name.
    return unpack(body.decode("latin-1"), most), {}


def unpack(text: str, max_values: int) -> Any:
    """The values of JSON, or of base64 of JSON. Raises BadBody."""
    text = text.strip()
    if text[:1] in ("{", "["):
        return decode(text.encode("utf-8", "surrogatepass"), max_values)
    return decode(from_base64(text), max_values)


def from_base64(text: str) -> bytes:
    """The bytes, from either alphabet, with or without padding, blanks where a form had `+`. Raises BadBody."""
    text = text.strip().translate(_URL_SAFE).replace("\n", "").replace("\r", "").rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise BadBody("invalid_json", "neither JSON nor base64 of JSON") from None
