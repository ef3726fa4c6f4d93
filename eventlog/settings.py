"""Settings of the event log."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator


class SpoolSettings(BaseModel):
    """The collector's own disk, for what Kafka does not acknowledge in time. Sizes in bytes."""

    model_config = ConfigDict(extra="forbid")

    quota_bytes: int = Field(2 * 2**30, gt=0, description="How much a process may hold; then it answers 503.")
    min_free_bytes: int = Field(
        512 * 2**20, ge=0, description="How much of the disk stays free; below it the answer is 507."
    )
    warn_seconds: float = Field(
        60.0, ge=0, description="How long the oldest record may wait there before /ready and an alert tell of it."
    )


class LogSettings(BaseModel):
    """Where the log is and how long to wait for it. Times are in seconds, sizes in bytes."""

    model_config = ConfigDict(extra="forbid")

    data: Path = Field(
        Path("var"),
        description="Folder of all this process keeps: embedded log and store, spool, secret, admin token.",
    )
    log: str = Field(
        "",
        description="The event log: `kafka://host:9092,host2:9092`, `kafka+ssl://user:password@host:9093"
        "?sasl_mechanism=SCRAM-SHA-256&ca=/path/ca.pem` or `sqlite:///folder`. Default: `sqlite:///<data>/log`.",
    )
    topic_prefix: str = Field(
        "trackway.", pattern=r"^[a-zA-Z0-9._-]{1,100}$", description="What every topic's name begins with."
    )
    secret: SecretStr = Field(
        SecretStr(""),
        description="Makes keys and pseudonyms. Required with Kafka or PostgreSQL, else kept in `<data>/secret`. "
        "Must never change.",
    )
    append_deadline: float = Field(
        1.0,
        gt=0,
        description="Seconds an append may wait for the log. Then it goes to the collector's own disk (Kafka) or is "
        "refused with 503 (embedded log).",
    )
    spool: SpoolSettings = Field(SpoolSettings(), description="The disk for what Kafka does not acknowledge in time.")
    drain_time: float = Field(
        25.0, gt=0, description="Seconds a stopping process may take to finish what is in flight."
    )

    @field_validator("log")
    @classmethod
    def _known_scheme(cls, value: str) -> str:
        if value and not value.startswith(("kafka://", "kafka+ssl://", "sqlite:///")):
            raise ValueError("must begin with kafka://, kafka+ssl:// or sqlite:///")
        return value

    @property
    def is_kafka(self) -> bool:
        return self.log.startswith("kafka")

    @property
    def log_folder(self) -> Path:
        """The embedded log's folder; meaningless on Kafka."""
        return Path(self.log.removeprefix("sqlite:///")) if self.log else self.data / "log"
