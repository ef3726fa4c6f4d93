"""Raptor's and Ibexa CDP's tracking: the pixel, the one for tills and other servers, and the same-origin hybrid path.

Source: Raptor's public help pages and tag templates. Of the numbered parameters each customer has their own, so what a
position means is configured; messages are kept with names in place of positions.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

import orjson

from collector.decode import BadBody, decode
from collector.meanings import RAPTOR, Meaning
from collector.positions import Positions
from collector.protocols.raptor_cookies import Visitor, visitor_of
from collector.request import Request, form_fields
from collector.route import PIXEL, Reply, Route
from collector.sent import Parsed, Refused, Sent
from collector.settings import CollectorSettings
from collector.sources import origin_of
from collector.stated import path_to
from collector.statuses import Code
from eventlog.errors import Rejected
from eventlog.event import Campaign, Event
from eventlog.identifiers import is_blocked, normalise, text_of

PROTOCOLS: Final = ("raptor",)
STATUSES: Final[Mapping[Code, int]] = {}

_MAX_REFERER: Final = 2_048
_MOST_POSITIONS: Final = 999
_JSON_STARTS: Final = (b"{", b"[")
_SUCCESS: Final = b'{"success":true,"receipts":'
# What templates write where they know nothing.
_NOTHING: Final = frozenset(("", "null", "undefined"))
# Of those an empty one says something: nothing is left in it.
_LISTS: Final = ("basket_content", "favorites")
_CUSTOMER: Final = ("customerid", "customerId", "customer_id")
# Cache busters, and what belongs to the request.
_LEFT_OUT: Final = frozenset(("rnd", "ts", "source", "writeKey", "access_token", "event", "events", *_CUSTOMER))
_OTHER_NAMES: Final = {"cookieId": "coid", "sessionId": "sid", "userId": "user_id", "moduleName": "am"}
_NAMED: Final = (
    "coid", "sid", "ruid", "reaid", "xuid", "user_id", "am", "v", "url", "utm_source", "utm_medium", "utm_campaign",
    "utm_term", "utm_content",
)  # fmt: skip
_CAMPAIGN: Final = (
    ("source", "utm_source"), ("medium", "utm_medium"), ("name", "utm_campaign"), ("term", "utm_term"),
    ("content", "utm_content"),
)  # fmt: skip
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_QUANTITY: Final = re.compile(r"(.+):([0-9]{1,9}(?:\.[0-9]{1,9})?)")
_WHOLE: Final = re.compile(r"[0-9]{1,9}")
_STOCK: Final = {"true": True, "1": True, "false": False, "0": False}
# `raptor.push(name, id)`: what the one value is.
_PUSHED: Final = {"setuser": "user_id", "setruid": "ruid", "setemailmarketingid": "ruid"}


def routes(settings: CollectorSettings) -> Iterable[Route]:
    return [
        Route("/{customer}.rsa", ("GET",), summary="Raptor's pixel"),
        Route("/{customer}.stream", ("GET",), summary="Raptor's events of tills and other servers"),
        Route(settings.raptor.path, ("GET", "POST"), summary="Raptor's events by way of the site's own origin"),
    ]


def unwrap(request: Request) -> Parsed:
    """The event of a pixel, or those of a hybrid request. Raises BadBody (400, 413)."""
    fingerprint, positions = request.fingerprint(), request.settings.raptor.table
    if request.path != request.settings.raptor.path:
        parsed = Parsed("raptor", [_message(request.query, positions)], reply="gif")
        parsed.write_keys = (request.path[1:].rpartition(".")[0],)
    else:
        parsed = _hybrid(request, positions)
        parsed.reply = "gif" if request.method == "GET" else "json"
    page = None if request.path.endswith(".stream") else request.header(b"referer")
    # Longer ones would keep the event from being kept with what its request said.
    if page and len(page) <= _MAX_REFERER:
        parsed.shared["url"] = page
    parsed.fingerprint = fingerprint
    return parsed


def _hybrid(request: Request, positions: Positions) -> Parsed:
    stated: dict[str, Any] = dict(request.query)
    body, limits = request.take_body(), request.settings.limits
    content: Any = {}
    if body.lstrip()[:1] in _JSON_STARTS:
        content = decode(body, limits.body_values)
    elif body:
        content = form_fields(body)
    list_name: str | None = None
    items: list[Any] = [content]
    if isinstance(content, list):
        items, list_name = content, ""
    elif isinstance(content.get("events"), list):
        items, list_name = content["events"], "events"
        stated |= {name: value for name, value in content.items() if name != "events"}
    else:
        stated |= {name: content[name] for name in _CUSTOMER if name in content}
    if len(items) > limits.batch_events:
        raise BadBody("too_many_events", f"a request holds {limits.batch_events} events at most; send fewer")
    messages = [named(item, positions, stated) if isinstance(item, dict) else item for item in items]
    parsed = Parsed("raptor", messages, list_name)
    customer = next((text for name in _CUSTOMER if (text := text_of(stated.get(name)))), None)
    parsed.write_keys = (customer,) if customer else _key_of_page(request)
    visitor = visitor_of(request, (customer,) if customer else (), [stated_in(one) for one in messages])
    parsed.is_anonymous = visitor is None
    if visitor:
        parsed.shared, parsed.cookies = visitor.shared, visitor.cookies
    return parsed


def named(item: Mapping[str, Any], positions: Positions, shared: Mapping[str, Any] = NOTHING) -> dict[str, Any]:
    """An item of the script's queue, or a pixel's parameters, as an event that `read` takes; `shared`: for all."""
    return _message(_flat(shared, item), positions)


def stated_in(message: Any) -> Visitor:
    """What an event with names states of its visitor."""
    return Visitor(*map(message.get, Visitor._fields)) if isinstance(message, dict) else Visitor()


def _key_of_page(request: Request) -> tuple[str, ...]:
    """The key of the one source whose origin the page is."""
    page = request.header(b"origin") or origin_of(request.header(b"referer"))
    sources = [one for one in request.settings.sources.values() if one.browser_key and page in one.origins]
    return (sources[0].browser_key,) if len(sources) == 1 else ()


def _flat(shared: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, Any]:
    """One of the script's queue, `{event, params, options}`, as the parameters of a pixel; or it is them already."""
    flat = {**shared, **item}
    params, options = flat.pop("params", None), flat.pop("options", None)
    if isinstance(params, list):
        # `raptor.trackEvent(p1, p2, …)`: what is left out there is null.
        params = {f"p{at}": value for at, value in enumerate(params[:_MOST_POSITIONS], 1)}
    if isinstance(params, dict):
        flat |= params
    elif params is not None and (name := _PUSHED.get(str(flat.get("event")).lower())):
        flat[name] = params
    if isinstance(options, dict):
        flat = {**options, **flat}
    return flat


