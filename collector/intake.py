"""From what senders meant to what readers get: canonical events, and the outcomes of those that are none.

Pure: who sent it and when are arguments.
"""

from __future__ import annotations

import hmac
import uuid
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from collector import commerce
from collector.consent import verdict, with_signals
from collector.decode import NotANumber
from collector.event_time import event_time, read_time
from collector.page import campaign_of, page_of
from collector.sent import Parsed, Refused, Sent, without_blanks
from collector.settings import Limits
from eventlog import identifiers
from eventlog.errors import FilteredReason, Rejected
from eventlog.event import MAX_ID_CHARACTERS, Channel, Client, Event
from eventlog.identifiers import email_in_ruid, normalise
from eventlog.log import Headers, Outgoing
from eventlog.outcome import Outcome, Status
from eventlog.timestamps import format_ms

_CONTENT_TYPE: Final = ("content-type", b"application/json")
_SPEC: Final = ("ce_specversion", b"1.0")


class Topics(NamedTuple):
    """The full names of the topics the collector writes to."""

    events: str
    rejected: str


@dataclass(slots=True)
class Context:
    """What intake needs to know beside the body: the source's policy and facts of the request. `now` in milliseconds;
    `client`, `gpc` and `dnt` are a browser's, so empty and False with a server key."""

    source: str
    protocol: str
    server_key: bool
    required_consent: bool
    respect_dnt: bool
    filter_bots: bool
    limits: Limits
    topics: Topics
    secret: bytes
    now: int
    cookie_id: str | None
    received_at: str
    client: Client
    gpc: bool
    dnt: bool
    # What every record of this collector carries in its headers beside what its topic documents.
    collector: Headers = ()


@dataclass(slots=True)
class Receipt:
    """What became of one event; its record, if it is to be stored. `status` as in receipts."""

    id: str | None
    status: Status
    record: Outgoing
    reason: str | None = None
    path: str | None = None
    message: str | None = None


@dataclass(slots=True)
class Taken:
    """A whole request: receipts in the order sent, and the anonymous id the cookie should hold ("" to expire it)."""

    receipts: list[Receipt] = field(default_factory=list)
    cookie_id: str | None = None


def intake(parsed: Parsed, context: Context) -> Taken:
    """Canonical events and outcomes of a request, one receipt an event."""
    taken = Taken()
    sent_at = read_time(parsed.sent_at)
    # Our tracker cannot read its HttpOnly cookie, so the cookie wins; for other SDKs it only fills gaps.
    first = context.cookie_id if parsed.protocol == "trackway" else None
    last = context.cookie_id
    for sent in parsed.events:
        if isinstance(sent, Refused):
            taken.receipts.append(_refused(sent.error, sent.id, sent.prefix, context))
            continue
        event = sent.event
        held = first or (last if "anonymous_id" not in event else None)
        if held:
            event["anonymous_id"] = held
        receipt = _take(sent, sent_at, context)
        taken.receipts.append(receipt)
        if event["name"] == "reset":
            # The reset itself belongs to the old id; what follows to the new one that the client proposes.
            first = last = None
        if receipt.status == "accepted" and not context.server_key:
            _keep_cookie(taken, event)
    return taken


def _keep_cookie(taken: Taken, event: Event) -> None:
    withdrawn = event["name"] == "consent" and event.get("consent", {}).get("analytics") is False
    if withdrawn or event["name"] == "reset":
        taken.cookie_id = ""
    elif normalise("anon", event.get("anonymous_id")):
        taken.cookie_id = event["anonymous_id"]


def _take(sent: Sent, sent_at: int | None, context: Context) -> Receipt:
    event = sent.event
    event_id = event.get("id") or str(uuid.uuid4())
    try:
        if len(event_id) > MAX_ID_CHARACTERS:
            raise Rejected("too_long", f"{sent.path}.messageId".lstrip("."), "an id has 256 characters at most")
        event["id"] = event_id
        _complete(sent, event, sent_at, context)
        reason = _why_not(event, context)
        if reason:
            outcome: Outcome = {
                "status": "filtered", "reason": reason, "source": context.source, "id": event_id,
                "received_at": context.received_at, "protocol": context.protocol,
            }  # fmt: skip
            return Receipt(event_id, "filtered", outcome_record(outcome, event_id, context), reason)
        value = orjson.dumps(event)
        if len(value) > context.limits.event_bytes:
            raise Rejected("too_large", sent.path, f"an event has {context.limits.event_bytes} bytes at most")
    except Rejected as error:
        return _refused(error, event_id, "", context)
    key, headers = record_key(event, context.secret), (*_headers(event), *context.collector)
    record = Outgoing(context.topics.events, key, value, headers, context.now)
    return Receipt(event_id, "accepted", record)


