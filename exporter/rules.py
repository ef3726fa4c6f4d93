"""Settings of the rules by which sessions, identities and profiles are made."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from eventlog.timestamps import DAY_MS


class Rules(BaseModel):
    """The rules' adjustable values. Times are in seconds unless the name says days.

    A change takes effect on members made from then on (`late_after`, `trusted_sources`, `blocked_ids`) or on whatever
    is assembled from then on (the rest).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    session_gap: int = Field(1800, gt=0, description="Seconds without an event after which a new session begins.")
    session_max: int = Field(43200, gt=0, description="Seconds after which a session ends even if events go on.")
    engaged_after: int = Field(10, ge=0, description="A session longer than this many seconds counts as engaged.")
    key_events: list[str] = Field(["buy"], description="Event names that make a session count as engaged.")
    late_after: int = Field(
        259200,
        gt=0,
        description="Seconds after which an event that arrives makes no session and no identity any more; a session is "
        "final this long after it closed.",
    )
    backstitch_days: int = Field(
        30, ge=0, description="Days for which what an anonymous visitor did before a login counts as the person's."
    )
    emails_per_user: int = Field(
        5, ge=1, description="How many of a user's e-mails, the latest used first, belong to the user."
    )
    bot_events_per_minute: int = Field(
        300, ge=1, description="A visitor with more browser events than this in one minute is a bot on that day."
    )
    trusted_sources: list[str] = Field(
        default_factory=list,
        description="Sources whose server events say truly which anonymous id belongs to which person.",
    )
    blocked_ids: list[str] = Field(
        default_factory=list, description="Identifiers that stand for nobody, beside those every installation ignores."
    )
    source_priority: dict[str, int] = Field(
        default_factory=dict, description="Which source's traits win: the highest number does. Unnamed sources have 0."
    )

    @field_validator("blocked_ids")
    @classmethod
    def _one_case(cls, values: list[str]) -> list[str]:
        return [value.strip().lower() for value in values]

    @property
    def gap_ms(self) -> int:
        """Milliseconds without an event after which a new session begins."""
        return self.session_gap * 1000

    @property
    def max_ms(self) -> int:
        """Milliseconds after which a session ends even if events go on."""
        return self.session_max * 1000

    @property
    def late_ms(self) -> int:
        """Milliseconds after which an event is too late."""
        return self.late_after * 1000

    @property
    def backstitch_ms(self) -> int:
        """Milliseconds before a login that still count as the person's."""
        return self.backstitch_days * DAY_MS
