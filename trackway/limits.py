"""Settings of the HTTP listeners."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ConnectionLimits(BaseModel):
    """HTTP connections, of each listener. Sizes in bytes, times in seconds."""

    model_config = ConfigDict(extra="forbid")

    most: int = Field(
        4_000, gt=0, description="Open at a time. The longest idle one makes room for a new one; with none idle, 503."
    )
    idle_seconds: int = Field(75, gt=0, description="For how long a connection waits for its next request.")
    header_seconds: float = Field(10.0, gt=0, description="Time a request's headers may take to arrive.")
    header_bytes: int = Field(32_768, gt=0, description="A request's first line and headers.")
    headers: int = Field(200, gt=0, description="How many headers a request may have.")
    body_seconds: float = Field(
        35.0, gt=0, description="Time a body may take on any path; after `limits.body_seconds`, which answers first."
    )
    answer_seconds: float = Field(60.0, gt=0, description="Time a client may take to read an answer.")
    unread_bytes: int = Field(
        16 * 1024 * 1024, gt=0, description="Answers not read yet, of all connections; the oldest are given up first."
    )
