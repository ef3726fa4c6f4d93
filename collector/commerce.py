"""What a shop's event tells, whoever sent it: items, order, basket, search. One reader for all protocols."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final, cast

from collector.meanings import Change, Meaning
from eventlog.errors import Rejected
from eventlog.event import Event, Item

_WITH_ITEMS: Final = frozenset(
    ("visit", "basket", "buy", "return", "favorite", "searchclick", "searchresult", "itemclick")
)
_LISTS: Final = ("items", "products", "basket_content")
_PRODUCT_ID: Final = ("product_id", "sku", "item_id", "id")
_CURRENCY: Final = ("currency",)
_MONEY: Final = ("subtotal", "revenue", "value", "total", "tax", "shipping", "discount")
# An amount as decimal text already, which needs no more than a look; everything else goes through Decimal.
_DECIMAL: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,29})(?:\.[0-9]{1,30})?")
_MAX_DIGITS: Final = 30
# GA4's, from the top down.
_CATEGORY_LEVELS: Final = ("item_category", "item_category2", "item_category3", "item_category4", "item_category5")
# Characters of a category; longer ones are read anew each time rather than kept.
_MAX_REMEMBERED: Final = 512
_EXACT_INTEGER: Final = 2**53


def lift(event: Event, meaning: Meaning, properties: Mapping[str, Any], path: str) -> None:
    """Put what `properties` say of products, order, basket, search and content where every reader looks for it.

    Raises Rejected, with the sender's path, for a price or quantity that is no number.
    """
    if meaning.name in _WITH_ITEMS:
        items = _items(properties, path)
        if items:
            event["items"] = items
    if meaning.name == "basket":
        event["basket"] = {"change": _change(meaning, properties)}
        basket_id = _text(properties, ("basket_id", "cart_id"))
        if basket_id:
            event["basket"]["basket_id"] = basket_id
    elif meaning.name == "favorite":
        event["favorites"] = {"change": _change(meaning, properties)}
    elif meaning.name in ("buy", "return"):
        _order(event, properties, path)
    elif meaning.name in ("search", "searchclick", "searchresult"):
        _search(event, properties)
    elif meaning.name == "contentvisit":
        _content(event, properties)


def _change(meaning: Meaning, properties: Mapping[str, Any]) -> Change:
    """What the name says; a name that leaves it open is made plain by the property `change`."""
    stated = properties.get("change")
    if meaning.change in (None, "whole") and stated in ("add", "remove"):
        return cast(Change, stated)
    return meaning.change or "whole"


def _items(properties: Mapping[str, Any], path: str) -> list[Item]:
    currency = _text(properties, _CURRENCY)
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
    if _text(properties, _PRODUCT_ID):
        return [_item(properties, currency, path)]
    return []


_ITEM_TEXTS: Final = (
    ("product_id", _PRODUCT_ID),
    ("name", ("name", "item_name")),
    ("brand", ("brand", "item_brand")),
    ("currency", _CURRENCY),
    ("master_id", ("master_id",)),
)


def _item(product: Mapping[str, Any], currency: str | None, path: str) -> Item:
    item: Item = _texts(product, _ITEM_TEXTS)  # type: ignore[assignment]
    categories = _categories(product)
    if categories:
        item["category_path"] = categories
    price, subtotal = _money(product, "price", path), _money(product, "subtotal", path)
    if price is not None:
        item["price"] = price
    if subtotal is not None:
        item["subtotal"] = subtotal
    if currency and (price or subtotal) and "currency" not in item:
        item["currency"] = currency
    quantity = _number(product, ("quantity", "qty"), path)
    if quantity is not None:
        item["quantity"] = quantity
    in_stock, position = product.get("in_stock"), product.get("position", product.get("index"))
    if isinstance(in_stock, bool):
        item["in_stock"] = in_stock
    if isinstance(position, int) and not isinstance(position, bool):
        item["position"] = position
    return item


def _categories(values: Mapping[str, Any]) -> list[tuple[str, str]] | None:
    category = values.get("category_path") or values.get("category")
    if not isinstance(category, str):
        levels = [_text(values, (name,)) for name in _CATEGORY_LEVELS] if "item_category" in values else []
        return [(level, level) for level in levels if level] or None
    return list(_known_path(category) if len(category) <= _MAX_REMEMBERED else category_path(category))


def category_path(text: str) -> tuple[tuple[str, str], ...]:
    """`id#name;id#name` as pairs; without `;` or `#` it is split at ` > ` or `/`, each part being id and name."""
    if ";" in text or "#" in text:
        parts = [part.strip().partition("#") for part in text.split(";")]
        return tuple((key or name, name or key) for key, _, name in parts if key or name)
    names = [name.strip() for name in text.split(" > " if " > " in text else "/")]
    return tuple((name, name) for name in names if name)


# A shop has a few hundred, and names one in nearly each event.
_known_path: Final = lru_cache(maxsize=4096)(category_path)


ORDER_ID: Final = ("order_id", "transaction_id")  # what properties call an order
_ORDER_TEXTS: Final = (
    ("order_id", ORDER_ID),
    ("coupon", ("coupon",)),
    ("currency", _CURRENCY),
)
_SEARCH_TEXTS: Final = (
    ("query", ("query", "search_term")),
    ("list", ("list", "list_id", "item_list_name", "item_list_id")),
)
_CONTENT_TEXTS: Final = (("content_id", ("content_id", "id")), ("name", ("name", "title")))


def _order(event: Event, properties: Mapping[str, Any], path: str) -> None:
    order = _texts(properties, _ORDER_TEXTS)
    for field in _MONEY:
        amount = _money(properties, field, path)
        if amount is not None:
            order[field] = amount
    if order:
        event["order"] = order  # type: ignore[typeddict-item]


def _search(event: Event, properties: Mapping[str, Any]) -> None:
    search = _texts(properties, _SEARCH_TEXTS)
    results = properties.get("results")
    if isinstance(results, int) and not isinstance(results, bool):
        search["results"] = results
    if search:
        event["search"] = search  # type: ignore[typeddict-item]


def _content(event: Event, properties: Mapping[str, Any]) -> None:
    content = _texts(properties, _CONTENT_TEXTS)
    categories = _categories(properties)
    if categories:
        content["category_path"] = categories
    if content:
        event["content"] = content  # type: ignore[typeddict-item]


def _texts(values: Mapping[str, Any], fields: tuple[tuple[str, tuple[str, ...]], ...]) -> dict[str, Any]:
    """Those fields that are stated under one of their names."""
    found: dict[str, Any] = {}
    for field, names in fields:
        for name in names:
            value = values.get(name)
            if value is not None and (text := _as_text(value)):
                found[field] = text
                break
    return found


def _text(values: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    for name in names:
        value = values.get(name)
        if value is not None and (text := _as_text(value)):
            return text
    return None


def _as_text(value: Any) -> str | None:
    """Texts and whole numbers are texts, if they are not blank."""
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _money(values: Mapping[str, Any], name: str, path: str) -> str | None:
    value = values.get(name)
    if value is None or value == "":
        return None
    text = value.strip() if isinstance(value, str) else repr(value)
    if _DECIMAL.fullmatch(text):
        return text
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise Rejected("wrong_type", f"{path}.{name}", 'a number is needed, such as 9.9 or "9.90"') from None
    if not amount.is_finite():
        raise Rejected("not_a_number", f"{path}.{name}", "a finite number is needed")
    written = f"{amount:f}" if -_MAX_DIGITS <= amount.adjusted() < _MAX_DIGITS else ""
    if not written or len(written) > 2 * _MAX_DIGITS + 2:
        raise Rejected("bad_value", f"{path}.{name}", f"an amount has {_MAX_DIGITS} digits at most")
    return written


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
    if not math.isfinite(number):
        return None
    # Whole numbers beyond 2^53 are not exact as floats, and beyond 64 bits no JSON integers.
    return int(number) if number.is_integer() and abs(number) < _EXACT_INTEGER else number
