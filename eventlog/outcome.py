"""What did not become an event, as the rejected topic holds it: so that "where is my event" has an answer."""

from __future__ import annotations

from typing import Final, Literal, Required

from pydantic import ConfigDict, TypeAdapter, with_config
from typing_extensions import TypedDict

from eventlog.event import Text, Time

Status = Literal["accepted", "duplicate", "filtered", "rejected"]

# How much of a rejected event is kept, in characters of its JSON.
MAX_PREFIX_CHARACTERS: Final = 1024
MAX_PATH_CHARACTERS: Final = 512


@with_config(ConfigDict(extra="forbid"))
class Outcome(TypedDict, total=False):
    """What became of an event that is not in the events topic. `prefix`: rejected and poison ones only."""

    status: Required[Literal["rejected", "filtered", "duplicate", "poison"]]
    reason: Required[Text]
    source: Text
    id: Text
    path: Text
    message: Text
    received_at: Required[Time]
    protocol: Text
    origin: Text
    prefix: Text
    topic: Text
    partition: int
    offset: int


OUTCOME: Final[TypeAdapter[Outcome]] = TypeAdapter(Outcome)