def _message(fields: Mapping[str, Any], positions: Positions) -> dict[str, Any]:
    """An event with names in place of its positions, without what says nothing."""
    event = _text(fields.get(positions.event)) or _text(fields.get("event"))
    names = positions.of(event or "")
    message: dict[str, Any] = {"event": event} if event else {}
    properties: dict[str, Any] = {}
    for stated, value in fields.items():
        if stated == positions.event or stated in _LEFT_OUT:
            continue
        name = names.get(stated) or _OTHER_NAMES.get(stated) or stated
        if isinstance(value, str):
            value = value.strip()
            if value.lower() in _NOTHING:
                if name in _LISTS:
                    properties[name] = ""
                continue
        if value is not None:
            (message if name in _NAMED else properties)[name] = value
    if properties:
        message["properties"] = properties
    return message


def read(message: Any, path: str, parsed: Parsed) -> Sent:
    """An event with names. Raises Rejected."""
    if not isinstance(message, dict):
        raise Rejected("not_an_object", path, "an event must be a JSON object")
    named = _text(message.get("event"))
    if not named:
        raise Rejected("missing_field", path_to(path, "event"), "which event it is (`p1`) is needed, such as visit")
    stated, shared = message.get("properties"), parsed.shared
    properties = {**stated} if isinstance(stated, dict) else {}
    meaning = _shop(RAPTOR.get(named.lower()) or Meaning(named), properties)
    event: Event = {"name": meaning.name, "kind": "track"}  # type: ignore[typeddict-item]
    if meaning.name == "pageview":
        event["kind"] = "page"
    elif meaning.name == "identify":
        event["kind"] = "identify"
    if meaning.name in ("buy", "return") and (line := _line_id(meaning.name, properties)):
        event["id"] = line
    email = _read_ids(event, message, shared)
    if url := _text(message.get("url")) or shared.get("url"):
        event["page"] = {"url": url}
    campaign = {name: text for name, field in _CAMPAIGN if (text := _text(message.get(field)))}
    if campaign:
        event["campaign"] = Campaign(**campaign)  # type: ignore[typeddict-item]
    if version := _text(message.get("v")):
        event["library"] = {"name": "raptor", "version": version}
    if module := _text(message.get("am")):
        properties["module_name"] = module
    if properties:
        event["properties"] = properties
    return Sent(
        path, event, meaning, path_to(path, "properties"), email=email, server_side=parsed.path.endswith(".stream")
    )


