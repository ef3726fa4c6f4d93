"""A configured export: what, from where, with which processors, to which stream, when.

Settings models (`CdpAccount`, `WorkflowSettings`) and `Workflow`, one of them with its account and its stable id.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Protocol

import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from exporter.cron import parse_cron

Kind = Literal["user", "content", "product", "interaction"]
Mode = Literal["draft", "live"]
SourceKind = Literal["profiles", "events", "ndjson"]
Use = Literal["skip", "json", "date_of_birth"]

_SOURCES_OF: Final[Mapping[Kind, frozenset[SourceKind]]] = {
    "user": frozenset({"profiles", "ndjson"}),
    "content": frozenset({"ndjson"}),
    "product": frozenset({"ndjson"}),
    "interaction": frozenset({"events"}),
}


class WorkflowError(Exception):
    """A workflow that does not exist or cannot be run as it is configured; the text says what to do."""


class CdpAccount(BaseModel):
    """One account at the CDP and how to speak with it. Times are in seconds."""

    model_config = ConfigDict(extra="forbid")

    account_number: Annotated[str, Field(pattern=r"^[0-9]{1,10}$")] = Field(
        description="The account's number, from the CDP's dashboard; digits, in quotes."
    )
    endpoint: str = Field(
        "https://in.raptorsmartadvisor.com", description="Where the Streaming API is, without `/stream/…`."
    )
    timeout: float = Field(30.0, gt=0, description="Seconds one request may take.")
    tries: int = Field(8, ge=1, le=50, description="How often a batch is sent before its stream is given up.")
    first_wait: float = Field(1.0, gt=0, description="Longest wait before the second try; doubles with each try.")
    longest_wait: float = Field(60.0, gt=0, description="Longest wait between two tries, unless Retry-After asks more.")

    @field_validator("endpoint")
    @classmethod
    def _http(cls, value: str) -> str:
        if not re.match(r"^https?://[^/\s?#@]+(/[^\s?#]*)?$", value):
            raise ValueError("must be an http:// or https:// address without credentials, query and fragment")
        return value.rstrip("/")


class SourceSettings(BaseModel):
    """Where a workflow's items come from. `profiles`, `events` and `ndjson:FILE` are short for it."""

    model_config = ConfigDict(extra="forbid")

    kind: SourceKind = Field(description="profiles: our own profiles; events: the event log; ndjson: a file.")
    path: str = Field("", description="The NDJSON file: one JSON object a line. Relative to the settings file.")
    key: str = Field("", description="The column that names a row; default `code` for products, else `id`.")
    modified: str = Field(
        "modified_at", description="The column that says when a row changed (RFC 3339), if it has one."
    )
    traits: list[str] = Field(
        default_factory=list, description="Of `profiles`: the traits that become columns. Empty: all simple values."
    )
    names: list[str] = Field(
        default_factory=list, description="Of `events`: the names of the events to forward. Empty: all."
    )

    @model_validator(mode="after")
    def _belongs(self) -> SourceSettings:
        if (self.kind == "ndjson") != bool(self.path):
            raise ValueError("`path` belongs to `ndjson` and is needed there")
        for name, kind in (("key", "ndjson"), ("traits", "profiles"), ("names", "events")):
            if getattr(self, name) and self.kind != kind:
                raise ValueError(f"`{name}` belongs to `{kind}`, not to `{self.kind}`")
        return self


class ProcessorSettings(BaseModel):
    """One processor beside the default ones. `skip:TYPE` and `json:TYPE` are short for it."""

    model_config = ConfigDict(extra="forbid")

    use: Use = Field(
        description="skip: leaves the whole field out; json: its value as JSON text; date_of_birth: a column of users."
    )
    type: str = Field("", description="The field type it is for; empty for processors of users.")
    priority: int = Field(0, description="The higher goes first; the default ones have -100.")

    @model_validator(mode="after")
    def _of_a_type(self) -> ProcessorSettings:
        if (self.use == "date_of_birth") == bool(self.type):
            raise ValueError("`skip` and `json` need a field type, as in `skip:ezimage`; `date_of_birth` has none")
        return self


