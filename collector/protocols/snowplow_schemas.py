"""Self-describing values: an event's own, and the contexts around it; what those of Snowplow's shops tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from collector.decode import BadBody, decode
from collector.meanings import SNOWPLOW, Meaning
from collector.packed import from_base64
from collector.stated import path_to, word
from eventlog.errors import Rejected

SNOWPLOWS: Final = "com.snowplowanalytics.snowplow"
SHOPS: Final = "com.snowplowanalytics.snowplow.ecommerce"
_MOBILE: Final = "com.snowplowanalytics.mobile"
_ACTION: Final = (SHOPS, "snowplow_ecommerce_action")
_SCREENS: Final = frozenset(((SNOWPLOWS, "screen_view"), (_MOBILE, "screen_view")))
_CONSENTS: Final = frozenset(("consent_preferences", "consent_granted", "consent_withdrawn"))
# Snowplow's older e-commerce: one product, in the event itself.
_OLD_SHOP: Final = frozenset(("add_to_cart", "remove_from_cart", "site_search"))
# Entities of a shop whose fields become properties, under the names that are read of an order.
_OF_ORDERS: Final = ("transaction", "refund", "cart", "checkout_step", "promotion", "transaction_error")
_IN_ACTIONS: Final = frozenset((*_OF_ORDERS, "product", "page"))
_RENAMED: Final = {
    "discount_amount": "discount", "discount_code": "coupon", "refund_amount": "total", "unitPrice": "price",
}  # fmt: skip
_MAX_VALUES: Final = 100_000
_SCHEME: Final = "iglu:"


class Described(NamedTuple):
    """A self-describing value: whose schema it has, what that is called, its address, and the value."""

    vendor: str
    name: str
    schema: str
    data: Any


def unpack(message: Mapping[str, Any], plain: str, packed: str, path: str) -> tuple[Any, str]:
    """The value that stands as JSON under `plain`, or as base64 of it under `packed`, and its path; None where there is
    none. Raises Rejected."""
    name = plain if message.get(plain) else packed
    value, where = message.get(name), path_to(path, name)
    if not isinstance(value, str):
        return value, where
    if not value.strip():
        return None, where
    try:
        return decode(
            value.encode("utf-8", "surrogatepass") if name == plain else from_base64(value), _MAX_VALUES
        ), where
    except BadBody as error:
        if error.code == "too_deep":
            raise Rejected("too_deep", where, str(error)) from None
        what = "JSON" if name == plain else "base64 of JSON"
        raise Rejected("bad_value", where, f"this is no {what}") from None


def described(value: Any, path: str) -> Described:
    """Raises Rejected."""
    if not isinstance(value, dict):
        raise Rejected("wrong_type", path, "an object with `schema` and `data` is needed")
    return Described(*_parts(value.get("schema"), path_to(path, "schema")), value.get("data"))


def _parts(schema: Any, path: str) -> tuple[str, str, str]:
    address = word(schema) or ""
    parts = address.removeprefix(_SCHEME).split("/")
    if not address.startswith(_SCHEME) or len(parts) != 4 or not all(part.strip() for part in parts):
        raise Rejected("bad_value", path, "an address such as iglu:com.acme/read/jsonschema/1-0-0 is needed")
    return parts[0].strip(), parts[1].strip(), address


def contexts_of(message: Mapping[str, Any], path: str) -> list[Described]:
    """The contexts that can be read. Raises Rejected where none can."""
    value, where = unpack(message, "co", "cx", path)
    if value is None:
        return []
    listed = value.get("data") if isinstance(value, dict) else None
    if not isinstance(listed, list):
        raise Rejected("wrong_type", path_to(where, "data"), "a list of contexts is needed")
    return [described(one, f"{path_to(where, 'data')}[{at}]") for at, one in enumerate(listed)]


def meaning_of(event: Described) -> Meaning:
    """What a self-describing event means; those that Snowplow did not define keep their name."""
    if (event.vendor, event.name) == _ACTION:
        named = word(event.data.get("type")) if isinstance(event.data, dict) else None
        return (SNOWPLOW.get(named.lower()) or Meaning(named)) if named else Meaning(event.name)
    if (event.vendor, event.name) in _SCREENS:
        return Meaning("screen")
    if event.vendor == SNOWPLOWS:
        if event.name in _CONSENTS:
            return Meaning("consent")
        if event.name in _OLD_SHOP:
            return SNOWPLOW[event.name]
    return Meaning(event.name)


def properties_of(event: Described, entities: list[Described], path: str) -> dict[str, Any]:
    """What an event's own value tells, with what the shop's contexts add. Raises Rejected."""
    data = event.data
    if not isinstance(data, dict):
        raise Rejected("wrong_type", path, "`data` must be an object")
    if (event.vendor, event.name) == _ACTION:
        return _of_action(data, entities)
    if event.vendor == SNOWPLOWS and event.name in _OLD_SHOP:
        return _of_search(data) if event.name == "site_search" else _renamed(data)
    return {"schema": event.schema, **data}


def _of_action(data: Mapping[str, Any], entities: list[Described]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    if list_name := word(data.get("name")):
        properties["list"] = list_name
    properties |= {name: value for name, value in data.items() if name not in ("type", "name")}
    products = []
    for entity in entities:
        if entity.vendor != SHOPS or not isinstance(entity.data, dict):
            continue
        if entity.name == "product":
            products.append(entity.data)
        elif entity.name in _OF_ORDERS:
            properties |= _renamed(entity.data)
        elif entity.name == "page" and "type" in entity.data:
            properties["page_type"] = entity.data["type"]
    if products:
        properties["products"] = products
    return properties


def unread(event: Described, entities: list[Described]) -> list[Described]:
    """The contexts that `properties_of` did not take."""
    if (event.vendor, event.name) != _ACTION:
        return entities
    return [one for one in entities if one.vendor != SHOPS or one.name not in _IN_ACTIONS]


def _of_search(data: Mapping[str, Any]) -> dict[str, Any]:
    properties = dict(data)
    terms = data.get("terms")
    if isinstance(terms, list) and (query := " ".join(term for term in terms if isinstance(term, str)).strip()):
        properties["query"] = query
    if "totalResults" in data:
        properties["results"] = properties.pop("totalResults")
    return properties


def _renamed(data: Mapping[str, Any]) -> dict[str, Any]:
    return {_RENAMED.get(name, name): value for name, value in data.items()}
