"""Mixpanel's ingestion: events, updates of people and of groups, imports.

Source: Mixpanel's public API reference and what its SDKs put on the wire. A body is JSON, or a form whose `data` is
JSON or base64 of it; an import may be lines of JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from collector.decode import BadBody, decode
from collector.event_time import from_epoch
from collector.packed import take_packed, unpack
from collector.protocols import posthog
from collector.protocols.mixpanel_events import event_id_of, insert_id_of, meaning_of, read_event
from collector.protocols.mixpanel_profiles import read_update
from collector.redaction import MASK
from collector.request import Request
from collector.route import PIXEL, Reply, Route
from collector.sent import Parsed, Refused, Sent
from collector.settings import CollectorSettings
from collector.stated import digest_of, path_to, word
from collector.statuses import Code
from eventlog.errors import Rejected

PROTOCOLS: Final = ("mixpanel",)
STATUSES: Final[Mapping[Code, int]] = {}

_IMPORT: Final = "/import"
_TRACK: Final = "/track"
_PEOPLE: Final = "/engage"
_GROUPS: Final = "/groups"
_PATHS: Final = (_TRACK, _PEOPLE, _GROUPS, _IMPORT)
# Updates, and Node.js's batches, do not say who sends them. No browser is without a user agent.
_SERVER_AGENTS: Final = (
    "python-", "Python-", "node", "axios/", "Ruby", "Faraday", "Go-http-client/", "Java/", "Apache-HttpClient/",
    "GuzzleHttp", "PHP", "curl/",
)  # fmt: skip
_STRICT_ERROR: Final = "some data points in the request failed validation"


def routes(settings: CollectorSettings) -> Iterable[Route]:
    return [Route(path, ("POST", "GET")) for path in _PATHS]


def unwrap(request: Request) -> Parsed:
    """The events of `data` or of the body. Raises BadBody (400, 413)."""
    is_server = _is_server(request)
    fingerprint = b"" if is_server else request.fingerprint()
    value, form, is_json = _take(request)
    if request.path == _TRACK and posthog.are_ours(value):
        return posthog.unwrap_values(value, form, request)
    if not isinstance(value, dict | list):
        raise BadBody("invalid_json", "an object or a list of objects is needed")
    messages, limit = value if isinstance(value, list) else [value], request.settings.limits.batch_events
    if len(messages) > limit:
        raise BadBody("too_many_events", f"a batch holds {limit} events at most; send smaller ones")
    parsed = Parsed("mixpanel", messages)
    if isinstance(value, list):
        parsed.list_name = "" if is_json else "data"
    said = {**request.query, **form}
    tokens = [_token(message) for message in messages]
    stated = [token for token in dict.fromkeys(tokens) if token]
    parsed.write_keys = (*stated[:1], *((said["api_key"],) if said.get("api_key") else ()))
    if len(stated) > 1:
        parsed.shared["key"] = digest_of(stated[0])
    if is_server:
        parsed.shared["server"] = True
    elif any(insert_id_of(message) is None for message in messages):
        parsed.fingerprint = fingerprint
    # Its browser SDK says with each request what its clock shows.
    parsed.sent_at = from_epoch(said.get("_"))
    if said.get("ip") == "0":
        parsed.address = "drop"
    is_strict = said.get("strict") == "1"
    insert_ids = [insert_id_of(message) for message in messages] if is_strict else None
    is_image = said.get("img") == "1"
    parsed.reply = (request.path == _IMPORT and is_json, said.get("verbose") == "1", is_image, insert_ids)
    return parsed


def _take(request: Request) -> tuple[Any, dict[str, str], bool]:
    """The values, the form's other fields, and whether it was JSON alone."""
    limits = request.settings.limits
    if request.method == "GET":
        if not request.query.get("data"):
            raise BadBody("invalid_json", "`data`, the events as JSON or as base64 of it, is needed in the query")
        return unpack(request.query["data"], limits.body_values), {}, False
    start = request.body[:64].lstrip(b" \t\r\n\xef\xbb\xbf")[:1]
    if request.path == _IMPORT and start == b"{":
        return _of_lines(request.take_body(), limits.body_values, limits.batch_events), {}, True
    return *take_packed(request), start in (b"{", b"[")


def _of_lines(body: bytes | bytearray, max_values: int, most: int) -> Any:
    """One object, or one a line. A line that is no JSON is a text, which is refused alone."""
    try:
        return decode(body, max_values)
    except BadBody as error:
        if error.code != "invalid_json":
            raise
    body = body.strip()
    if body.count(b"\n") >= most:
        raise BadBody("too_many_events", f"a batch holds {most} events at most; send smaller ones")
    messages: list[Any] = []
    for line in body.split(b"\n"):
        try:
            messages.append(decode(line, max_values))
        except BadBody:
            if line.strip():
                messages.append(line.decode("utf-8", "replace"))
    if not any(isinstance(message, dict) for message in messages):
        raise BadBody("invalid_json", "the body is neither JSON nor lines of it")
    return messages


def _is_server(request: Request) -> bool:
    agent = request.header(b"user-agent")
    return request.path == _IMPORT or agent is None or agent.startswith(_SERVER_AGENTS)


def _token(message: Any) -> str | None:
    if not isinstance(message, dict):
        return None
    properties = message.get("properties")
    token = word(message.get("$token") or (properties.get("token") if isinstance(properties, dict) else None))
    return token if token != MASK else None


def answer(receipts: list[dict[str, Any]], reply: Any) -> Reply:
    is_import, is_verbose, is_image, insert_ids = reply
    if is_image:
        return PIXEL
    if not is_import:
        if is_verbose:
            return Reply(b'{"status":1,"error":null}')
        return Reply(b"1", content_type=b"text/plain")
    taken = sum(receipt["status"] in ("accepted", "duplicate") for receipt in receipts)
    failed = [
        {
            "index": at, "insert_id": insert_ids[at] or "", "field": receipt.get("path", ""),
            "message": receipt.get("message", ""),
        }
        for at, receipt in enumerate(receipts)
        if insert_ids is not None and receipt["status"] == "rejected"
    ]  # fmt: skip
    if not failed:
        return Reply(orjson.dumps({"code": 200, "num_records_imported": taken, "status": "OK"}))
    told = {"code": 400, "error": _STRICT_ERROR, "failed_records": failed, "num_records_imported": taken}
    return Reply(orjson.dumps(told | {"status": "Bad Request"}), 400)


def read(value: Any, path: str, parsed: Parsed) -> Sent:
    """An event or an update. Raises Rejected."""
    if not isinstance(value, dict):
        raise Rejected("not_an_object", path, "an event must be a JSON object")
    first = parsed.shared.get("key")
    if first and (token := _token(value)) and digest_of(token) != first:
        where = "$token" if word(value.get("$token")) else "properties.token"
        raise Rejected("bad_value", path_to(path, where), "the token is another than that of the events before it")
    is_server = "server" in parsed.shared
    if parsed.path in (_PEOPLE, _GROUPS):
        return read_update(value, path, parsed.path == _GROUPS, is_server)
    sent = read_event(value, path, is_server)
    if parsed.path == _IMPORT:
        sent.server_side = True
        if sent.client_time:
            sent.event["channel"] = "import"
    return sent


def refused(error: Rejected, message: Any, parsed: Parsed) -> Refused:
    if not isinstance(message, dict):
        return Refused(error, None)
    named = word(message.get("event"))
    return Refused(error, event_id_of(message), meaning_of(named).name if named else "")
