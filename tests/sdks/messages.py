"""The messages every SDK sends, as Segment's specification writes them, and what they become in the log."""

from __future__ import annotations

from typing import Any, NamedTuple

Fields = dict[str, Any]


class Message(NamedTuple):
    """`sent` less its id; `stored` are the fields the canonical event must have, whatever else it has."""

    sent: Fields
    stored: Fields


_ORDER: Fields = {
    "order_id": "A-1",
    "currency": "EUR",
    "total": 19.8,
    "products": [{"product_id": "S-1", "price": 9.9, "quantity": 2}],
}
_LINE: Fields = {"product_id": "S-1", "price": "9.9", "quantity": 2, "currency": "EUR"}


def messages(largest_integer: int) -> list[Message]:
    """One of each type, a purchase, text beyond ASCII, and the largest integer the SDK's language holds exactly."""
    return [
        Message(
            {"type": "identify", "userId": "4711", "traits": {"email": "ada@example.com", "name": "Ada Ærøskøbing 🚲"}},
            {
                "kind": "identify",
                "user_id": "4711",
                "identifiers": {"email": "ada@example.com"},
                "traits": {"email": "ada@example.com", "name": "Ada Ærøskøbing 🚲"},
            },
        ),
        Message(
            {
                "type": "page",
                "userId": "4711",
                "category": "Shop",
                "name": "Home",
                "properties": {"url": "https://shop.example/"},
            },
            {"kind": "page", "name": "pageview", "user_id": "4711"},
        ),
        Message(
            {"type": "screen", "userId": "4711", "category": "App", "name": "Home"},
            {"kind": "screen", "user_id": "4711"},
        ),
        Message(
            {"type": "group", "userId": "4711", "groupId": "g-1", "traits": {"plan": "pro"}},
            {"kind": "group", "user_id": "4711", "group_id": "g-1", "traits": {"plan": "pro"}},
        ),
        Message(
            {"type": "alias", "previousId": "anon-1", "userId": "4711"},
            {"kind": "alias", "user_id": "4711", "previous_id": "anon-1"},
        ),
        Message(
            {"type": "track", "userId": "4711", "event": "Order Completed", "properties": _ORDER},
            {"kind": "track", "name": "buy", "items": [_LINE]},
        ),
        Message(
            {"type": "track", "anonymousId": "anon-2", "event": "Läsning 📚", "properties": {"n": largest_integer}},
            {"kind": "track", "name": "Läsning 📚", "anonymous_id": "anon-2", "properties": {"n": largest_integer}},
        ),
    ]
