"""What a shop's event means, whoever sent it: names, items, order, basket. One table, one reader of products."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, NamedTuple

from eventlog.errors import Rejected
from eventlog.event import Event, Item

Change = Literal["whole", "add", "remove"]


class Meaning(NamedTuple):
    """A canonical name; `change` for what alters the basket or the favourites."""

    name: str
    change: Change | None = None


# Segment's names in lower case (RudderStack's and Jitsu's too), and the canonical ones, which stand for themselves.
SEGMENT: Final[dict[str, Meaning]] = {
    "product viewed": Meaning("visit"),
    "cart viewed": Meaning("basket", "whole"),
    "product added": Meaning("basket", "add"),
    "product removed": Meaning("basket", "remove"),
    "order completed": Meaning("buy"),
    "order refunded": Meaning("return"),
    "products searched": Meaning("search"),
    "product clicked": Meaning("itemclick"),
    "product added to wishlist": Meaning("favorite", "add"),
    "product removed from wishlist": Meaning("favorite", "remove"),
    "signed out": Meaning("reset"),
    "logged out": Meaning("reset"),
    "logout": Meaning("reset"),
    "basket": Meaning("basket", "whole"),
    "favorite": Meaning("favorite", "whole"),
} | {
    name: Meaning(name)
    for name in (
        "visit", "contentvisit", "buy", "return", "search", "searchclick", "searchresult", "itemclick", "consent",
        "reset",
    )
}  # fmt: skip

_WITH_ITEMS: Final = frozenset(
    ("visit", "basket", "buy", "return", "favorite", "searchclick", "searchresult", "itemclick")
)
_LISTS: Final = ("items", "products", "basket_content")
_PRODUCT_ID: Final = ("product_id", "sku", "item_id", "id")
_MONEY: Final = ("subtotal", "revenue", "value", "total", "tax", "shipping", "discount")


def lift(event: Event, meaning: Meaning, properties: Mapping[str, Any], path: str) -> None:
    """Put what `properties` say of products, order, basket, search and content where every reader looks for it.

    Raises Rejected, with the sender's path, for a price or quantity that is no number.
    """
    if meaning.name in _WITH_ITEMS:
        items = _items(properties, path)
        if items:
            event["items"] = items
    if meaning.name == "basket":
        event["basket"] = {"change": meaning.change or "whole"}
        basket_id = _text(properties, "basket_id", "cart_id")
        if basket_id:
            event["basket"]["basket_id"] = basket_id
    elif meaning.name == "favorite":
        event["favorites"] = {"change": meaning.change or "whole"}
    elif meaning.name in ("buy", "return"):
        _order(event, properties, path)
    elif meaning.name in ("search", "searchclick", "searchresult"):
        _search(event, properties)
    elif meaning.name == "contentvisit":
        _content(event, properties)


def _items(properties: Mapping[str, Any], path: str) -> list[Item]:
    currency = _text(properties, "currency")
    for name in _LISTS:
        listed = properties.get(name)
        if isinstance(listed, list):
            items = []
            for at, product in enumerate(listed):
                if not isinstance(product, Mapping):
                    raise Rejected(
                        "wrong_type", f"{path}.{name}[{at}]", "an object such as {product_id, price} is needed"
                    )
                items.append(_item(product, currency, f"{path}.{name}[{at}]"))
            return [item for item in items if item]
    if _text(properties, *_PRODUCT_ID):
        return [_item(properties, currency, path)]
    return []


def _item(product: Mapping[str, Any], currency: str | None, path: str) -> Item:
    item: Item = {}
    for field, names in _ITEM_TEXTS:
        text = _text(product, *names)
        if text:
            item[field] = text  # type: ignore[literal-required]
    category = product.get("category_path") or product.get("category")
    if isinstance(category, str) and category.strip():
        item["category_path"] = category_path(category)
    for field in ("price", "subtotal"):
        amount = _money(product, field, path)
        if amount is not None:
            item[field] = amount  # type: ignore[literal-required]
    quantity = _number(product, ("quantity", "qty"), path)
    if quantity is not None:
        item["quantity"] = quantity
    if isinstance(product.get("in_stock"), bool):
        item["in_stock"] = product["in_stock"]
    position = product.get("position")
    if isinstance(position, int) and not isinstance(position, bool):
        item["position"] = position
    if currency and "currency" not in item and ("price" in item or "subtotal" in item):
        item["currency"] = currency
    return item


_ITEM_TEXTS: Final = (
    ("product_id", _PRODUCT_ID),
    ("name", ("name", "item_name")),
    ("brand", ("brand", "item_brand")),
    ("currency", ("currency",)),
    ("master_id", ("master_id",)),
)


def category_path(text: str) -> list[tuple[str, str]]:
    """`id#name;id#name` as pairs; without `;` or `#` it is split at ` > ` or `/`, each part being id and name."""
    if ";" in text or "#" in text:
        parts = [part.strip().partition("#") for part in text.split(";") if part.strip("# ")]
        return [(key or name, name or key) for key, _, name in parts]
    names = [name.strip() for name in text.split(" > " if " > " in text else "/")]
    return [(name, name) for name in names if name]


_ORDER_TEXTS: Final = (
    ("order_id", ("order_id", "transaction_id")),
    ("coupon", ("coupon",)),
    ("currency", ("currency",)),
)


def _order(event: Event, properties: Mapping[str, Any], path: str) -> None:
    order: dict[str, Any] = {}
    for field, names in (
        ("order_id", ("order_id", "transaction_id")),
        ("coupon", ("coupon",)),
        ("currency", ("currency",)),
    ):
        text = _text(properties, *names)
        if text:
            order[field] = text
    for field in _MONEY:
        amount = _money(properties, field, path)
        if amount is not None:
            order[field] = amount
    if order:
        event["order"] = order  # type: ignore[typeddict-item]


def _search(event: Event, properties: Mapping[str, Any]) -> None:
    search: dict[str, Any] = {}
    for field, names in (("query", ("query", "search_term")), ("list", ("list", "list_id"))):
        text = _text(properties, *names)
        if text:
            search[field] = text
    results = properties.get("results")
    if isinstance(results, int) and not isinstance(results, bool):
        search["results"] = results
    if search:
        event["search"] = search  # type: ignore[typeddict-item]


def _content(event: Event, properties: Mapping[str, Any]) -> None:
    content: dict[str, Any] = {}
    for field, names in (("content_id", ("content_id", "id")), ("name", ("name", "title"))):
        text = _text(properties, *names)
        if text:
            content[field] = text
    category = properties.get("category_path") or properties.get("category")
    if isinstance(category, str) and category.strip():
        content["category_path"] = category_path(category)
    if content:
        event["content"] = content  # type: ignore[typeddict-item]


def _text(values: Mapping[str, Any], *names: str) -> str | None:
    for name in names:
        value = values.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return None


def _money(values: Mapping[str, Any], name: str, path: str) -> str | None:
    value = values.get(name)
    if value is None or value == "":
        return None
    try:
        if isinstance(value, bool):
            raise InvalidOperation
        amount = Decimal(repr(value) if isinstance(value, float) else str(value).strip())
    except InvalidOperation:
        raise Rejected("wrong_type", f"{path}.{name}", 'a number is needed, such as 9.9 or "9.90"') from None
    if not amount.is_finite():
        raise Rejected("not_a_number", f"{path}.{name}", "a finite number is needed")
    return f"{amount:f}"


def _number(values: Mapping[str, Any], names: tuple[str, ...], path: str) -> int | float | None:
    for name in names:
        value = values.get(name)
        if value is None or value == "":
            continue
        if isinstance(value, str):
            value = _from_text(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Rejected("wrong_type", f"{path}.{name}", "a number is needed")
        return value
    return None


def _from_text(text: str) -> int | float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if number.is_integer() else number if abs(number) != float("inf") else None
