"""Segment's HTTP dialect, which is our native one.

Source: Segment's public HTTP tracking API and what its SDKs put on the wire.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, cast

import orjson
from pydantic import (
    Field,
    InstanceOf,
    OnErrorOmit,
    StrictInt,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from typing_extensions import TypedDict

from collector.consent import chosen, split_preferences
from collector.decode import BadBody
from collector.meanings import SEGMENT, Meaning
from collector.packed import unpack
from collector.request import Request
from collector.route import PIXEL, Reply, Route
from collector.sent import Choices, Numbered, Parsed, Refused, Sent, without_blanks
from collector.settings import CollectorSettings
from collector.stated import path_to, word
from collector.statuses import Code
from eventlog.errors import Rejected, RejectedReason
from eventlog.event import MAX_SEQ, Client, Consent, Event, Kind, Page
from eventlog.identifiers import text_of

PROTOCOLS: Final = ("segment",)
STATUSES: Final[Mapping[Code, int]] = {}

BATCHES: Final = ("/v1/batch", "/v1/b", "/v1/import")
_LETTERS: Final[dict[str, Kind]] = {
    "t": "track", "i": "identify", "p": "page", "g": "group", "a": "alias", "s": "screen",
}  # fmt: skip
_KINDS: Final[dict[str, Kind]] = {f"/v1/{name}": kind for letter, kind in _LETTERS.items() for name in (letter, kind)}
PATHS: Final = (*BATCHES, *_KINDS)
_PIXELS: Final[dict[str, Kind]] = {
    f"/v1/pixel/{kind}": kind for path, kind in _KINDS.items() if path.endswith(kind)
}  # fmt: skip

# Of what is stated loosely, that which is not a text, or is blank, counts as not stated.
Word = OnErrorOmit[Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]]
Trimmed = Annotated[str, StringConstraints(strip_whitespace=True)]
Identifier = Trimmed | int | None
# JSON's objects have text keys only, so nothing need be looked at, let alone copied.
Object = InstanceOf[dict]  # type: ignore[type-arg]


class StatedPage(TypedDict, total=False):
    url: Word
    path: Word
    title: Word
    referrer: Word
    view_id: Word


class StatedCampaign(TypedDict, total=False):
    source: Word
    medium: Word
    name: Word
    term: Word
    content: Word
    click_id: Word


class StatedLibrary(TypedDict, total=False):
    name: Word
    version: OnErrorOmit[
        Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), Field(coerce_numbers_to_str=True)]
    ]


class StatedScreen(TypedDict):
    width: StrictInt
    height: StrictInt


class StatedConsent(TypedDict, total=False):
    """`choice` is our tracker's: `granted`, or the purposes that are allowed."""

    categoryPreferences: OnErrorOmit[Object]
    choice: Any
    tcf: Word
    text_version: Word
    method: Word


# The number of a page load's event, as our own tracker counts them.
Seq = Annotated[int, Field(strict=True, ge=0, le=MAX_SEQ)]


class Context(TypedDict, total=False):
    """What is read of `context`: nothing in it is worth refusing an event for."""

    page: OnErrorOmit[StatedPage]
    campaign: OnErrorOmit[StatedCampaign]
    library: OnErrorOmit[StatedLibrary]
    consent: OnErrorOmit[StatedConsent]
    traits: OnErrorOmit[Object]
    sessionId: OnErrorOmit[Trimmed | StrictInt]
    ip: Word
    userAgent: Word
    locale: Word
    timezone: Word
    screen: OnErrorOmit[StatedScreen | Trimmed]


class Message(TypedDict, total=False):
    """What is read of a message, as far as possible under its canonical name; anything else in it is left alone."""

    id: Annotated[Trimmed | None, Field(validation_alias="messageId")]
    kind: Annotated[Kind, Field(validation_alias="type")]
    event: Trimmed | None
    name: Trimmed | None
    user_id: Annotated[Identifier, Field(validation_alias="userId")]
    anonymous_id: Annotated[Identifier, Field(validation_alias="anonymousId")]
    previous_id: Annotated[Identifier, Field(validation_alias="previousId")]
    group_id: Annotated[Identifier, Field(validation_alias="groupId")]
    timestamp: Trimmed | None
    originalTimestamp: Trimmed | None
    traits: Object | None
    properties: Object | None
    context: Context | None
    seq: OnErrorOmit[Seq]
    channel: str | None


