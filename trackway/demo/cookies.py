"""What the demo shop remembers of a visitor: it stands in cookies, so that the shop itself keeps nothing.

Whatever a browser sends is read with care: what cannot be understood is as good as absent.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import orjson

from trackway.demo.catalog import Product

MOST: Final = 9  # pieces of one product
_ID: Final = re.compile(r"[A-Za-z0-9-]{1,40}")
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_SHIPPING, _FREE_FROM = Decimal("4.90"), Decimal(60)


@dataclass(frozen=True, slots=True)
class Line:
    """Some pieces of one product."""

    product: Product
    quantity: int

    @property
    def subtotal(self) -> Decimal:
        return self.product.price * self.quantity

    def as_item(self) -> dict[str, Any]:
        return {**self.product.as_item(), "quantity": self.quantity, "subtotal": str(self.subtotal)}


@dataclass(frozen=True, slots=True)
class Selection:
    """Products under an id: a basket's, or an order's. As a cookie `id.code:quantity.code:quantity`."""

    id: str
    lines: tuple[Line, ...] = ()

    @property
    def pieces(self) -> int:
        return sum(line.quantity for line in self.lines)

    @property
    def subtotal(self) -> Decimal:
        return sum((line.subtotal for line in self.lines), Decimal(0))

    @property
    def shipping(self) -> Decimal:
        return _SHIPPING if 0 < self.subtotal < _FREE_FROM else Decimal("0.00")

    @property
    def total(self) -> Decimal:
        return self.subtotal + self.shipping

    @property
    def items(self) -> list[dict[str, Any]]:
        """The lines as events name them."""
        return [line.as_item() for line in self.lines]

    def quantity_of(self, product: Product) -> int:
        return next((line.quantity for line in self.lines if line.product == product), 0)

    def with_quantity(self, product: Product, quantity: int) -> Selection:
        """The same with so many pieces of `product`, nine at most; none takes it out."""
        changed = Line(product, min(quantity, MOST))
        if self.quantity_of(product):
            lines = tuple(changed if line.product == product else line for line in self.lines)
        else:
            lines = (*self.lines, changed)
        return Selection(self.id, tuple(line for line in lines if line.quantity > 0))

    def as_cookie(self) -> str:
        return ".".join((self.id, *(f"{line.product.code}:{line.quantity}" for line in self.lines)))


def read_selection(text: str | None, products: Mapping[str, Product]) -> Selection | None:
    """The selection a cookie holds; None without a proper id."""
    key, *parts = (text or "").split(".")
    if not _ID.fullmatch(key):
        return None
    selection = Selection(key)
    for part in parts:
        code, _, number = part.partition(":")
        product = products.get(code)
        if product and product.available and re.fullmatch(r"[1-9]", number):
            selection = selection.with_quantity(product, int(number))
    return selection


@dataclass(frozen=True, slots=True)
class Customer:
    """Somebody signed in. The customer number follows from the e-mail address, so it is the same everywhere."""

    name: str
    email: str

    @property
    def user_id(self) -> str:
        digest = hashlib.sha256(self.email.lower().encode()).digest()
        return str(10_000_000 + int.from_bytes(digest[:8]) % 90_000_000)

    def as_cookie(self) -> str:
        return base64.urlsafe_b64encode(orjson.dumps([self.name, self.email])).decode()


def read_customer(text: str | None) -> Customer | None:
    """The customer a cookie holds."""
    try:
        name, email = orjson.loads(base64.urlsafe_b64decode((text or "").encode()))
    except (binascii.Error, ValueError, TypeError):
        return None
    if not isinstance(name, str) or not isinstance(email, str) or sign_in_problems(name, email):
        return None
    return Customer(name, email)


def sign_in_problems(name: str, email: str) -> dict[str, str]:
    """By field, what keeps somebody of this name and address from signing in."""
    problems = {}
    if not 0 < len(name) <= 80:
        problems["name"] = "Enter a name of up to 80 characters."
    if len(email) > 254 or not _EMAIL.fullmatch(email):
        problems["email"] = "Enter an e-mail address such as ada@example.com."
    return problems
