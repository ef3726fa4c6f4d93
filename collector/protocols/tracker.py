"""Our browser tracker's requests: Segment's batches, in which what all events share stands once, in the batch's
`context`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from collector.protocols import segment
from collector.request import Request
from collector.route import Route
from collector.sent import Parsed
from collector.settings import CollectorSettings
from collector.statuses import Code

PROTOCOLS: Final = ("trackway",)
STATUSES: Final[Mapping[Code, int]] = {}
read, refused, answer = segment.read, segment.refused, segment.answer


def routes(settings: CollectorSettings) -> Iterable[Route]:
    return [Route(path) for path in settings.tracker.events]


def unwrap(request: Request) -> Parsed:
    """The messages of a batch or the single one. Raises BadBody (400, 413)."""
    body = request.take_json()
    parsed = segment.messages_of(body, request, isinstance(body, dict) and "batch" not in body)
    parsed.protocol = "trackway"
    return parsed
