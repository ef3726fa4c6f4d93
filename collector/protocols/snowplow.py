"""Snowplow's tracker protocol: batches, the pixel, links that redirect, and the Iglu webhook.

Source: Snowplow's public tracker protocol and what its SDKs put on the wire. Its trackers send again without end
whatever is not answered 400, 401, 403, 410 or 422, so nothing that is refused for good is answered otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

from collector.decode import BadBody
from collector.event_time import from_epoch
from collector.packed import take_packed
from collector.protocols.snowplow_events import PAGE_VIEW, name_of, read_event, read_hook, read_redirect
from collector.request import Request
from collector.route import PIXEL, Reply, Route
from collector.sent import Parsed, Refused, Sent
from collector.settings import CollectorSettings
from collector.stated import digest_of, path_to, word
from collector.statuses import Code
from eventlog.errors import Rejected
from eventlog.identifiers import text_of

PROTOCOLS: Final = ("snowplow",)
STATUSES: Final[Mapping[Code, int]] = dict.fromkeys(
    ("slow_body", "body_too_large", "too_many_events", "too_many_values", "unknown_compression", "unknown_format"), 422
)

_BATCH: Final = "/com.snowplowanalytics.snowplow/tp2"
_PIXEL: Final = "/i"
_REDIRECT: Final = "/r/tp2"
_WEBHOOK: Final = "/com.snowplowanalytics.iglu/v1"
_OK: Final = Reply(b"ok", content_type=b"text/plain")
# What a webhook's query says beside its data.
_OF_WEBHOOK: Final = ("eid", "nuid", "ttm", "uid", "url")
_NO_DATA: Final = frozenset((*_OF_WEBHOOK, "schema", "aid", "p", "writeKey"))
# The printable ones that stand for themselves in a URL, with the escapes that it has.
_OF_URLS: Final = "".join(map(chr, range(0x21, 0x7F)))


def routes(settings: CollectorSettings) -> Iterable[Route]:
    yield from (Route(path) for path in dict.fromkeys((_BATCH, *settings.snowplow_paths)))
    yield Route(_PIXEL, ("GET",), summary="Snowplow's pixel")
    yield Route(_REDIRECT, ("GET",), summary="A link's click, by Snowplow's protocol: leads on to `u`")
    yield Route(_WEBHOOK, ("GET", "POST"), summary="Snowplow's Iglu webhook")


def unwrap(request: Request) -> Parsed:
    """The events of a batch or of a query. Raises BadBody (400, 422)."""
    if request.path == _WEBHOOK:
        parsed = _webhook(request)
    elif request.path in (_PIXEL, _REDIRECT):
        parsed = _query(request)
    else:
        parsed = _batch(request)
    if b"sp-anonymous" in request.headers:
        parsed.is_anonymous, parsed.address = True, "drop"
        parsed.shared["anonymous"] = True
    return parsed


def _batch(request: Request) -> Parsed:
    fingerprint = request.fingerprint()
    body, limit = request.take_json(), request.settings.limits.batch_events
    messages = body.get("data") if isinstance(body, dict) else None
    if not isinstance(messages, list):
        raise BadBody("invalid_json", "an object with `data`, a list of events, is needed")
    if len(messages) > limit:
        raise BadBody("too_many_events", f"a batch holds {limit} events at most; send smaller ones")
    parsed = Parsed("snowplow", _with_items(messages), "data", reply=_OK)
    keys = dict.fromkeys(key for message in messages if (key := _key(message)))
    parsed.write_keys = tuple(keys)[:1]
    if len(keys) > 1:
        parsed.shared["key"] = digest_of(parsed.write_keys[0])
    _put_sent(parsed, fingerprint)
    return parsed


def _query(request: Request) -> Parsed:
    fields = request.query
    parsed = Parsed("snowplow", [fields], reply=PIXEL)
    if request.path == _REDIRECT:
        parsed.reply = _redirect(fields.get("u", ""), request.settings)
        parsed.is_link = True
    if key := _key(fields):
        parsed.write_keys = (key,)
    _put_sent(parsed, request.fingerprint())
    return parsed


def _put_sent(parsed: Parsed, fingerprint: bytes) -> None:
    objects = [message for message in parsed.messages if isinstance(message, dict)]
    parsed.sent_at = next((at for message in objects if (at := from_epoch(message.get("stm")))), None)
    if any(text_of(message.get("eid")) is None for message in objects):
        parsed.fingerprint = fingerprint


def _with_items(messages: list[Any]) -> list[Any]:
    """The messages, each transaction with those of its items that came with it, under `items`."""
    items: dict[str, list[Any]] = {}
    for message in messages:
        if isinstance(message, dict) and message.get("e") == "ti" and (order := text_of(message.get("ti_id"))):
            items.setdefault(order, []).append(message)
    if not items:
        return messages
    return [_with_its_own(message, items) for message in messages]


def _with_its_own(message: Any, items: Mapping[str, list[Any]]) -> Any:
    if not isinstance(message, dict) or message.get("e") != "tr":
        return message
    found = items.get(text_of(message.get("tr_id")) or "")
    return {**message, "items": found} if found else message


def _redirect(url: str, settings: CollectorSettings) -> Reply:
    """The way on, to hosts that are known. Raises BadBody."""
    hosts = settings.snowplow_redirect_hosts
    if hosts is None:
        hosts = [urlsplit(origin).hostname or "" for source in settings.sources.values() for origin in source.origins]
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    # Browsers take a backslash for a slash, and leave out what is not printed: they would see another host.
    if not host or parts.scheme not in ("http", "https") or "\\" in url or "@" in parts.netloc or not url.isprintable():
        raise BadBody("invalid_json", "`u`, the http or https URL that the link leads to, is needed")
    if host not in hosts:
        raise BadBody("invalid_json", "`u` leads to a host that is not in `snowplow_redirect_hosts`")
    location = quote(url, safe=_OF_URLS).encode()
    return Reply(b"", 302, b"text/plain", ((b"location", location), (b"cache-control", b"no-store")))


def _webhook(request: Request) -> Parsed:
    fields = request.query
    if request.method == "GET":
        body: Any = {name: value for name, value in fields.items() if name not in _NO_DATA}
    else:
        body = take_packed(request)[0]
    schema = word(fields.get("schema"))
    if schema is None and isinstance(body, dict):
        schema, body = word(body.get("schema")), body.get("data")
    if schema is None:
        raise BadBody("invalid_json", "`schema`, an address such as iglu:com.acme/read/jsonschema/1-0-0, is needed")
    messages, limit = body if isinstance(body, list) else [body], request.settings.limits.batch_events
    if len(messages) > limit:
        raise BadBody("too_many_events", f"a batch holds {limit} events at most; send smaller ones")
    parsed = Parsed("snowplow", messages, "" if isinstance(body, list) else None, reply=_OK)
    parsed.shared = {"schema": schema, "p": word(fields.get("p")) or "srv"}
    parsed.shared |= {name: text for name in _OF_WEBHOOK if (text := word(fields.get(name)))}
    if len(messages) != 1:
        # The one id cannot be that of several.
        parsed.shared.pop("eid", None)
    if key := _key(fields):
        parsed.write_keys = (key,)
    return parsed


def _key(message: Any) -> str | None:
    return word(message.get("aid")) if isinstance(message, dict) else None


def answer(receipts: list[dict[str, Any]], reply: Any) -> Reply:
    made: Reply = reply
    return made


def read(value: Any, path: str, parsed: Parsed) -> Sent:
    """An event. Raises Rejected."""
    if not isinstance(value, dict):
        raise Rejected("not_an_object", path, "an event must be a JSON object")
    shared = parsed.shared
    if parsed.path == _WEBHOOK:
        return read_hook(value, path, shared)
    first = shared.get("key")
    if first and (key := _key(value)) and digest_of(key) != first:
        raise Rejected("bad_value", path_to(path, "aid"), "the app id is another than that of the events before it")
    if parsed.path == _REDIRECT:
        return read_redirect(value, path, "anonymous" in shared)
    return read_event(value, path, "anonymous" in shared)


def refused(error: Rejected, message: Any, parsed: Parsed) -> Refused:
    """A message that cannot be read."""
    if not isinstance(message, dict):
        return Refused(error, None)
    if parsed.path == _WEBHOOK:
        return Refused(error, text_of(parsed.shared.get("eid")))
    name = PAGE_VIEW.name if message.get("e") == "pv" else name_of(message)
    return Refused(error, text_of(message.get("eid")), name)
