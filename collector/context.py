"""What intake knows of a request beside its body."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from collector.consent import ConsentRules
from collector.sent import AddressPolicy
from collector.settings import DEFAULT_CONSENT_RULES, Limits
from eventlog.event import Client
from eventlog.log import Headers


class Topics(NamedTuple):
    """The full names of the topics the collector writes to."""

    events: str
    rejected: str


@dataclass(slots=True)
class Context:
    """What intake needs to know beside the body: the source's policy and facts of the request. `now` in milliseconds;
    `client`, `gpc` and `dnt` are a browser's, so empty and False with a server key."""

    source: str
    protocol: str
    server_key: bool
    required_consent: bool
    respect_dnt: bool
    filter_bots: bool
    limits: Limits
    topics: Topics
    secret: bytes
    now: int
    cookie_id: str | None
    received_at: str
    client: Client
    gpc: bool
    dnt: bool
    # What is stored of an address and a user agent that a server states of the person's device: (address, agent).
    describe: Callable[[str | None, str | None], Client]
    # What of a person's address is kept, and the source's secret key, which is not.
    address_policy: AddressPolicy = "truncate"
    server_secret: str = ""
    # What ids of events without one begin with, where a repeated request must get the same; None: random ones.
    id_base: str | None = None
    # What the source takes categories and purposes of others for.
    consent_rules: ConsentRules = DEFAULT_CONSENT_RULES
    # What every record of this collector carries in its headers beside what its topic documents; of a replay, nothing.
    collector: Headers = ()
