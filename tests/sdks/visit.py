"""What every SDK is made to send, and what of it must be in the log, whoever sent it."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any, Final

USER: Final = "user-4711"
EMAIL: Final = "ada@example.com"
NAME: Final = "Ada Ærøskøbing 🚲"
GROUP: Final = "company-7"
# An event of one's own, whose name and properties are not ASCII.
OWN: Final = "Gelesen 📚"
TEXT: Final = "Zelte für Ærø 🚲 日本"
ORDER_ID: Final = "A-1001"
CURRENCY: Final = "CHF"
TOTAL: Final = 119.8
# In the words of Segment; each SDK's script says the same in its own.
PRODUCTS: Final[list[dict[str, Any]]] = [
    {"product_id": "S-1", "name": TEXT, "price": 9.9, "quantity": 2, "brand": "Nordisk", "category": "Camping/Tents"},
    {"product_id": "S-2", "name": "Stove", "price": 100, "quantity": 1},
]
ORDER: Final[dict[str, Any]] = {
    "order_id": ORDER_ID,
    "total": TOTAL,
    "currency": CURRENCY,
    "products": PRODUCTS,
}
GIVEN: Final[dict[str, Any]] = {
    "user": USER,
    "email": EMAIL,
    "name": NAME,
    "group": GROUP,
    "own": OWN,
    "text": TEXT,
    "order": ORDER,
}


def check_purchase(event: dict[str, Any]) -> None:
    """A `buy` with its order and both lines."""
    assert event["name"] == "buy"
    assert event["order"]["order_id"] == ORDER_ID
    amount = event["order"].get("total") or event["order"].get("value") or event["order"].get("revenue")
    assert Decimal(amount) == Decimal(str(TOTAL))
    assert event["order"].get("currency", CURRENCY) == CURRENCY
    lines = [(one["product_id"], Decimal(one["price"]), one.get("quantity", 1)) for one in event["items"]]
    assert lines == [("S-1", Decimal("9.9"), 2), ("S-2", Decimal(100), 1)]
    assert [one.get("currency", event["order"].get("currency")) for one in event["items"]] == [CURRENCY] * 2
    assert event["items"][0]["name"] == TEXT


def check_person(events: list[dict[str, Any]]) -> None:
    """Who was `anon-1` is the user, and what is known of the user."""
    alias = only(events, "alias")
    assert (alias["user_id"], alias["previous_id"]) == (USER, "anon-1")
    identify = only(events, "identify")
    assert identify["traits"] == {"email": EMAIL, "name": NAME}
    assert (identify["user_id"], identify["identifiers"]) == (USER, {"email": EMAIL})


def check_numbered(events: list[dict[str, Any]], count: int, name: str = "Read") -> None:
    """`count` events named so, whose property `n` counts them from 0: each once."""
    found = Counter(str(one["properties"]["n"]) for one in events if one["name"] == name)
    assert found == Counter(str(n) for n in range(count))


def only(events: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The one event of a name."""
    (event,) = (one for one in events if one["name"] == name)
    return event
