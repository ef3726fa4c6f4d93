"""Personal data, masked: what identifies a person is cut to its first character, what merely describes stays."""

from __future__ import annotations

from typing import Any, Final

_IDENTIFYING: Final = frozenset(
    ("user_id", "anonymous_id", "previous_id", "group_id", "client_session_id", "ip", "prefix")
)
_WHOLE: Final = frozenset(("traits", "traits_once", "identifiers", "properties", "event", "request"))


def masked(event: dict[str, Any]) -> dict[str, Any]:
    """A copy of an event, or outcome, that may be shown to anybody who runs the system."""
    return {name: _masked(name, value, name in _WHOLE) for name, value in event.items()}


def _masked(name: str, value: Any, hide: bool) -> Any:
    hide = hide or name in _IDENTIFYING
    if isinstance(value, dict):
        return {key: _masked(key, inner, hide) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(name, inner, hide) for inner in value]
    if isinstance(value, str) and (hide or "@" in value):
        return value[:1] + "…"
    return value
