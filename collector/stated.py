"""What senders state, one value at a time. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any


def word(value: Any) -> str | None:
    """A text, trimmed; None where it is blank or no text."""
    return value.strip() or None if isinstance(value, str) else None


def words(fields: tuple[tuple[str, str], ...], values: Mapping[str, Any]) -> dict[str, str]:
    """Those of `values` that are texts, under our names; `fields` are pairs of theirs and ours."""
    return {ours: text for theirs, ours in fields if (text := word(values.get(theirs)))}


def screen_in(values: Mapping[str, Any]) -> str | None:
    """`1280x720`, of those who state both sides of the screen as PostHog and Mixpanel do."""
    width, height = values.get("$screen_width"), values.get("$screen_height")
    return f"{width}x{height}" if type(width) is int and type(height) is int else None


def path_to(path: str, name: str) -> str:
    """The path of `name` in what stands at `path`, which is empty for a body that is the one message."""
    return f"{path}.{name}" if path else name


def digest_of(key: str) -> str:
    """What tells a write key from others, and is kept with a refused event: the key may be a server's."""
    return hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=8).hexdigest()
