"""From what senders meant to what readers get: canonical events, and the outcomes of those that are none.

Pure: who sent it and when are arguments.
"""

from __future__ import annotations

import hmac
import uuid
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, cast

from collector import commerce
from collector.consent import snapshot, verdict
from collector.context import Context, Topics
from collector.event_time import event_time, read_time
from collector.keeping import asked_of, keep, may_be_kept
from collector.page import campaign_of, page_of
from collector.redaction import redacted
from collector.sent import Numbered, Parsed, Refused, Sent, without_blanks
from collector.shape import check_names, check_size, check_values
from eventlog import identifiers
from eventlog.compact import dumps
from eventlog.errors import FilteredReason, Rejected
from eventlog.event import MAX_ID_CHARACTERS, Channel, Client, Event, Page
from eventlog.identifiers import email_in_ruid, normalise
from eventlog.log import Headers, Outgoing
from eventlog.outcome import MAX_PATH_CHARACTERS, Asked, Outcome, Status
from eventlog.timestamps import format_ms

__all__ = [
    "Context",
    "Receipt",
    "Taken",
    "Topics",
    "event_record",
    "intake",
    "outcome_record",
    "pseudonym",
    "record_key",
    "say_number",
]

_CONTENT_TYPE: Final = ("content-type", b"application/json")
_NO_CLIENT: Final[Client] = {}
_NO_PAGE: Final[Page] = {}
_SPEC: Final = ("ce_specversion", b"1.0")


@dataclass(slots=True)
class Receipt:
    """What became of one event; its record, if it is to be stored. `status` as in receipts. `numbered` is for the
    record of a duplicate."""

    id: str | None
    status: Status
    record: Outgoing
    reason: str | None = None
    path: str | None = None
    message: str | None = None
    numbered: Numbered | None = None


@dataclass(slots=True)
class Taken:
    """A whole request: receipts in the order sent, and the anonymous id the cookie should hold ("" to expire it).
    `is_withdrawn`: the person's last word was that nothing may be kept; `is_reset`: what the browser held was of
    somebody else."""

    receipts: list[Receipt] = field(default_factory=list)
    cookie_id: str | None = None
    is_withdrawn: bool = False
    is_reset: bool = False


def intake(parsed: Parsed, context: Context) -> Taken:
    """Canonical events and outcomes of a request, one receipt an event. The events are taken out of `parsed`."""
    taken = Taken()
    sent_at = read_time(parsed.sent_at)
    # Our tracker cannot read its HttpOnly cookie, so the cookie wins; for other SDKs it only fills gaps.
    first = context.cookie_id if parsed.protocol == "trackway" else None
    last = context.cookie_id
    without_cookie = parsed.is_anonymous or parsed.is_cookieless
    # Taken out of their list one by one: an event's values take five times the memory of its record.
    waiting = parsed.events[::-1]
    parsed.events.clear()
    while waiting:
        sent = waiting.pop()
        if isinstance(sent, Refused):
            taken.receipts.append(
                _refused(sent.error, sent, _kept_of(parsed, len(taken.receipts), last, context), context)
            )
            continue
        event = sent.event
        held = first or (last if "anonymous_id" not in event and not sent.server_side else None)
        if held:
            event["anonymous_id"] = held
        try:
            receipt = _take(sent, len(taken.receipts), sent_at, context)
        except Rejected as error:
            receipt = _refused(error, sent, _kept_of(parsed, len(taken.receipts), last, context), context)
        taken.receipts.append(receipt)
        if event["name"] == "reset":
            # The reset itself belongs to the old id; what follows to the new one that the client proposes.
            first = last = None
        if receipt.status == "accepted" and not (context.server_key or sent.server_side or without_cookie):
            _keep_cookie(taken, event)
    return taken


def _keep_cookie(taken: Taken, event: Event) -> None:
    withdrawn = event["name"] == "consent" and event.get("consent", {}).get("analytics") is False
    if withdrawn or event["name"] == "reset":
        taken.cookie_id, taken.is_withdrawn, taken.is_reset = "", withdrawn, True
    elif normalise("anon", event.get("anonymous_id")):
        taken.cookie_id, taken.is_withdrawn = event["anonymous_id"], False