class WorkflowSettings(BaseModel):
    """One export: its kind, source, stream, schedule and mode. Times are in seconds."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    kind: Kind = Field(description="What the rows are: user, content, product or interaction.")
    from_: SourceSettings = Field(alias="from", description="`profiles`, `events`, `ndjson:FILE`, or a mapping.")
    scope: str = Field("default", description="The account's name under `cdp`; `default` where it has no such name.")
    stream_id: SecretStr = Field(description="The stream's id, from the CDP's dataflow. Keep it in the environment.")
    every: str = Field("", description="Crontab text such as `*/30 * * * *`, or `10s`; empty: run by hand only.")
    mode: Mode | None = Field(
        None, description="draft: a sample for the CDP's Data Manager; live: everything. Required with `every`."
    )
    batch_rows: int = Field(500, ge=1, le=10_000, description="Most rows of one request.")
    batch_bytes: int = Field(1024 * 1024, ge=1024, description="Most bytes of one request.")
    processors: list[ProcessorSettings] = Field(
        default_factory=list,
        description="Processors beside the default ones: `skip:TYPE`, `json:TYPE`, `date_of_birth`.",
    )
    write_mode: Literal["append", "overwrite"] = Field(
        "append", description="The dataflow's write mode; overwrite replaces the data set, so each run is a full one."
    )
    require_draft: bool = Field(
        True, description="Live runs refuse until a draft with the same columns and processors was accepted."
    )
    draft_rows: int = Field(100, ge=1, le=10_000, description="Rows of a draft: the fullest ones of those read.")
    consent: Literal["required", "implied"] = Field(
        "required",
        description="What it means that a person said nothing on third_party_sharing: nothing is exported, or it is.",
    )
    on_withdrawal: Literal["stop", "blank"] = Field(
        "blank",
        description="Users who withdraw third_party_sharing: their row stays as it was, or is emptied but for its key.",
    )
    full_days: float = Field(7.0, gt=0, description="Days after which an incremental run becomes a full one.")
    overlap: float = Field(300.0, ge=0, description="How far an incremental run reads back before its last start.")
    misfire_grace: float = Field(3600.0, ge=0, description="How late a missed tick may still be made up for, once.")
    refused_share: float = Field(0.05, ge=0, le=1, description="Share of refused rows above which a run has failed.")
    unknown_outcome: Literal["duplicate", "lose"] = Field(
        "duplicate",
        description="Interactions whose request has no known outcome: send them again (each has an event_id) or not.",
    )

    @field_validator("from_", mode="before")
    @classmethod
    def _short_source(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        kind, _, path = value.partition(":")
        return {"kind": kind, "path": path} if path else {"kind": kind}

    @field_validator("processors", mode="before")
    @classmethod
    def _short_processors(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return [_short_processor(one) if isinstance(one, str) else one for one in value]

    @field_validator("stream_id")
    @classmethod
    def _header_value(cls, value: SecretStr) -> SecretStr:
        if not re.match(r"^[\x21-\x7e]{1,200}$", value.get_secret_value()):
            raise ValueError("must be the id the CDP shows: not empty, without spaces")
        return value

    @field_validator("every")
    @classmethod
    def _crontab(cls, value: str) -> str:
        if value:
            parse_cron(value)
        return value

    @model_validator(mode="after")
    def _fits(self) -> WorkflowSettings:
        if self.from_.kind not in _SOURCES_OF[self.kind]:
            allowed = " or ".join(sorted(_SOURCES_OF[self.kind]))
            raise ValueError(f"a workflow of kind {self.kind} reads from {allowed}, not from {self.from_.kind}")
        if self.every and self.mode is None:
            raise ValueError("a scheduled workflow needs `mode: draft` or `mode: live`")
        if self.kind == "interaction" and self.write_mode == "overwrite":
            raise ValueError("interactions are always appended; `write_mode: overwrite` is for the other kinds")
        named = [(one.use, one.type) for one in self.processors]
        for use, field_type in named:
            if named.count((use, field_type)) > 1:
                raise ValueError(f"the processor {':'.join(filter(None, (use, field_type)))} is there twice")
            if use == "date_of_birth" and self.kind != "user":
                raise ValueError("`date_of_birth` is a processor of users")
        return self


def _short_processor(text: str) -> dict[str, str]:
    use, _, field_type = text.partition(":")
    return {"use": use, "type": field_type}


class ExportSettings(Protocol):
    """The part of the settings that exports read."""

    @property
    def cdp(self) -> Mapping[str, CdpAccount]: ...

    @property
    def workflows(self) -> Mapping[str, WorkflowSettings]: ...


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow with its account."""

    name: str
    settings: WorkflowSettings
    account: CdpAccount

    @property
    def id(self) -> str:
        """What the ledger knows it by: outlives edits of name and schedule, changes with stream and source."""
        source = self.settings.from_
        return _digest(
            self.settings.kind, self.account.account_number, self._stream_id, source.kind, source.path, source.key
        )

    @property
    def stream(self) -> str:
        """Names the stream in leases without telling its id."""
        return _digest(self.account.endpoint, self.account.account_number, self._stream_id)

    @property
    def stream_tail(self) -> str:
        """The last four characters: what people may see."""
        return "…" + self._stream_id[-4:]

    @property
    def key_column(self) -> str:
        """The column that names a row."""
        kind = self.settings.kind
        return self.settings.from_.key or {"product": "code", "interaction": "event_id"}.get(kind, "id")

    @property
    def fingerprint(self) -> str:
        """Of what decides which columns there are: a draft speaks for live runs of the same one only."""
        source = self.settings.from_
        processors = sorted((one.use, one.type, one.priority) for one in self.settings.processors)
        return _digest(self.settings.kind, source.kind, self.key_column, sorted(source.traits), processors)

    @property
    def repeatable(self) -> bool:
        """Whether the stream takes a row a second time without harm: it keeps one row a key. Interactions it adds."""
        return self.settings.kind != "interaction"

    @property
    def often(self) -> bool:
        """Whether its schedule is one of seconds."""
        return bool(self.settings.every) and parse_cron(self.settings.every).seconds > 0

    @property
    def url(self) -> str:
        """Where the rows are posted to."""
        return f"{self.account.endpoint}/stream/{self.account.account_number}"

    @property
    def _stream_id(self) -> str:
        return self.settings.stream_id.get_secret_value()


def find_workflow(settings: ExportSettings, name: str) -> Workflow:
    """The workflow `name` with its account. Raises WorkflowError."""
    found = settings.workflows.get(name)
    if found is None:
        known = ", ".join(sorted(settings.workflows)) or "none is configured"
        raise WorkflowError(f"there is no workflow {name!r}; known: {known}")
    account = settings.cdp.get(found.scope) or settings.cdp.get("default")
    if account is None:
        raise WorkflowError(
            f"workflow {name!r} has the scope {found.scope!r}, and `cdp` has neither that nor `default`: add it"
        )
    return Workflow(name, found, account)


def _digest(*parts: object) -> str:
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()[:24]
