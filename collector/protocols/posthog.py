"""PostHog's ingestion, in both versions, and what its SDKs ask before they send.

Source: PostHog's public API reference and what its SDKs put on the wire. v0: one event, a list of them, or an object
with `batch`; as JSON, gzip that nothing announces, or base64 in a form. v1: an object with `batch`, answered event by
event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from collector.decode import BadBody
from collector.event_time import from_epoch
from collector.packed import take_packed
from collector.protocols.posthog_events import event_id_of, is_cookieless, meaning_of, read_event
from collector.protocols.posthog_start import START_UP
from collector.request import Request
from collector.route import Reply, Route
from collector.sent import Parsed, Refused, Sent
from collector.settings import CollectorSettings
from collector.stated import digest_of, path_to, word
from collector.statuses import Code
from eventlog.errors import Rejected

PROTOCOLS: Final = ("posthog",)
# Its browser SDK drops what a 4xx refuses, and v1 what is answered 507.
STATUSES: Final[Mapping[Code, int]] = {"slow_body": 503, "disk_full": 503}

_V1: Final = "/i/v1/analytics/events"
# `/engage` is Mixpanel's, and so is `/track`, where Mixpanel's reader asks `are_ours`.
_PATHS: Final = ("/batch", "/e", "/i/v0/e", "/capture", "/i/v0/ai/batch", _V1)
_MASKED: Final = "***"
_SUCCESS: Final = b'{"status":1}'


def routes(settings: CollectorSettings) -> Iterable[Route]:
    return [*(Route(path) for path in _PATHS), *START_UP]


def unwrap(request: Request) -> Parsed:
    """The events of a body. Raises BadBody (400, 413)."""
    values, fields = take_packed(request)
    return unwrap_values(values, fields, request)


def are_ours(values: Any) -> bool:
    """Whether what came at a path shared with Mixpanel is from an SDK of PostHog."""
    if isinstance(values, dict) and "batch" in values:
        return True
    first = values[0] if isinstance(values, list) and values else values
    properties = first.get("properties") if isinstance(first, dict) else None
    return isinstance(properties, dict) and "$lib" in properties and "mp_lib" not in properties


def unwrap_values(values: Any, fields: Mapping[str, str], request: Request) -> Parsed:
    """The events of a body that was decoded already; `fields` are those beside it of the form it came in. Raises
    BadBody (400, 413)."""
    envelope: dict[str, Any] = {}
    parsed = Parsed("posthog", [values])
    if isinstance(values, dict) and (request.path == _V1 or "batch" in values):
        envelope, parsed.list_name, parsed.messages = values, "batch", values.get("batch")  # type: ignore[assignment]
    elif isinstance(values, list):
        parsed.list_name, parsed.messages = "data" if fields else "", values
    elif not isinstance(values, dict):
        raise BadBody("invalid_json", "an event, a list of events or an object with `batch` is needed")
    if not isinstance(parsed.messages, list):
        raise BadBody("invalid_json", "`batch` must be a list of events")
    if len(parsed.messages) > (limit := request.settings.limits.batch_events):
        raise BadBody("too_many_events", f"a batch holds {limit} events at most; send smaller ones")
    said = {**request.query, **fields}
    _find_keys(parsed, envelope, said)
    parsed.sent_at = _sent_at(envelope or values, said, request)
    if envelope.get("historical_migration") is True:
        parsed.shared["is_history"] = True
    if request.path == _V1:
        name, _, version = (request.header(b"posthog-sdk-info") or "").partition("/")
        if name:
            parsed.shared["library"] = {"name": name, "version": version} if version else {"name": name}
        parsed.reply = [event_id_of(message) for message in parsed.messages]
    if said.get("ip") == "0":
        parsed.address = "drop"
    parsed.is_anonymous = any(map(is_cookieless, parsed.messages))
    return parsed


def _find_keys(parsed: Parsed, envelope: dict[str, Any], said: Mapping[str, str]) -> None:
    keys = [_key_of(envelope), *map(_key_of, parsed.messages)]
    stated = [key for key in dict.fromkeys(keys) if key]
    beside = (word(said.get(name)) for name in ("api_key", "token"))
    parsed.write_keys = (*stated[:1], *(key for key in beside if key))
    if len(stated) > 1:
        parsed.shared["key"] = digest_of(stated[0])


def _key_of(message: Any) -> str | None:
    return _key_and_place(message)[0]


def _key_and_place(message: Any) -> tuple[str | None, str]:
    if isinstance(message, dict):
        for name in ("api_key", "token"):
            if (key := word(message.get(name))) and key != _MASKED:
                return key, name
        properties = message.get("properties")
        if isinstance(properties, dict) and (key := word(properties.get("token"))) and key != _MASKED:
            return key, "properties.token"
    return None, ""


def _sent_at(holder: Any, said: Mapping[str, str], request: Request) -> str | None:
    """In v0 the body's, for older SDKs the query's, in v1 a header's."""
    if request.path == _V1:
        return request.header(b"posthog-request-timestamp")
    stated = (holder.get("sent_at") or holder.get("sentAt")) if isinstance(holder, dict) else None
    return from_epoch(stated or said.get("sent_at") or said.get("_"))


def read(value: Any, path: str, parsed: Parsed) -> Sent:
    """An event. Raises Rejected."""
    if not isinstance(value, dict):
        raise Rejected("not_an_object", path, "an event must be a JSON object")
    shared = parsed.shared
    if "key" in shared:
        key, where = _key_and_place(value)
        if key and digest_of(key) != shared["key"]:
            raise Rejected("bad_value", path_to(path, where), "the key is another than the request's")
    return read_event(value, path, shared, parsed.sent_at)


def refused(error: Rejected, message: Any, parsed: Parsed) -> Refused:
    if not isinstance(message, dict):
        return Refused(error, None)
    named = word(message.get("event"))
    return Refused(error, event_id_of(message), meaning_of(named).name if named else "")


def answer(receipts: list[dict[str, Any]], reply: Any) -> Reply:
    """v0 says no more than that it has them; v1 what became of each, by the id its sender knows it by."""
    if reply is None:
        return Reply(_SUCCESS)
    results: dict[str, dict[str, Any]] = {}
    for stated, receipt in zip(reply, receipts, strict=True):
        results.setdefault(stated or receipt["id"], _verdict(receipt))
    return Reply(orjson.dumps({"results": results}))


def _verdict(receipt: dict[str, Any]) -> dict[str, Any]:
    """`drop` makes an SDK report a failure, which a rejected event is, and one that is not kept on purpose is not."""
    if receipt["status"] == "rejected":
        where = f" at {receipt['path']}" if "path" in receipt else ""
        return {"result": "drop", "details": f"{receipt['reason']}{where}: {receipt['message']}", **receipt}
    if receipt["status"] == "filtered":
        return {"result": "warning", "details": f"not kept: {receipt['reason']}", **receipt}
    return {"result": "ok", **receipt}
