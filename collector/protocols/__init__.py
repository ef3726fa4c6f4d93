"""One file a family of protocols; the table says which paths are whose (each also with a slash at its end)."""

from __future__ import annotations

from typing import Any, Final, Protocol

from collector.protocols import segment
from collector.sent import Parsed
from eventlog.outcome import Asked


class Family(Protocol):
    """What a protocol's module offers."""

    def parse(self, body: Any, path: str, limit: int) -> Parsed:
        """The body's events. Raises BadBody where the whole body cannot be one of this protocol."""

    def body_of(self, message: Any, asked: Asked) -> Any:
        """A body with this one message, which `parse` reads as it read the message in the request it came in."""

    def answer(self, receipts: list[dict[str, Any]]) -> bytes:
        """The body of a success."""


PATHS: Final[dict[str, Family]] = dict.fromkeys(segment.PATHS, segment)
