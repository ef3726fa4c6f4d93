"""The shapes of sessions and profiles, as the topics and the API give them. Absent means absent."""

from __future__ import annotations

from typing import Any, Final, Literal, Required

from pydantic import ConfigDict, TypeAdapter, with_config
from typing_extensions import TypedDict

from eventlog.event import Campaign, Money, Text, Time

_strict = with_config(ConfigDict(extra="forbid"))

IdentifierKind = Literal["user", "ruid", "email", "anon"]


@_strict
class Session(TypedDict, total=False):
    """One visit. Readers keep the highest revision of each id, over all profiles; one that is `deleted` is no more."""

    id: Required[Text]
    revision: Required[int]
    profile_id: Required[Text]
    key: Required[Text]
    start: Required[Time]
    end: Required[Time]
    duration_ms: Required[int]
    state: Required[Literal["open", "closed", "final", "deleted"]]
    counts: Required[dict[str, int]]
    views: Required[int]
    engaged: Required[bool]
    bounce: Required[bool]
    landing: Text
    exit: Text
    referrer: Text
    campaign: Campaign
    entry_category: Text
    exit_category: Text
    products: int
    orders: int
    revenue: dict[str, Money]
    device: list[Text]


@_strict
class Root(TypedDict):
    """The identifier a profile stands for. The value of an anonymous one is `<id>#<epoch>`."""

    kind: IdentifierKind
    value: Text


@_strict
class Amounts(TypedDict, total=False):
    """Money of one currency."""

    revenue: Money
    refunds: Money
    orders: int
    min_order: Money
    max_order: Money


@_strict
class Counts(TypedDict, total=False):
    """Counts over a profile's whole history."""

    events: Required[int]
    events_bot: int
    sessions: int
    orders: int
    names: dict[str, int]


@_strict
class Profile(TypedDict, total=False):
    """One customer, known or anonymous: what all events of one root say together."""

    id: Required[Text]
    revision: Required[int]
    root: Required[Root]
    identifiers: Required[dict[IdentifierKind, list[Text]]]
    traits: dict[str, Any]
    consents: dict[str, Any]
    first_seen: Time
    last_seen: Time
    first_visit: Time
    last_visit: Time
    counts: Required[Counts]
    money: dict[str, Amounts]
    flags: list[Text]


SESSION: Final[TypeAdapter[Session]] = TypeAdapter(Session)
PROFILE: Final[TypeAdapter[Profile]] = TypeAdapter(Profile)