def schemas(reference: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """JSON Schema of a message, and of what it refers to, by name; references begin with `reference`."""
    made = TypeAdapter(Message).json_schema(ref_template=reference + "{model}")
    shared: dict[str, Any] = made.pop("$defs", {})
    return made, shared


_IDS: Final = ("user_id", "anonymous_id", "previous_id", "group_id")
_PAGEVIEW: Final = Meaning("pageview")
# The validators themselves: TypeAdapter's own methods cost a fifth of what these do.
_message: Final = TypeAdapter(Message).validator.validate_python
_context: Final = TypeAdapter(Context).validator.validate_python
_page: Final = TypeAdapter(StatedPage).validator.validate_python
_SUCCESS: Final = b'{"success":true,"receipts":'


def routes(settings: CollectorSettings) -> Iterable[Route]:
    return [
        *(Route(path) for path in PATHS),
        *(Route(path, ("GET",), summary="One message, as an image's address") for path in _PIXELS),
        Route("/v1/projects/{key}/settings", ("GET",), _settings, "What the SDK for browsers asks for at its start"),
    ]


def _settings(request: Request) -> Reply:
    key = request.path.split("/")[3]
    # No other destination is named, so the SDK sends to us alone.
    return Reply(orjson.dumps({"integrations": {"Segment.io": {"apiKey": key}}, "metrics": {"sampleRate": 0}}))


def unwrap(request: Request) -> Parsed:
    """The messages of a batch or the single one. Raises BadBody (400, 413)."""
    path = request.path
    if path in _PIXELS:
        parsed = messages_of(unpack(request.query.get("data", ""), request.settings.limits.body_values), request, True)
        parsed.reply, parsed.fingerprint, parsed.is_link = PIXEL, request.fingerprint(), True
        return parsed
    parsed = messages_of(request.take_json(), request, path in _KINDS)
    if is_rudderstack(parsed.messages[0] if parsed.messages else None):
        parsed.protocol = "rudderstack"
    return parsed


def messages_of(body: Any, request: Request, is_single: bool) -> Parsed:
    """A body's messages, and what it says of all of them. Raises BadBody."""
    if not isinstance(body, dict):
        raise BadBody("invalid_json", "the body must be a JSON object")
    if is_single:
        parsed = Parsed("segment", [body])
    else:
        messages, limit = body.get("batch"), request.settings.limits.batch_events
        if not isinstance(messages, list):
            raise BadBody("invalid_json", "`batch` must be a list of messages")
        if len(messages) > limit:
            raise BadBody("too_many_events", f"a batch holds {limit} events at most; send smaller ones")
        parsed = Parsed("segment", messages, "batch")
        if isinstance(body.get("context"), dict):
            parsed.shared = cast("dict[str, Any]", _context(body["context"]))
    parsed.sent_at, parsed.received_at = word(body.get("sentAt")), word(body.get("receivedAt"))
    stated = word(body.get("writeKey")) or _key_of_messages(parsed.messages)
    # Jitsu masks it, and has it in a header.
    if stated and stated.strip("*"):
        parsed.write_keys = (stated,)
    return parsed


def is_rudderstack(message: Any) -> bool:
    """Its SDKs send to the same paths. They say where they run, and beside that the time as they call it or that all
    destinations are meant; Segment's do not."""
    if not isinstance(message, dict) or "channel" not in message:
        return False
    integrations = message.get("integrations")
    return "originalTimestamp" in message or (isinstance(integrations, dict) and "All" in integrations)


def _key_of_messages(messages: list[Any]) -> str | None:
    stated = (word(message.get("writeKey")) for message in messages if isinstance(message, dict))
    return next((key for key in stated if key), None)


def answer(receipts: list[dict[str, Any]], reply: Any) -> Reply:
    """The receipts; to an image a pixel."""
    return reply or Reply(_SUCCESS + orjson.dumps(receipts) + b"}")


def read(value: Any, path: str, parsed: Parsed) -> Sent:
    """A message. Raises Rejected."""
    return read_message(value, path, parsed, _KINDS.get(parsed.path) or _PIXELS.get(parsed.path))


def read_message(value: Any, path: str, parsed: Parsed, kind: Kind | None) -> Sent:
    """A message; `kind` is what its path says of it. Raises Rejected."""
    shared = cast(Context, parsed.shared)
    if not isinstance(value, dict):
        raise Rejected("not_an_object", path, "a message must be a JSON object")
    if "writeKey" in value:
        _check_key(value, path, parsed)
    try:
        stated: dict[str, Any] = without_blanks(_message({**value, "type": kind} if kind else value))
    except ValidationError as error:
        raise _rejected(error, path) from None
    if "kind" not in stated:
        raise Rejected("missing_field", path_to(path, "type"), "`type` is needed, such as track or identify")
    named, title = stated.pop("event", None), stated.pop("name", None)
    if stated["kind"] == "track" and not named:
        raise Rejected("missing_field", path_to(path, "event"), "`event`, the event's name, is needed")
    meaning = _meaning(stated["kind"], named)
    context: Context = stated.pop("context", shared)
    if shared and context is not shared:
        context = {**shared, **context}
    traits = stated.pop("traits", None) or context.get("traits") or {}
    times = stated.pop("originalTimestamp", None), stated.pop("timestamp", None)
    server_side, seq = stated.pop("channel", None) == "server", stated.pop("seq", None)
    event: Event = {"name": meaning.name, **stated}  # type: ignore[typeddict-item]
    for name in _IDS:
        if name in stated and (text := text_of(stated[name])):
            event[name] = text
    if traits and event["kind"] in ("identify", "group"):
        event["traits"] = traits
    if event.get("previous_id") == event.get("user_id"):
        # The SDK for browsers names the same person twice where it was told another.
        event.pop("previous_id", None)
    if parsed.path in _PIXELS:
        event["channel"] = "pixel"
    choices = _read_context(event, context, seq)
    if meaning.name == "consent":
        _read_evidence(event)
    if event["kind"] in ("page", "screen"):
        _read_page(event, title)
    return Sent(
        path, event, meaning, path_to(path, "properties"), client_time=times[0] or times[1], email=traits.get("email"),
        server_side=server_side, choices=choices,
    )  # fmt: skip


def _check_key(message: dict[str, Any], path: str, parsed: Parsed) -> None:
    stated = word(message["writeKey"])
    if stated and stated.strip("*") and parsed.write_keys and stated not in parsed.write_keys:
        raise Rejected("bad_value", path_to(path, "writeKey"), "all messages of a batch have one write key")


def _meaning(kind: Kind, named: str | None) -> Meaning:
    if kind == "track" and named:
        return SEGMENT.get(named.lower()) or Meaning(named)
    return _PAGEVIEW if kind == "page" else Meaning(kind)


def _read_context(event: Event, context: Context, seq: int | None) -> Choices | None:
    choices: Choices | None = None
    if page := context.get("page"):
        event["page"] = page
    if campaign := context.get("campaign"):
        event["campaign"] = campaign
    if library := context.get("library"):
        event["library"] = library
    if consent := context.get("consent"):
        stated, choices = _consent(consent)
        if stated:
            event["consent"] = stated
    if session := text_of(context.get("sessionId")):
        event["client_session_id"] = session
    client: Client = {}
    if "ip" in context:
        client["ip"] = context["ip"]
    if "userAgent" in context:
        client["user_agent"] = context["userAgent"]
    if "locale" in context:
        client["locale"] = context["locale"]
    if "timezone" in context:
        client["timezone"] = context["timezone"]
    if seq is not None:
        client["seq"] = seq
    if screen := context.get("screen"):
        client["screen"] = screen if isinstance(screen, str) else f"{screen['width']}x{screen['height']}"
    if client:
        event["client"] = client
    return choices


def _consent(stated: StatedConsent) -> tuple[Consent, Choices | None]:
    """What is stated of our purposes, and what is to be read by the source's rules."""
    consent, categories = split_preferences(stated.get("categoryPreferences", {}))
    if "choice" in stated:
        consent = chosen(stated["choice"])
    if "text_version" in stated:
        consent["text_version"] = stated["text_version"]
    if "method" in stated:
        consent["method"] = stated["method"]
    tcf = stated.get("tcf")
    return consent, Choices(categories, tcf) if categories or tcf else None


def _read_evidence(event: Event) -> None:
    """Which text the person was shown and how the choice was made, where the properties of a choice say so."""
    properties = event.get("properties", {})
    told: Consent = {}
    if version := text_of(properties.get("text_version")):
        told["text_version"] = version
    if method := text_of(properties.get("method")):
        told["method"] = method
    if told:
        event["consent"] = {**told, **event.get("consent", {})}


def _read_page(event: Event, title: str | None) -> None:
    # Older SDKs tell of the page only in the properties.
    properties = event.get("properties", {})
    page: Page = {**event.get("page", {}), **_page(properties)}
    if page:
        event["page"] = page
    if title and "name" not in properties:
        event["properties"] = {**properties, "name": title}


def _rejected(error: ValidationError, path: str) -> Rejected:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = path
    for part in first["loc"]:
        # pydantic names the branch of a union too (`userId.str`), which the sender did not write.
        if isinstance(part, int) or part not in ("constrained-str", "int"):
            where = f"{where}[{part}]" if isinstance(part, int) else path_to(where, str(part))
    reason: RejectedReason = "unknown_type" if first["loc"] == ("type",) else "wrong_type"
    return Rejected(reason, where, first["msg"][0].lower() + first["msg"][1:])


def refused(error: Rejected, message: Any, parsed: Parsed) -> Refused:
    """A message that cannot be read, with what can be read of who consented to it."""
    shared = cast(Context, parsed.shared)
    if not isinstance(message, dict):
        return Refused(error, None, "", *_consent_in(shared))
    named, stated = word(message.get("event")), message.get("context")
    context: Context = {**shared, **_context(stated)} if isinstance(stated, dict) else shared
    name = _meaning("track", named).name if named else ""
    numbered = _numbered_in(message, context, parsed)
    return Refused(error, word(message.get("messageId")), name, *_consent_in(context), numbered)


def _numbered_in(message: dict[str, Any], context: Context, parsed: Parsed) -> Numbered | None:
    seq, page = message.get("seq"), context.get("page", {})
    if parsed.protocol != "trackway" or "view_id" not in page or type(seq) is not int or not 0 <= seq <= MAX_SEQ:
        return None
    return Numbered(page["view_id"], seq)


def _consent_in(context: Context) -> tuple[Consent | None, Choices | None]:
    return _consent(context["consent"]) if "consent" in context else (None, None)
