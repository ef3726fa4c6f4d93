"""GA4: the Measurement Protocol of servers, and what gtag.js sends.

Source: Google's reference of the Measurement Protocol; gtag.js's requests are not documented by Google.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

import orjson

from collector.consent_ga4 import gtag_consent, measurement_protocol_consent
from collector.decode import BadBody
from collector.event_time import from_epoch
from collector.protocols import ga4_hits
from collector.protocols.ga4_events import Told, meaning_of, sent_of
from collector.request import Request, form_fields
from collector.route import Reply, Route
from collector.sent import Parsed, Refused, Sent
from collector.settings import CollectorSettings
from collector.stated import path_to, word, words
from collector.statuses import Code
from eventlog.errors import Rejected
from eventlog.event import Client, Consent

PROTOCOLS: Final = ("ga4",)
STATUSES: Final[Mapping[Code, int]] = {}

_HITS: Final = "/g/collect"
_DEBUG: Final = "/debug/mp/collect"
# What a body states once for all of its events.
_SHARED: Final = (
    "client_id", "app_instance_id", "user_id", "timestamp_micros", "user_properties", "consent",
    "non_personalized_ads", "ip_override", "user_agent", "device", "user_location",
)  # fmt: skip
_KEYS: Final = ("api_secret", "measurement_id", "firebase_app_id")
_DEVICE: Final = (
    ("category", "device"), ("operating_system", "os"), ("browser", "browser"), ("language", "locale"),
    ("screen_resolution", "screen"),
)  # fmt: skip
_VALIDATION_CODES: Final = {"missing_field": "VALUE_REQUIRED", "too_long": "VALUE_OUT_OF_BOUNDS"}


def routes(settings: CollectorSettings) -> Iterable[Route]:
    return [
        Route("/mp/collect"),
        Route(_DEBUG, summary="Tells what is wrong with events of GA4's Measurement Protocol, and stores nothing"),
        Route(_HITS, ("POST", "GET")),
    ]


def unwrap(request: Request) -> Parsed:
    """The events of a body, or the hits of a query and its lines. Raises BadBody (400, 413)."""
    return _unwrap_hits(request) if request.path == _HITS else _unwrap_body(request)


def _unwrap_body(request: Request) -> Parsed:
    fingerprint = request.fingerprint() if request.header(b"origin") else b""
    body, limit = request.take_json(), request.settings.limits.batch_events
    events = body.get("events") if isinstance(body, dict) else None
    # Some write a single event without its list.
    messages = [events] if isinstance(events, dict) else events
    if not isinstance(messages, list):
        raise BadBody("invalid_json", "an object with a list `events` is needed")
    if len(messages) > limit:
        raise BadBody("too_many_events", f"a request holds {limit} events at most; send smaller ones")
    parsed = Parsed("ga4", messages, "events")
    parsed.shared = {name: body[name] for name in _SHARED if body.get(name) is not None}
    if fingerprint:
        parsed.shared["web"] = True
        parsed.fingerprint = fingerprint
    parsed.write_keys = tuple(key for name in _KEYS if (key := word(request.query.get(name))))
    parsed.is_trial = request.path == _DEBUG
    parsed.reply = request.path
    return parsed


def _unwrap_hits(request: Request) -> Parsed:
    fingerprint, limits = request.fingerprint(), request.settings.limits
    body = request.take_body() if request.method == "POST" else b""
    if body.count(b"&") + body.count(b"\n") > limits.body_values:
        raise BadBody("too_many_values", f"a body holds {limits.body_values} values at most; send smaller ones")
    lines = [line for line in body.split(b"\n") if line.strip()]
    if len(lines) > limits.batch_events:
        raise BadBody("too_many_events", f"a request holds {limits.batch_events} events at most; send smaller ones")
    if lines:
        parsed = Parsed("ga4", [form_fields(line.strip()) for line in lines], "events", shared=request.query)
    else:
        parsed = Parsed("ga4", [request.query])
    stated = [key for fields in (request.query, *parsed.messages) if (key := word(fields.get("tid")))]
    parsed.write_keys = tuple(stated[:1])
    if stated and lines:
        parsed.shared = {**parsed.shared, "tid": stated[0]}
    parsed.fingerprint, parsed.reply = fingerprint, request.path
    return parsed


def answer(receipts: list[dict[str, Any]], reply: Any) -> Reply:
    """Nothing, as from Google; asked for what is wrong, its words for it."""
    if reply != _DEBUG:
        return Reply(b"", content_type=b"text/plain")
    messages = [
        {
            "fieldPath": receipt.get("path", ""), "description": receipt.get("message", ""),
            "validationCode": _VALIDATION_CODES.get(receipt.get("reason", ""), "VALUE_INVALID"),
        }
        for receipt in receipts
        if receipt["status"] == "rejected"
    ]  # fmt: skip
    return Reply(orjson.dumps({"validationMessages": messages}))


def read(value: Any, path: str, parsed: Parsed) -> Sent:
    """An event. Raises Rejected."""
    if not isinstance(value, dict):
        raise Rejected("not_an_object", path, "an event must be a JSON object")
    return _read_hit(value, path, parsed) if parsed.path == _HITS else _read_event(value, path, parsed.shared)


def _read_hit(value: dict[str, Any], path: str, parsed: Parsed) -> Sent:
    fields = {name: text for name, text in {**parsed.shared, **value}.items() if isinstance(text, str)}
    name = word(fields.get("en"))
    if not name:
        raise Rejected("missing_field", path_to(path, "en"), "`en`, the event's name, is needed")
    first = word(parsed.shared.get("tid"))
    if first and word(fields.get("tid")) != first:
        raise Rejected("bad_value", path_to(path, "tid"), "the measurement id is another than the request's")
    sent = sent_of(ga4_hits.told_of(name, fields), path, path_to(path, "ep"))
    sent.event["library"] = {"name": "gtag.js"}
    if version := word(fields.get("gtm")):
        sent.event["library"]["version"] = version
    return sent


def _read_event(value: dict[str, Any], path: str, shared: Mapping[str, Any]) -> Sent:
    name, parameters = word(value.get("name")), value.get("params")
    if not name:
        raise Rejected("missing_field", path_to(path, "name"), "`name`, the event's name, is needed")
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, dict):
        raise Rejected("wrong_type", path_to(path, "params"), "`params` must be an object")
    told = Told(
        name, parameters, _traits(shared.get("user_properties")),
        shared.get("client_id") or shared.get("app_instance_id"), shared.get("user_id"),
        measurement_protocol_consent(shared.get("consent"), shared.get("non_personalized_ads")), _client(shared),
    )  # fmt: skip
    sent = sent_of(told, path, path_to(path, "params"))
    sent.client_time = from_epoch(value.get("timestamp_micros") or shared.get("timestamp_micros"))
    sent.exact_time = True
    sent.server_side = "web" not in shared
    return sent


def _traits(stated: object) -> dict[str, Any]:
    if not isinstance(stated, dict):
        return {}
    return {name: one.get("value") if isinstance(one, dict) else one for name, one in stated.items()}


def _client(shared: Mapping[str, Any]) -> Client:
    device, location = shared.get("device"), shared.get("user_location")
    client = cast(Client, words(_DEVICE, device) if isinstance(device, dict) else {})
    if isinstance(location, dict) and (country := word(location.get("country_id"))):
        client["country"] = country
    if address := word(shared.get("ip_override")):
        client["ip"] = address
    if agent := word(shared.get("user_agent")):
        client["user_agent"] = agent
    return client


def refused(error: Rejected, message: Any, parsed: Parsed) -> Refused:
    fields: dict[str, Any] = {**parsed.shared, **message} if isinstance(message, dict) else parsed.shared
    named = word(fields.get("en" if parsed.path == _HITS else "name"))
    return Refused(error, None, meaning_of(named).name if named else "", _consent(fields, parsed.path))


def _consent(fields: Mapping[str, Any], path: str) -> Consent | None:
    if path != _HITS:
        return measurement_protocol_consent(fields.get("consent"), fields.get("non_personalized_ads")) or None
    gcs, gcd, npa = (word(fields.get(name)) for name in ("gcs", "gcd", "npa"))
    return gtag_consent(gcs, gcd, npa) or None