def _new_id(at: int, context: Context) -> str:
    if context.id_base is None:
        return str(uuid.uuid4())
    return f"{context.id_base}-{at}" if at else context.id_base


def _take(sent: Sent, at: int, sent_at: int | None, context: Context) -> Receipt:
    """`at` counts the request's events. Raises Rejected; the event has its id then too."""
    event = sent.event
    event_id = event["id"] = event.get("id") or _new_id(at, context)
    check_names(event_id, event["name"], sent.path)
    _complete(sent, event, sent_at, context)
    reason = _why_not(event, context)
    if reason:
        outcome: Outcome = {
            "status": "filtered", "reason": reason, "source": context.source, "id": event_id,
            "received_at": context.received_at, "protocol": context.protocol,
        }  # fmt: skip
        say_number(outcome, _numbered(event, context))
        return Receipt(event_id, "filtered", outcome_record(outcome, event_id, context), reason)
    value = dumps(event)
    check_size(sent, len(value), context.limits)
    record = event_record(event, value, context)
    return Receipt(event_id, "accepted", record, numbered=_numbered(event, context))


def _complete(sent: Sent, event: Event, sent_at: int | None, context: Context) -> None:
    """Make what the sender stated a canonical event. It is built to be what `eventlog.event.EVENT` asks for; a test
    tries that with whatever senders may come up with."""
    channel: Channel = event.get("channel", "web")
    # Of a time gone by, and told anew: a server's word for it counts.
    is_import = channel == "import" and context.server_key
    if not is_import and (context.server_key or sent.server_side):
        channel = "server"
    event["source"], event["channel"], event["protocol"] = context.source, channel, context.protocol
    client_time = read_time(sent.client_time)
    occurred, source = event_time(client_time, sent_at, context.now, channel in ("server", "import") or sent.exact_time)
    event["occurred_at"], event["time_source"], event["received_at"] = format_ms(occurred), source, context.received_at
    if client_time is not None and client_time != occurred:
        event["client_time"] = format_ms(client_time)
    if sent_at is not None:
        event["sent_at"] = format_ms(sent_at)
    email = normalise("email", sent.email) or email_in_ruid(event.get("user_id"))
    if email:
        event["identifiers"] = {**event.get("identifiers", {}), "email": email}
    properties = event.get("properties", {})
    if properties:
        check_values(properties, sent.properties_path, context.limits.depth)
        event["properties"] = without_blanks(properties)
    for name in ("traits", "traits_once"):
        if name in event:
            check_values(event[name], f"{sent.path}.{name}".lstrip("."), context.limits.depth)
    commerce.lift(event, sent.meaning, properties, sent.properties_path)
    if "page" in event:
        campaign = campaign_of(event)
        if campaign:
            event["campaign"] = campaign
        event["page"] = page_of(event["page"])
    client = _client(sent, context)
    if client:
        event["client"] = client
    if sent.choices or context.gpc or context.dnt:
        consent = snapshot(event.get("consent"), sent.choices, context.consent_rules, context.gpc, context.dnt)
        if consent:
            event["consent"] = consent


def _client(sent: Sent, context: Context) -> Client:
    """The person's device: what a server states of it, or what the request tells whose sender it is."""
    stated = sent.event.pop("client", _NO_CLIENT)
    address, agent = stated.get("ip"), stated.get("user_agent")
    known = context.client
    if context.server_key or sent.server_side:
        known = context.describe(address, agent) if address or agent else _NO_CLIENT
    client = {**stated, **known}
    if sent.is_placeless and "country" in known:
        del client["country"]
    # Of what is stated only what was read of it is stored.
    for name in ("ip", "user_agent"):
        if name in stated and name not in known:
            del client[name]
    return cast(Client, client)


def _why_not(event: Event, context: Context) -> FilteredReason | None:
    """Why an event is not kept, though nothing is wrong with it."""
    respect_dnt = context.respect_dnt and event["channel"] != "server"
    reason = verdict(event["name"], event.get("consent"), context.required_consent, respect_dnt)
    return reason or ("bot" if context.filter_bots and "bot" in event.get("client", {}) else None)


