"""What the shop's pages tell the tracker, in its own words: calls of `trackway`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from trackway.demo.catalog import Article, Product
from trackway.demo.cookies import Customer, Selection

CURRENCY: Final = "EUR"

Call = tuple[Any, ...]  # a method, and what it is called with


class Words(Protocol):
    """Each method gives the calls that say what happened; `customer` is who is signed in."""

    def visit(self, product: Product, customer: Customer | None) -> Sequence[Call]: ...

    def search(self, query: str, results: int) -> Sequence[Call]: ...

    def content(self, article: Article, customer: Customer | None) -> Sequence[Call]: ...

    def basket(self, basket: Selection, changed: Product | None, customer: Customer | None) -> Sequence[Call]: ...

    def buy(self, order: Selection, customer: Customer | None) -> Sequence[Call]: ...

    def identify(self, customer: Customer) -> Sequence[Call]: ...


class TrackwayWords:
    """Calls of `trackway`: the command and what follows. Who is signed in is told once, by `identify`."""

    def visit(self, product: Product, customer: Customer | None) -> Sequence[Call]:
        return [("track", "visit", {"items": [{**product.as_item(), "in_stock": product.available}]})]

    def search(self, query: str, results: int) -> Sequence[Call]:
        return [("track", "search", {"query": query, "results": results})]

    def content(self, article: Article, customer: Customer | None) -> Sequence[Call]:
        return [("track", "contentvisit", article.as_content())]

    def basket(self, basket: Selection, changed: Product | None, customer: Customer | None) -> Sequence[Call]:
        return [("track", "basket", basket_properties(basket))]

    def buy(self, order: Selection, customer: Customer | None) -> Sequence[Call]:
        return [("track", "buy", order_properties(order))]

    def identify(self, customer: Customer) -> Sequence[Call]:
        return [("identify", customer.user_id, {"email": customer.email, "name": customer.name})]


def basket_properties(basket: Selection) -> dict[str, Any]:
    """A basket as events tell of it."""
    return {"basket_id": basket.id, "currency": CURRENCY, "items": basket.items}


def order_properties(order: Selection) -> dict[str, Any]:
    """An order as events tell of it."""
    return {
        "order_id": order.id, "currency": CURRENCY, "subtotal": str(order.subtotal),
        "shipping": str(order.shipping), "total": str(order.total), "items": order.items,
    }  # fmt: skip
