"""An event as its sender meant it, whatever the protocol: what a parser hands to intake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from collector.commerce import Meaning
from eventlog.errors import Rejected
from eventlog.event import Campaign, Client, Kind, Library, Page

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(slots=True)
class Sent:
    """One event. `path` is where it stands in the body (`batch[3]`); texts are trimmed and never blank, absent is None
    or an empty object. Its objects are never written to: events of a batch may share them.
    """

    path: str
    kind: Kind
    name: str
    meaning: Meaning
    id: str | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    previous_id: str | None = None
    group_id: str | None = None
    client_session_id: str | None = None
    client_time: str | None = None
    exact_time: bool = False
    email: str | None = None
    properties: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    properties_path: str = ""
    traits: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    page: Page | None = None
    campaign: Campaign | None = None
    library: Library | None = None
    client: Client | None = None
    consent: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    server_side: bool = False


@dataclass(slots=True)
class Parsed:
    """A body: its events and those refused, in the order sent. `sent_at` and `received_at` as the sender wrote them."""

    protocol: str
    events: list[Sent | Refused]
    sent_at: str | None = None
    received_at: str | None = None
    write_key: str | None = None


@dataclass(slots=True)
class Refused:
    """An event that cannot be read. `prefix` is what is kept of it."""

    error: Rejected
    id: str | None
    prefix: str
