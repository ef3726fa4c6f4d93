"""An event as rows of an interaction stream: flat, one row an event, one an order line of purchases and returns. Pure.

Columns follow the CDP's own tracking: `coid` is the cookie id, `sid` the session's, `ruid` the id of e-mail marketing;
categories are `id#name;id#name`, the basket's content `product:quantity;product:quantity`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from eventlog.event import Event, Item
from exporter.member import Member
from exporter.processors import Row, Scalar

# Events that tell who somebody is, not what they did.
NO_INTERACTIONS: Final = frozenset({"identify", "group", "alias", "consent", "reset"})

_BY_LINE: Final = frozenset({"buy", "return"})
_ITEM: Final = (
    ("product_id", "product_id"),
    ("product_name", "name"),
    ("brand", "brand"),
    ("price", "price"),
    ("quantity", "quantity"),
    ("subtotal", "subtotal"),
    ("master_id", "master_id"),
    ("in_stock", "in_stock"),
    ("position", "position"),
)
_PARTS: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    "order": (
        ("order_id", "order_id"),
        ("order_total", "total"),
        ("order_revenue", "revenue"),
        ("tax", "tax"),
        ("shipping", "shipping"),
        ("discount", "discount"),
        ("coupon", "coupon"),
        ("currency", "currency"),
    ),
    "basket": (("basket_id", "basket_id"), ("basket_change", "change")),
    "content": (("content_id", "content_id"), ("content_name", "name")),
    "search": (("query", "query"), ("results", "results"), ("list", "list")),
    "page": (("url", "url"), ("title", "title"), ("referrer", "referrer")),
    "campaign": (
        ("utm_source", "source"),
        ("utm_medium", "medium"),
        ("utm_campaign", "name"),
        ("utm_term", "term"),
        ("utm_content", "content"),
    ),
}


def rows_of(event: Event, member: Member) -> list[Row]:
    """The rows of an event; `member` is the same event with its usable identifiers. Each has `event_id`, with `line`
    from 1 on where an event has several."""
    common = _common(event, member)
    items = event.get("items", [])
    if event["name"] in _BY_LINE and items:
        return [{**common, "line": number, **_item(item, common)} for number, item in enumerate(items, 1)]
    if event["name"] == "basket":
        common["basket_content"] = ";".join(_quantity(item) for item in items if "product_id" in item)
    return [{**common, **(_item(items[0], common) if len(items) == 1 else {})}]


def _common(event: Event, member: Member) -> Row:
    row: Row = {
        "event_id": event["id"],
        "event_type": event["name"],
        "source": event["source"],
        "channel": event["channel"],
        "occurred_at": event["occurred_at"],
        "user_id": member.user,
        "coid": member.anon,
        "sid": event.get("client_session_id"),
        "ruid": member.ruid,
        "email": member.email,
    }
    parts = cast(Mapping[str, Mapping[str, Scalar]], event)
    for part, columns in _PARTS.items():
        if part in event:
            row |= {column: parts[part][name] for column, name in columns if name in parts[part]}
    if path := event.get("content", {}).get("category_path"):
        row["category_path"] = category_text(path)
    return {column: value for column, value in row.items() if value is not None}


def _item(item: Item, common: Row) -> Row:
    stated = cast(Mapping[str, Any], item)
    row: Row = {column: stated[name] for column, name in _ITEM if name in stated}
    if path := item.get("category_path"):
        row["category_path"] = category_text(path)
    if currency := item.get("currency") or common.get("currency"):
        row["currency"] = currency
    return row


def category_text(path: Sequence[Sequence[str]]) -> str:
    """A category's path, from the top down, as the CDP writes it."""
    return ";".join(f"{id}#{name}" for id, name in path)


def _quantity(item: Item) -> str:
    return f"{item['product_id']}:{item.get('quantity', 1)}"
