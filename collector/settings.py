"""Settings of the collector."""

from __future__ import annotations

import ipaddress
import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from collector.consent import ConsentRules, Purpose, consent_rules
from collector.positions import Positions
from eventlog.event import MAX_DEPTH, MAX_EVENT_BYTES
from eventlog.proxies import ProxyHeader
from eventlog.settings import LogSettings
from eventlog.topics import MAX_MESSAGE_BYTES

SnowplowPath = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)+$")]
_HOST: Final = re.compile(r"[a-z0-9._-]+")
TcfPurpose = Annotated[int, Field(ge=1, le=24)]


class Tcf(BaseModel):
    """Which purposes of the IAB's framework make up ours. A purpose without any is not stated by its strings."""

    model_config = ConfigDict(extra="forbid")

    analytics: list[TcfPurpose] = Field([1, 8, 9], description="Numbers of the purposes that must all be allowed.")
    personalization: list[TcfPurpose] = Field([1, 5, 6], description="As above.")
    marketing_activation: list[TcfPurpose] = Field([1, 3, 4], description="As above.")
    third_party_sharing: list[TcfPurpose] = Field([1, 3, 4], description="As above.")
    legitimate_interest: bool = Field(
        False, description="Whether for purposes 2 and 7 to 11 a legitimate interest without objection will do."
    )

    def numbers(self) -> dict[Purpose, list[int]]:
        """The numbers by our purpose."""
        return {
            "analytics": self.analytics, "personalization": self.personalization,
            "marketing_activation": self.marketing_activation, "third_party_sharing": self.third_party_sharing,
        }  # fmt: skip


class Source(BaseModel):
    """One sender of events: a website, an app, a back end."""

    model_config = ConfigDict(extra="forbid")

    browser_key: str = Field("", description="Write key for web pages. Public, so it needs `origins`.")
    origins: list[str] = Field(
        default_factory=list, description="Origins that may use the browser key, such as https://shop.example."
    )
    server_key: SecretStr = Field(SecretStr(""), description="Write key for servers. Refused from browsers.")
    aliases: list[str] = Field(default_factory=list, description="Other vendors' public ids that mean this source.")
    consent: Literal["required", "implied"] | None = Field(
        None, description="What absent consent means. Default: required for our tracker, implied for the rest."
    )
    consent_categories: dict[str, list[Purpose]] = Field(
        default_factory=dict,
        description="Which of our purposes a consent platform's categories mean, by their names in any case, beside "
        "the known ones (docs/privacy.md); an empty list: none. Of several for one purpose all must be allowed.",
    )
    tcf: Tcf = Field(Tcf(), description="What an IAB TCF v2 consent string means.")
    ip: Literal["truncate", "drop", "keep"] = Field("truncate", description="What is stored of the sender's address.")
    bots: Literal["keep", "filter"] = Field("keep", description="Whether events of bots are kept, marked as such.")
    allow_received_at: bool = Field(
        False, description="Whether the server key may state `receivedAt` itself, for imports of foreign logs."
    )

    @cached_property
    def consent_rules(self) -> ConsentRules:
        """What categories and TCF strings of its senders mean."""
        return consent_rules(self.consent_categories, self.tcf.numbers(), self.tcf.legitimate_interest)

    def requires_consent(self, protocol: str, server_key: bool) -> bool:
        """Whether absent consent means that there is none."""
        return self.consent == "required" or (self.consent is None and protocol == "trackway" and not server_key)

    @field_validator("origins")
    @classmethod
    def _origins(cls, values: list[str]) -> list[str]:
        for value in values:
            scheme, _, rest = value.partition("://")
            if scheme not in ("http", "https") or not rest or "/" in rest:
                raise ValueError(f"{value!r} is no origin; write https://shop.example, without a path")
        return values

    @model_validator(mode="after")
    def _browser_key_has_origins(self) -> Self:
        if self.browser_key and not self.origins:
            raise ValueError("a browser key is public and needs `origins`, the sites that may use it")
        return self


DEFAULT_CONSENT_RULES: Final = Source().consent_rules


