"""Which event of which page load a record is of: what our tracker says of itself, accepted or not. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from eventlog.event import MAX_ID_CHARACTERS
from eventlog.telemetry import BROWSERS
from exporter.marks import hash64

PROTOCOL: Final = "trackway"
# Of a page load only so many are followed: its numbers are a stranger's word.
MOST_EVENTS: Final = 16 * 63

_KNOWN: Final = frozenset(BROWSERS)
_OTHER: Final = BROWSERS[-1]


class Heard(NamedTuple):
    """Event `seq` (from 1) of the page load whose hash is `load`, from a `browser` of BROWSERS."""

    load: int
    seq: int
    browser: str


def heard_of_event(value: Any, source: str) -> Heard | None:
    """Of an event, or of what was meant to be one."""
    if not isinstance(value, dict) or value.get("protocol") != PROTOCOL:
        return None
    page, client = value.get("page"), value.get("client")
    if not isinstance(page, dict) or not isinstance(client, dict):
        return None
    return _heard(source, page.get("view_id"), client.get("seq"), client.get("browser"))


def heard_of_outcome(told: Mapping[str, Any], source: str) -> Heard | None:
    """Of one that became no event."""
    if told.get("protocol") != PROTOCOL or "seq" not in told:
        return None
    request = told.get("request")
    client = request.get("client") if isinstance(request, dict) else None
    browser = client.get("browser") if isinstance(client, dict) else None
    return _heard(source, told.get("view_id"), told["seq"], browser)


def _heard(source: str, view_id: Any, seq: Any, browser: Any) -> Heard | None:
    if type(seq) is not int or not 0 < seq <= MOST_EVENTS or not isinstance(view_id, str) or "\0" in source:
        return None
    page, _, _ = view_id.rpartition(".")
    if not page or len(view_id) > MAX_ID_CHARACTERS:
        return None
    return Heard(_load(source, page), seq, browser if isinstance(browser, str) and browser in _KNOWN else _OTHER)


@lru_cache(maxsize=16384)
def _load(source: str, page: str) -> int:
    return hash64(f"{source}\0{page}")