def _kept_of(parsed: Parsed, at: int, cookie_id: str | None, context: Context) -> tuple[Any, Asked | None]:
    """What is kept of the event at `at`: its message, and what the request said beside it."""
    return parsed.messages[at], asked_of(parsed, cookie_id, context)


def _refused(error: Rejected, event: Sent | Refused, kept: tuple[Any, Asked | None], context: Context) -> Receipt:
    # Where the sender gave none, its receipt tells one to ask by, which a replay keeps.
    event_id = (event.id if isinstance(event, Refused) else event.event["id"]) or str(uuid.uuid4())
    outcome: Outcome = {
        "status": "rejected", "reason": error.reason, "source": context.source, "id": event_id[:MAX_ID_CHARACTERS],
        "message": error.message, "received_at": context.received_at, "protocol": context.protocol,
    }  # fmt: skip
    event_id, path = event_id[:MAX_ID_CHARACTERS], error.path.lstrip(".")[:MAX_PATH_CHARACTERS]
    if path:
        outcome["path"] = path
    say_number(outcome, event.numbered if isinstance(event, Refused) else _numbered(event.event, context))
    if may_be_kept(event, context):
        message, asked = kept
        message = redacted(message, context.address_policy, context.server_secret)
        keep(outcome, message, asked, context.limits.event_bytes)
    record = outcome_record(outcome, event_id, context)
    return Receipt(event_id, "rejected", record, error.reason, path, error.message)


def _numbered(event: Event, context: Context) -> Numbered | None:
    """What our tracker says of it; other senders count otherwise."""
    if context.protocol != "trackway":
        return None
    seq, view_id = event.get("client", _NO_CLIENT).get("seq"), event.get("page", _NO_PAGE).get("view_id")
    return None if seq is None or view_id is None else Numbered(view_id, seq)


def say_number(outcome: Outcome, numbered: Numbered | None) -> None:
    """Have the outcome tell which event of its page load it was, so that it counts as arrived."""
    if numbered is not None and len(numbered.view_id) <= MAX_ID_CHARACTERS:
        outcome["view_id"], outcome["seq"] = numbered


def outcome_record(outcome: Outcome, key: str, context: Context) -> Outgoing:
    """A record of the rejected topic."""
    name = pseudonym("id", key, context.secret)
    return Outgoing(context.topics.rejected, name, dumps(outcome), (_CONTENT_TYPE, *context.collector), context.now)


def event_record(event: Event, value: bytes, context: Context) -> Outgoing:
    """A record of the events topic; `value` is the event's JSON."""
    headers = (*_headers(event), *context.collector)
    return Outgoing(context.topics.events, record_key(event, context.secret), value, headers, context.now)


def record_key(event: Event, secret: bytes) -> bytes:
    """Who the event is about, as 16 hex digits: anonymous id, else user id, else e-mail, else the event's own id."""
    return (
        _person_key("anon", event.get("anonymous_id"), secret)
        or _person_key("user", event.get("user_id"), secret)
        or _person_key("email", event.get("identifiers", {}).get("email"), secret)
        or pseudonym("id", event["id"], secret)
    )


def _person_key(kind: identifiers.Kind, value: str | None, secret: bytes) -> bytes | None:
    # What is longer identifies nobody, and must not stay in memory.
    return _known_key(kind, value, secret) if value and len(value) <= MAX_ID_CHARACTERS else None


# A visitor sends many events, most of them soon after one another.
@lru_cache(maxsize=16_384)
def _known_key(kind: identifiers.Kind, value: str, secret: bytes) -> bytes | None:
    one = normalise(kind, value)
    return pseudonym(kind, one, secret) if one else None


def pseudonym(kind: str, value: str, secret: bytes) -> bytes:
    return hmac.digest(secret, f"{kind}:{value}".encode(), "sha256").hex()[:16].encode()


def _headers(event: Event) -> Headers:
    return (
        _SPEC, _CONTENT_TYPE, ("ce_id", event["id"].encode()), ("ce_source", event["source"].encode()),
        ("ce_type", event["name"].encode()), ("ce_time", event["occurred_at"].encode()),
    )  # fmt: skip
