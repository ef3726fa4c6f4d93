"""A refused event once more through the intake, as if it had been right when it came: with its own receive time, and
what its request said. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final, NamedTuple

import orjson
from pydantic import ValidationError

from collector.client import describe
from collector.context import Context, Topics
from collector.decode import NotANumber
from collector.intake import Receipt, event_record, intake, pseudonym
from collector.pointers import find, put, read_pointer
from collector.protocols import OF_PROTOCOL, read_messages
from collector.sent import Parsed, Refused
from collector.settings import CollectorSettings, Source
from eventlog.account import REPLAYED_HEADER
from eventlog.errors import RecordTooLarge
from eventlog.event import EVENT, Client, Event
from eventlog.log import Outgoing, refuse_too_large
from eventlog.outcome import Asked, Outcome
from eventlog.timestamps import format_ms, parse_ms
from eventlog.topics import EVENTS, REJECTED

# The outbox numbers what it sends, in a header of at most this size.
_NUMBERED: Final = ("tw_seq", b"9" * 20)

NOT_KEPT: Final = "nothing was kept of it: its request was refused whole, or its sender had not consented"
TOO_LARGE: Final = "it was too large to be kept; only its beginning was"


class NotKept(Exception):  # noqa: N818 - a verdict on the record
    """There is nothing to replay; the text says why."""


class Again(NamedTuple):
    """What becomes of an event when it is replayed: its record where it is `accepted`, else why it is not."""

    status: str
    id: str
    record: Outgoing | None = None
    reason: str = ""
    path: str = ""
    message: str = ""


def kept_event(outcome: Outcome) -> Any:
    """The event of a rejected or poison record, with NaN where it had NaN. Raises NotKept."""
    if outcome["status"] not in ("rejected", "poison"):
        raise NotKept(f"it was {outcome['status']}, on purpose")
    if "event" not in outcome or (outcome["status"] == "rejected" and "request" not in outcome):
        raise NotKept(TOO_LARGE if "prefix" in outcome else NOT_KEPT)
    event = outcome["event"]
    for pointer in outcome.get("request", {}).get("not_numbers", ()):
        if not pointer:
            return NotANumber()
        path = read_pointer(pointer)
        if find(event, path) is None:
            put(event, path, NotANumber())
    return event


class Replay:
    """Replays events under the settings of now."""

    def __init__(self, settings: CollectorSettings) -> None:
        self._settings = settings
        self._sources: Mapping[str, Source] = settings.sources
        self._secret = settings.secret.get_secret_value().encode()
        self._topics = Topics(EVENTS.full_name(settings.topic_prefix), REJECTED.full_name(settings.topic_prefix))

    def again(self, event: Any, outcome: Outcome, position: str) -> Again:
        """What the intake makes of the event (`kept_event`, or what a repair made of it) of the record at `position`
        (`partition/offset`)."""
        # The id that its receipt told; a record without one always gets the same.
        event_id = outcome.get("id") or "replay-" + pseudonym("replay", position, self._secret).decode()
        if outcome["status"] == "poison":
            made = self._canonical(event, event_id, outcome)
        else:
            made = self._sent(event, event_id, outcome)
        if made.record is None:
            return made
        record = made.record._replace(headers=(*made.record.headers, (REPLAYED_HEADER, position.encode())))
        try:
            refuse_too_large([record._replace(headers=(*record.headers, _NUMBERED))])
        except RecordTooLarge as error:
            return Again("rejected", made.id, reason="too_large", message=str(error))
        return made._replace(record=record)

    def _sent(self, event: Any, event_id: str, outcome: Outcome) -> Again:
        source, protocol = self._sources.get(outcome.get("source", "")), outcome.get("protocol", "")
        if source is None or protocol not in OF_PROTOCOL:
            what = "source" if source is None else "protocol"
            return Again("rejected", event_id, reason=f"unknown_{what}", message=f"no such {what} any more")
        asked = outcome["request"]
        parsed = Parsed(protocol, [event], sent_at=asked.get("sent_at"), path=asked["path"])
        parsed.shared = asked.get("shared", {})
        read_messages(parsed)
        for sent in parsed.events:
            if isinstance(sent, Refused):
                sent.id = sent.id or event_id
            elif not sent.event.get("id"):
                sent.event["id"] = event_id
        (receipt,) = intake(parsed, self._context(source, outcome, asked)).receipts
        return _told(receipt)

    def _canonical(self, event: Any, event_id: str, outcome: Outcome) -> Again:
        """A poison record: it is what a collector made, or was to be."""
        if isinstance(event, dict) and "id" not in event:
            event = {"id": event_id, **event}
        try:
            canonical: Event = EVENT.validate_python(event)
            at = parse_ms(canonical["received_at"])
        except (ValidationError, ValueError, OverflowError) as error:
            where = message = ""
            if isinstance(error, ValidationError):
                first = error.errors(include_url=False, include_context=False, include_input=False)[0]
                where, message = ".".join(map(str, first["loc"])), first["msg"]
            return Again("rejected", event_id, reason="not_an_event", path=where, message=message)
        asked: Asked = {"path": "", "key": "server"}
        context = self._context(Source(), outcome, asked)
        context.now = at
        return Again("accepted", canonical["id"], event_record(canonical, orjson.dumps(event), context))

    def _context(self, source: Source, outcome: Outcome, asked: Asked) -> Context:
        server = asked["key"] == "server"
        protocol = outcome.get("protocol", "")
        now = parse_ms(outcome["received_at"])
        client: Client = {} if server else asked.get("client", {})
        return Context(
            source=outcome.get("source", ""), protocol=protocol, server_key=server,
            required_consent=source.requires_consent(protocol, server), respect_dnt=self._settings.respect_dnt,
            filter_bots=source.bots == "filter", limits=self._settings.limits, topics=self._topics,
            secret=self._secret, now=now, received_at=format_ms(now), cookie_id=asked.get("cookie_id"),
            client=client, gpc=asked.get("gpc", False), dnt=asked.get("dnt", False),
            describe=partial(describe, policy=source.ip), consent_rules=source.consent_rules,
            address_policy=source.ip, server_secret=source.server_key.get_secret_value(),
        )  # fmt: skip


def _told(receipt: Receipt) -> Again:
    status, event_id = receipt.status, receipt.id or ""
    if status == "accepted":
        return Again(status, event_id, receipt.record)
    return Again(status, event_id, None, receipt.reason or "", receipt.path or "", receipt.message or "")
