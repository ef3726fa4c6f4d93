"""Settings of the services behind the log: store, rules, admin pages, exports."""

from __future__ import annotations

from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, field_validator, model_validator

from eventlog.settings import LogSettings
from exporter.rules import Rules
from exporter.workflow import CdpAccount, WorkflowError, WorkflowSettings, find_workflow


class Admin(BaseModel):
    """The listener of API, console and metrics, and the token that opens it."""

    model_config = ConfigDict(extra="forbid")

    listen: str = Field(
        "",
        description="Address of API, console and metrics. Default: of `up` the same as `listen` while that is "
        "loopback, else 127.0.0.1:8081.",
    )
    token: SecretStr = Field(
        SecretStr(""),
        description="The token that signs an administrator in. Required with PostgreSQL, else made in "
        "`<data>/admin-token`.",
    )


class Aggregate(BaseModel):
    """The aggregator: its own listener, and what it puts up with."""

    model_config = ConfigDict(extra="forbid")

    listen: str = Field(
        "127.0.0.1:8082", description="Where `aggregate` answers /health, /ready and /metrics; `up` needs none."
    )
    lag_records: int = Field(
        1_000_000, ge=0, description="Not ready while more records than this wait to be folded; 0: however many."
    )
    lag_seconds: float = Field(
        300.0, ge=0, description="Not ready while it is further behind the log than this; 0: however far."
    )
    max_poison: float = Field(
        1.0,
        ge=0,
        le=100,
        description="How many percent of a batch's records of one partition may be such that they cannot be folded or "
        "stored (ten always may): with more the partition is stopped instead of setting them aside.",
    )


class ExporterSettings(LogSettings):
    """Where profiles are kept, by which rules they are made, and where they are sent."""

    store: str = Field(
        "",
        description="Where profiles are kept: `sqlite:///file` or `postgresql://user:password@host/database`. "
        "Default: `sqlite:///<data>/store.db`.",
    )
    public_url: str = Field(
        "",
        pattern=r"^(https?://[^/\s?#@]+(/[^\s?#]*[^\s?#/])?)?$",
        description="Where browsers reach the collector, as `https://t.shop.example`, for the snippets the console "
        "shows. Default: `http://<listen>`.",
    )
    admin: Admin = Field(Admin(), description="The listener of API, console and metrics.")
    aggregate: Aggregate = Field(Aggregate(), description="The aggregator.")
    rules: Rules = Field(Rules(), description="The rules of sessions, identity and profiles.")
    cdp: dict[str, CdpAccount] = Field(default_factory=dict, description="Accounts of the customer data platform.")
    workflows: dict[str, WorkflowSettings] = Field(default_factory=dict, description="Exports, each under its name.")
    timezone: str = Field("UTC", description="The time zone in which the schedules of workflows are read.")
    trace_days: int = Field(
        35, ge=1, description="Days for which the identity and the whereabouts of each event are remembered."
    )

    _folder: Path = PrivateAttr(Path())

    @property
    def folder(self) -> Path:
        """What the paths of workflows' files are relative to: where the settings file is."""
        return self._folder

    def lie_in(self, folder: Path) -> None:
        """Say where the settings file is."""
        self._folder = folder

    @field_validator("store")
    @classmethod
    def _known_store(cls, value: str) -> str:
        if value and not value.startswith(("sqlite:///", "postgresql://")):
            raise ValueError("must begin with sqlite:/// or postgresql://")
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("no such time zone; write a name such as Europe/Oslo") from error
        return value

    @model_validator(mode="after")
    def _have_accounts(self) -> Self:
        for name in self.workflows:
            try:
                find_workflow(self, name)
            except WorkflowError as error:
                raise ValueError(str(error)) from None
        return self

    @property
    def store_url(self) -> str:
        """The store's URL with the default filled in."""
        return self.store or f"sqlite:///{self.data / 'store.db'}"