def _read_ids(event: Event, message: Mapping[str, Any], shared: Mapping[str, Any]) -> str | None:
    """Put the ids into the event; the e-mail address among them."""
    if user := _id(message.get("user_id")):
        event["user_id"] = user
    if anonymous := _id(message.get("coid")) or shared.get("coid"):
        event["anonymous_id"] = anonymous
    if session := _id(message.get("sid")) or shared.get("sid"):
        event["client_session_id"] = session
    identifiers: dict[str, str] = {}
    for name in ("reaid", "xuid"):
        if text := _id(message.get(name)) or shared.get(name):
            identifiers[name] = text
    # A user that the event names may be another one than the browser's last.
    held = None if user else shared.get("ruid")
    ruid, email = _clear(_id(message.get("ruid")) or held), None
    if ruid:
        email = normalise("email", ruid)
        if email is None:
            identifiers["ruid"] = ruid
    if identifiers:
        event["identifiers"] = identifiers
    return email


def _id(value: Any) -> str | None:
    text = text_of(value)
    return None if text is None or is_blocked(text) else text


def _clear(ruid: str | None) -> str | None:
    """A ruid as it is meant: web pages send it as base64, tills as it is. What only looks like base64 is none."""
    if ruid is None:
        return None
    # A query that was not percent-encoded has blanks for `+`.
    packed = ruid.replace(" ", "+")
    try:
        text = base64.b64decode(packed, validate=True).decode()
    except (binascii.Error, ValueError):
        return ruid
    is_meant = base64.b64encode(text.encode()).decode() == packed and not is_blocked(text)
    return text_of(text) or ruid if is_meant else ruid


def _shop(meaning: Meaning, properties: dict[str, Any]) -> Meaning:
    """Put a shop's parameters in the form of properties that every protocol has; what the event then means."""
    for name in ("position", "results"):
        value = properties.get(name)
        if isinstance(value, str) and _WHOLE.fullmatch(value):
            properties[name] = int(value)
    stock = properties.get("in_stock")
    if isinstance(stock, str):
        properties["in_stock"] = _STOCK.get(stock.lower(), stock)
    if meaning.name == "basket":
        listed = _products(properties.get("basket_content"))
        if listed is not None:
            properties["basket_content"] = listed
        elif "product_id" in properties:
            # Only the product that was put in: what else is in the basket stays.
            return Meaning("basket", "add")
    elif meaning.name == "favorite":
        listed = _products(properties.pop("favorites", None))
        if listed is None:
            return Meaning("favorite", "add")
        properties["products"] = listed
    elif meaning.name == "buy" and any(_is_negative(properties.get(name)) for name in ("quantity", "subtotal")):
        return Meaning("return")
    return meaning


def _products(content: Any) -> list[Any] | None:
    """`id,id`, `id:quantity;id:quantity`, or a list that is one already; None where nothing is stated."""
    if isinstance(content, list):
        return [one if isinstance(one, dict) else {"product_id": one} for one in content]
    if not isinstance(content, str):
        return None if content is None else [{"product_id": content}]
    products: list[Any] = []
    for part in re.split("[,;]", content):
        text = part.strip()
        if found := _QUANTITY.fullmatch(text):
            products.append({"product_id": found[1].strip(), "quantity": found[2]})
        elif text:
            products.append({"product_id": text})
    return products


def _is_negative(value: Any) -> bool:
    if isinstance(value, str):
        return value.startswith("-") and value.strip("-0.") != ""
    return isinstance(value, int | float) and value < 0


def _line_id(name: str, properties: Mapping[str, Any]) -> str | None:
    """The id of an order's line: a page of thanks that is loaded again tells nothing new. Several returns of one
    product differ at least in how many went back."""
    order, product = text_of(properties.get("order_id")), text_of(properties.get("product_id"))
    if not order or not product:
        return None
    parts = [order, product, *([str(properties.get("quantity"))] if name == "return" else [])]
    return f"{name}-{hashlib.blake2b(orjson.dumps(parts), digest_size=16).hexdigest()}"


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def refused(error: Rejected, message: Any, parsed: Parsed) -> Refused:
    """A message that cannot be read."""
    named = _text(message.get("event")) if isinstance(message, dict) else None
    return Refused(error, None, (RAPTOR.get(named.lower()) or Meaning(named)).name if named else "")


def answer(receipts: list[dict[str, Any]], reply: Any) -> Reply:
    """A pixel, or the receipts."""
    if reply == "gif":
        return PIXEL
    return Reply(_SUCCESS + orjson.dumps(receipts) + b"}")
