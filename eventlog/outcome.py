"""What did not become an event, as the rejected topic holds it: so that "where is my event" has an answer."""

from __future__ import annotations

import re
from typing import Any, Final, Literal, Required

from pydantic import ConfigDict, TypeAdapter, with_config
from typing_extensions import TypedDict

from eventlog.event import Client, Id, Text, Time

Status = Literal["accepted", "duplicate", "filtered", "rejected"]

# How much is kept of a rejected event that is not kept whole, in characters of its JSON.
MAX_PREFIX_CHARACTERS: Final = 1024
# A batch's context is kept with each of its refused events, so a larger one is not kept at all.
MAX_SHARED_BYTES: Final = 4096

_strict = with_config(ConfigDict(extra="forbid"))
MAX_PATH_CHARACTERS: Final = 512


@_strict
class Asked(TypedDict, total=False):
    """What the request said beside a rejected event, as far as the event would have been another without it.

    `path` of the URL; `sent_at` as the sender wrote it; `shared` is the batch's context; `cookie_id` the anonymous id
    of the first-party cookie; `client` as it would have been stored, so the address is as the source's `ip` says;
    `not_numbers` are JSON pointers to where the event had NaN or an infinity, which JSON does not have.
    """

    path: Required[Text]
    key: Required[Literal["server", "browser"]]
    sent_at: Text
    shared: dict[str, Any]
    cookie_id: Text
    client: Client
    gpc: bool
    dnt: bool
    not_numbers: list[str]


@_strict
class Outcome(TypedDict, total=False):
    """What became of an event that is not in the events topic. `view_id` and `seq` are what our tracker's event says of
    itself (`page.view_id`, `client.seq`), so that it is known to have arrived. Of rejected and poison ones only:
    `event`, the whole of it as the sender meant it (of poison: the record's value), with `request`; or `prefix`, its
    beginning, where it was too large to be kept. Neither of an event whose sender did not consent to it."""

    status: Required[Literal["rejected", "filtered", "duplicate", "poison"]]
    reason: Required[Text]
    source: Text
    id: Text
    path: Text
    message: Text
    received_at: Required[Time]
    protocol: Text
    origin: Text
    view_id: Id
    seq: int
    event: Any
    request: Asked
    prefix: Text
    topic: Text
    partition: int
    offset: int


_INDEX: Final = re.compile(r"\[\d+\]")
# Where an event stands in its batch is not part of what is wrong with it.
_OF_A_BATCH: Final = re.compile(r"^(?:batch|data|events)?\[\d*\](\.|$)")


def cause_path(path: str) -> str:
    """A path without what differs from event to event: `batch[3].properties.products[1].price` becomes
    `properties.products[].price`."""
    return _INDEX.sub("[]", _OF_A_BATCH.sub("", path, count=1))


OUTCOME: Final[TypeAdapter[Outcome]] = TypeAdapter(Outcome)
