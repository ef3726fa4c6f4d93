"""One file a family of protocols. To add one, write its file and put it into the table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

from collector.protocols import (
    cloudevents,
    ga4,
    jitsu,
    mixpanel,
    plausible,
    posthog,
    raptor,
    rudderstack,
    segment,
    snowplow,
    tracker,
    umami,
)
from collector.request import Request
from collector.route import Reply, Route
from collector.sent import Parsed, Refused, Sent
from collector.settings import CollectorSettings
from collector.statuses import Code
from eventlog.errors import Rejected


class Family(Protocol):
    """What a protocol's module offers."""

    @property
    def PROTOCOLS(self) -> tuple[str, ...]:  # noqa: N802 - a module's constant
        """What its events carry as `protocol`."""

    @property
    def STATUSES(self) -> Mapping[Code, int]:  # noqa: N802
        """The statuses of refusals that its clients need to be others than those of `statuses.CODES`."""

    def routes(self, settings: CollectorSettings) -> Iterable[Route]:
        """The paths of its senders."""

    def unwrap(self, request: Request) -> Parsed:
        """The messages of a request and what they share; nothing is read of them yet. `Parsed.protocol` may be another
        family's, where a path is shared. Raises BadBody where the whole body cannot be one of this protocol."""

    def read(self, message: Any, path: str, parsed: Parsed) -> Sent:
        """One message, which stands at `path` in the body. Raises Rejected. It is read again, from `parsed.shared`,
        `sent_at` and `path` alone, when it is repaired and replayed."""

    def refused(self, error: Rejected, message: Any, parsed: Parsed) -> Refused:
        """What can be told of a message that `read` refuses, whatever it is."""

    def answer(self, receipts: list[dict[str, Any]], reply: Any) -> Reply:
        """The answer to a success; `reply` is `Parsed.reply`."""


FAMILIES: Final[tuple[Family, ...]] = (
    tracker, segment, rudderstack, jitsu, posthog, mixpanel, ga4, cloudevents, raptor, snowplow, plausible, umami,
)  # fmt: skip

OF_PROTOCOL: Final[dict[str, Family]] = {name: family for family in FAMILIES for name in family.PROTOCOLS}


def family_of(family: Family, headers: Mapping[bytes, bytes]) -> Family:
    """Whose a request is, of whose path it came to: CloudEvents say by their headers what they are, and may come to any
    path that takes events."""
    return cloudevents if cloudevents.are_meant(headers) else family


def parse(family: Family, request: Request) -> Parsed:
    """A request's events and what is wrong with those that are none. Raises BadBody."""
    parsed = family.unwrap(request)
    parsed.path = request.path
    read_messages(parsed)
    return parsed


def read_messages(parsed: Parsed) -> None:
    """Read each message by itself: a bad one is refused alone."""
    family = OF_PROTOCOL[parsed.protocol]
    for at, message in enumerate(parsed.messages):
        path = "" if parsed.list_name is None else f"{parsed.list_name}[{at}]"
        try:
            parsed.events.append(family.read(message, path, parsed))
        except Rejected as error:
            # Its traceback would keep the whole body, and itself, until Python looks for garbage.
            error.__context__ = None
            parsed.events.append(family.refused(error.with_traceback(None), message, parsed))