def _complete(sent: Sent, event: Event, sent_at: int | None, context: Context) -> None:
    """Make what the sender stated a canonical event. It is built to be what `eventlog.event.EVENT` asks for; a test
    tries that with whatever senders may come up with."""
    channel: Channel = "server" if context.server_key or sent.server_side else "web"
    event["source"], event["channel"], event["protocol"] = context.source, channel, context.protocol
    client_time = read_time(sent.client_time)
    occurred, source = event_time(client_time, sent_at, context.now, channel == "server" or sent.exact_time)
    event["occurred_at"], event["time_source"], event["received_at"] = format_ms(occurred), source, context.received_at
    if client_time is not None and client_time != occurred:
        event["client_time"] = format_ms(client_time)
    if sent_at is not None:
        event["sent_at"] = format_ms(sent_at)
    email = normalise("email", sent.email) or email_in_ruid(event.get("user_id"))
    if email:
        event["identifiers"] = {"email": email}
    properties = event.get("properties", {})
    if properties:
        _walk(properties, sent.properties_path, context.limits.depth)
        event["properties"] = without_blanks(properties)
    if "traits" in event:
        _walk(event["traits"], f"{sent.path}.traits".lstrip("."), context.limits.depth)
    commerce.lift(event, sent.meaning, properties, sent.properties_path)
    if "page" in event:
        campaign = campaign_of(event)
        if campaign:
            event["campaign"] = campaign
        event["page"] = page_of(event["page"])
    if context.client:
        event["client"] = {**context.client, **event.get("client", {})}
    if context.gpc or context.dnt:
        event["consent"] = with_signals(event.get("consent", {}), context.gpc, context.dnt)


def _why_not(event: Event, context: Context) -> FilteredReason | None:
    """Why an event is not kept, though nothing is wrong with it."""
    respect_dnt = context.respect_dnt and event["channel"] == "web"
    reason = verdict(event["name"], event.get("consent"), context.required_consent, respect_dnt)
    return reason or ("bot" if context.filter_bots and "bot" in context.client else None)


_NOT_FLAT: Final = frozenset((dict, list, NotANumber))


def _walk(value: Any, path: str, depth: int) -> None:
    """Depth, and numbers JSON does not have."""
    if depth < 0:
        raise Rejected("too_deep", path, "objects and lists stand too deep inside each other")
    is_list = isinstance(value, list)
    if _NOT_FLAT.isdisjoint(map(type, value if is_list else value.values())):
        return
    for key, one in enumerate(value) if is_list else value.items():
        if type(one) in _NOT_FLAT:
            where = f"{path}[{key}]" if is_list else f"{path}.{key}"
            if isinstance(one, NotANumber):
                raise Rejected("not_a_number", where, "NaN and infinities are no numbers in JSON")
            _walk(one, where, depth - 1)


def _refused(error: Rejected, event_id: str | None, prefix: str, context: Context) -> Receipt:
    outcome: Outcome = {
        "status": "rejected", "reason": error.reason, "source": context.source, "message": error.message,
        "received_at": context.received_at, "protocol": context.protocol,
    }  # fmt: skip
    if event_id:
        outcome["id"] = event_id[:256]
    if error.path:
        outcome["path"] = error.path
    if prefix:
        outcome["prefix"] = prefix
    record = outcome_record(outcome, event_id or context.source, context)
    return Receipt(event_id, "rejected", record, error.reason, error.path, error.message)


def outcome_record(outcome: Outcome, key: str, context: Context) -> Outgoing:
    """A record of the rejected topic."""
    name = pseudonym("id", key, context.secret)
    return Outgoing(
        context.topics.rejected, name, orjson.dumps(outcome), (_CONTENT_TYPE, *context.collector), context.now
    )


def record_key(event: Event, secret: bytes) -> bytes:
    """Who the event is about, as 16 hex digits: anonymous id, else user id, else e-mail, else the event's own id."""
    return (
        _person_key("anon", event.get("anonymous_id"), secret)
        or _person_key("user", event.get("user_id"), secret)
        or _person_key("email", event.get("identifiers", {}).get("email"), secret)
        or pseudonym("id", event["id"], secret)
    )


# A visitor sends many events, most of them soon after one another.
@lru_cache(maxsize=16_384)
def _person_key(kind: identifiers.Kind, value: str | None, secret: bytes) -> bytes | None:
    one = normalise(kind, value)
    return pseudonym(kind, one, secret) if one else None


def pseudonym(kind: str, value: str, secret: bytes) -> bytes:
    return hmac.digest(secret, f"{kind}:{value}".encode(), "sha256").hex()[:16].encode()


def _headers(event: Event) -> Headers:
    return (
        _SPEC, _CONTENT_TYPE, ("ce_id", event["id"].encode()), ("ce_source", event["source"].encode()),
        ("ce_type", event["name"].encode()), ("ce_time", event["occurred_at"].encode()),
    )  # fmt: skip
