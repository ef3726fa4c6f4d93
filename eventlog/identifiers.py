"""Identifiers of people: one spelling each, and the values that identify nobody.

The collector and the rules both read identifiers through here, so a value that is refused is refused everywhere.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from typing import Literal

from eventlog.event import MAX_ID_CHARACTERS

Kind = Literal["user", "anon", "email", "ruid"]

_NOBODY = frozenset(
    (
        "-1", "null", "anonymous", "guest", "distinctid", "distinct_id", "id", "not_authenticated", "email",
        "undefined", "true", "false", "none", "nan", "[object object]",
    )
)  # fmt: skip
_ZEROS = re.compile(r"[0-]*")
_GUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def is_blocked(value: str) -> bool:
    """Whether a value stands for nobody: what SDKs and templates write when they know no identifier."""
    bare = value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value
    return (
        len(value) > MAX_ID_CHARACTERS
        or _ZEROS.fullmatch(bare) is not None
        or bare.lower() in _NOBODY
        or _CONTROL.search(value) is not None
    )


def text_of(value: object) -> str | None:
    """An identifier as text: trimmed, NFC, integers in decimal, GUIDs in lower case; else None."""
    if not isinstance(value, str):
        if not isinstance(value, int) or isinstance(value, bool):
            return None
        value = str(value)
    text = value.strip()
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    if len(text) == 36 and _GUID.fullmatch(text):
        text = text.lower()
    return text or None


def normalise(kind: Kind, value: object) -> str | None:
    """The identifier's one spelling; None if it is blocked or cannot be one of its kind."""
    text = text_of(value)
    if text is None or is_blocked(text):
        return None
    if kind == "email":
        text = text.lower()
        before, _, after = text.partition("@")
        return text if before and after and "@" not in after else None
    return text


def email_in_ruid(ruid: str | None) -> str | None:
    """The e-mail that a `ruid` holds as base64 (UTF-8, encodes back to itself); None if it holds none."""
    if not ruid or len(ruid) % 4:
        return None
    try:
        text = base64.b64decode(ruid, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    if base64.b64encode(text.encode()).decode() != ruid:
        return None
    return normalise("email", text)