class Cookie(BaseModel):
    """The first-party cookies: the one that holds the anonymous id, and those that tell a page what has arrived."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field("tw_id", pattern=r"^[A-Za-z0-9_-]{1,64}$", description="The cookie's name.")
    domain: str = Field("", description="The cookies' domain. Default: the host alone.")
    days: int = Field(400, ge=1, le=400, description="How long the cookie lives; browsers allow 400 days.")
    ack: str = Field(
        "tw_ack",
        pattern=r"^[A-Za-z0-9_-]{0,64}$",
        description="What the cookies' names begin with, read by the tracker, that name what arrived while a page was "
        "left, for ten minutes: `tw_ack0` to `tw_ack2`. Empty: none, and the next page sends such events again, which "
        "count once.",
    )

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        if self.name in self.acks:
            raise ValueError(f"cookie.name {self.name!r} is one of the names that cookie.ack makes; give it another")
        return self

    @property
    def acks(self) -> tuple[str, ...]:
        """The names of the cookies that tell a page what has arrived: three, or none."""
        return tuple(f"{self.ack}{slot}" for slot in range(3)) if self.ack else ()


class Tracker(BaseModel):
    """The browser tracker."""

    model_config = ConfigDict(extra="forbid")

    prefix: str = Field(
        "/tw",
        pattern=r"^(/[A-Za-z0-9._~-]+)+$",
        description="Where web pages find it, as `/t.js` below it, and where it sends to, `/e` below it: a path of "
        "your own that no list of blocked addresses has. `/tracker.js`, `/tw/t.js` and `/tw/e` are served beside it.",
    )

    @property
    def scripts(self) -> tuple[str, ...]:
        """The paths of the script."""
        return tuple(dict.fromkeys((f"{self.prefix}/t.js", "/tw/t.js", "/tracker.js")))

    @property
    def events(self) -> tuple[str, ...]:
        """The paths that take its events; a script sends to the one beside it."""
        return tuple(dict.fromkeys((f"{self.prefix}/e", "/tw/e")))


class Limits(BaseModel):
    """What one request may be, and how much there may be of them. Sizes in bytes, times in seconds."""

    model_config = ConfigDict(extra="forbid")

    event_bytes: int = Field(
        MAX_EVENT_BYTES, gt=0, le=MAX_MESSAGE_BYTES - 16_384, description="One event as stored; what a topic takes."
    )
    event_keys: int = Field(10_000, gt=0, description="Keys of all objects of one event.")
    text_characters: int = Field(65_536, gt=0, description="One text of an event, in characters.")
    depth: int = Field(MAX_DEPTH, gt=0, le=200, description="Objects and lists inside each other.")
    body_bytes: int = Field(6 * 1024 * 1024, gt=0, description="One body, after decompression too.")
    body_values: int = Field(400_000, gt=0, description="Values of one body: its commas and opening brackets.")
    ratio: int = Field(100, gt=0, description="How many times larger a body may become by decompression.")
    batch_events: int = Field(5_000, gt=0, description="Events in one batch.")
    body_seconds: float = Field(30.0, gt=0, description="Time a body may take to arrive.")
    in_flight_bytes: int = Field(
        64 * 1024 * 1024, gt=0, description="Requests being worked on at a time, while their bodies arrive too."
    )
    ip_events_per_second: float = Field(
        500.0, ge=0, description="Events one public address may send with browser keys; 0 = any number."
    )
    key_events_per_second: float = Field(0.0, ge=0, description="Events one write key may send; 0 = any number.")
    burst_seconds: float = Field(20.0, gt=0, description="For how long a rate may be sent at once after a rest.")


class Dedup(BaseModel):
    """How far back the collector knows an event's id. What is older, the aggregator still counts once."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(86_400, ge=0, description="How long an id is remembered.")
    max_ids: int = Field(
        5_000_000, ge=0, description="How many ids a process remembers, whichever is less; they take 11 bytes each."
    )


