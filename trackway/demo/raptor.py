"""What Ibexa's templates tell, in Raptor's words: calls of `raptor` with numbered parameters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from collector.positions import ALL, EVENT, Positions
from trackway.demo.catalog import Article, Product
from trackway.demo.cookies import Customer, Selection
from trackway.demo.telling import CURRENCY, Call

# Raptor's usual positions; where the currency stands has to be agreed (`raptor.positions` in trackway.yml).
POSITIONS: Final = Positions({ALL: {"p20": "currency"}})


class RaptorWords:
    """Calls of `raptor`: the method and what follows."""

    def visit(self, product: Product, customer: Customer | None) -> Sequence[Call]:
        return [
            _event(
                "visit", customer, product_id=product.code, name=product.name, category_path=product.category_path,
                brand=product.brand, price=str(product.price), in_stock=str(product.available).lower(),
                currency=CURRENCY,
            )
        ]  # fmt: skip

    def search(self, query: str, results: int) -> Sequence[Call]:
        """Ibexa's templates tell of no searches."""
        return []

    def content(self, article: Article, customer: Customer | None) -> Sequence[Call]:
        told = {"content_id": article.id, "name": article.name, "category_path": article.section}
        return [_event("contentvisit", customer, **told)]

    def basket(self, basket: Selection, changed: Product | None, customer: Customer | None) -> Sequence[Call]:
        """The product that was changed, and the whole content."""
        content = ";".join(f"{line.product.code}:{line.quantity}" for line in basket.lines)
        told = {"basket_content": content, "basket_id": basket.id, "currency": CURRENCY}
        if changed:
            told |= {"product_id": changed.code, "name": changed.name, "quantity": str(basket.quantity_of(changed))}
        return [_event("basket", customer, **told)]

    def buy(self, order: Selection, customer: Customer | None) -> Sequence[Call]:
        """One call a line; the order's number joins them."""
        return [
            _event(
                "buy", customer, product_id=line.product.code, name=line.product.name,
                category_path=line.product.category_path, brand=line.product.brand, subtotal=_money(line.subtotal),
                price=_money(line.product.price), quantity=str(line.quantity), currency=CURRENCY, order_id=order.id,
            )
            for line in order.lines
        ]  # fmt: skip

    def identify(self, customer: Customer) -> Sequence[Call]:
        """Raptor's pixel carries both ids with each event from then on; here `setuser` says that they are one's."""
        both = {"p1": "setuser", "p7": customer.user_id, "ruid": customer.email}
        return [("push", "setRuid", customer.email), ("push", "trackEvent", both)]


def _event(event: str, customer: Customer | None, /, **values: str) -> Call:
    """`raptor.trackEvent(event, p2, p3, …)` with each value at its position and nothing in between."""
    if customer:
        values["user_id"] = customer.user_id
    numbers = {int(position[1:]): field for position, field in POSITIONS.of(event).items() if field != EVENT}
    placed = {number: values[field] for number, field in numbers.items() if field in values}
    return ("trackEvent", event, *(placed.get(number, "") for number in range(2, max(placed) + 1)))


def as_code(call: Call) -> str:
    """A call as a page's source has it."""
    method, *values = call
    return f"raptor.{method}({', '.join(json.dumps(value, ensure_ascii=False) for value in values)})"


def parameters_of(call: Call) -> list[tuple[str, str, str]]:
    """Of an event, what it states: position, name, value."""
    method, name, *values = call
    if method != "trackEvent":
        return []
    names = POSITIONS.of(name)
    return [(f"p{at}", names[f"p{at}"], value) for at, value in enumerate(values, 2) if value]


def _money(amount: Decimal) -> str:
    return f"{amount:.2f}"