class Geo(BaseModel):
    """Where people are, by their addresses."""

    model_config = ConfigDict(extra="forbid")

    database: Path | None = Field(
        None,
        description="Your own database in MaxMind's format (.mmdb), such as GeoLite2-Country: events then tell the "
        "country. Read anew within a minute after it changed. Needs the package's extra `geo`.",
    )


class Collect(BaseModel):
    """The collector's own listener, for the platform: strangers must not read metrics."""

    model_config = ConfigDict(extra="forbid")

    listen_metrics: str = Field(
        "127.0.0.1:8083",
        description="Where `collect` answers /health, /ready and /metrics; empty: nowhere. `up` needs none.",
    )


class Raptor(BaseModel):
    """What Raptor's and Ibexa CDP's tracking of a site looks like."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(
        "/raptor/track",
        pattern=r"^(/[A-Za-z0-9._~-]+)+$",
        description="Where the hybrid mode sends events, on the site's own origin.",
    )
    positions: dict[str, dict[str, str]] = Field(
        default_factory=dict,
        description="By event, or `all`: what `p1` to `p999` are, beside the table in docs/protocols/raptor.md.",
    )
    cookies: bool = Field(
        False,
        description="Whether answers to the tracker keep Raptor's cookies (`rsa`, …) for calls of `raptor.push`, as "
        "the hybrid mode does; their id then counts for visitors whom our own cookie does not know.",
    )

    @cached_property
    def table(self) -> Positions:
        """The positions in force."""
        return Positions(self.positions)

    @field_validator("positions")
    @classmethod
    def _are_positions(cls, values: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        Positions(values)
        return values


class CollectorSettings(LogSettings):
    """Who may send, and what is made of a request."""

    listen: str = Field("127.0.0.1:8080", description="Address of write-key paths, tracker, schemas and health.")
    collect: Collect = Field(Collect(), description="The collector's own listener.")
    sources: dict[str, Source] = Field(default_factory=dict, description="The senders, each under its name.")
    cookie: Cookie = Field(Cookie(), description="The first-party cookies.")
    tracker: Tracker = Field(Tracker(), description="The browser tracker.")
    limits: Limits = Field(Limits(), description="What one request may be.")
    dedup: Dedup = Field(Dedup(), description="How far back an event's id is known.")
    raptor: Raptor = Field(Raptor(), description="Raptor's and Ibexa CDP's tracking.")
    snowplow_paths: list[SnowplowPath] = Field(
        default_factory=list, description="Paths of Snowplow's trackers (`postPath`), such as /com.acme/track."
    )
    snowplow_redirect_hosts: list[str] | None = Field(
        None,
        description="Hosts that `/r/tp2` may lead to, such as shop.example. Default: those of the sources' origins.",
    )
    trusted_proxies: list[str] = Field(
        default_factory=list, description="Addresses or networks whose word on address and scheme is believed."
    )
    proxy_header: ProxyHeader = Field(
        "auto",
        description="Where trusted proxies put it: `x-forwarded` (X-Forwarded-For, -Proto), `forwarded` (RFC 7239), "
        "or whichever is there.",
    )
    geo: Geo = Field(Geo(), description="Where people are.")
    respect_dnt: bool = Field(True, description="Whether DNT: 1 without an explicit choice filters a browser's event.")

    @field_validator("snowplow_redirect_hosts")
    @classmethod
    def _hosts(cls, values: list[str] | None) -> list[str] | None:
        for value in values or ():
            if not value or not _HOST.fullmatch(value):
                raise ValueError(f"{value!r} is no host; write shop.example, in lower case, without scheme and path")
        return values

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, values: list[str]) -> list[str]:
        for value in values:
            ipaddress.ip_network(value, strict=False)
        return values

    @model_validator(mode="after")
    def _keys_are_unique(self) -> Self:
        seen: dict[str, str] = {}
        for name, source in self.sources.items():
            for key in (source.browser_key, source.server_key.get_secret_value(), *source.aliases):
                if key and key in seen:
                    raise ValueError(f"sources {seen[key]!r} and {name!r} share a key; each key means one source")
                if key:
                    seen[key] = name
        return self
