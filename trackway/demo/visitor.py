"""What the shop remembers of a visitor, who carries it: basket, customer and latest order stand in cookies."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Final

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from trackway.demo.catalog import Catalog, Product
from trackway.demo.cookies import Customer, Selection, read_customer, read_selection

BASKET, ORDER, CUSTOMER, SAVED = "shop_basket", "shop_order", "shop_customer", "shop_saved"
NEWS = "shop_news"  # what the next page tells the tracker, once
CHOICE = "shop_choice"  # the answer to the consent banner; written by the page's script

ADDRESS: Final = {"street": "12 Harbour Street", "postcode": "5003", "city": "Bergen"}

# Without letters and digits that look alike; an order's number is read out on the telephone.
_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_REMEMBERED: Final = {BASKET: 30 * 86400, CUSTOMER: 86400, ORDER: 600, SAVED: 30 * 86400, NEWS: 60}  # seconds
_QUANTITY: Final = re.compile(r"[0-9]{1,3}")

Fields = Mapping[str, str]


class Visitor:
    """Who asks, and what their cookies hold."""

    def __init__(self, request: Request, catalog: Catalog) -> None:
        self._cookies = request.cookies
        self._secure = request.url.scheme == "https"
        self._products = catalog.products

    @property
    def basket(self) -> Selection | None:
        return read_selection(self._cookies.get(BASKET), self._products)

    @property
    def order(self) -> Selection | None:
        order = read_selection(self._cookies.get(ORDER), self._products)
        return order if order and order.lines else None

    @property
    def customer(self) -> Customer | None:
        return read_customer(self._cookies.get(CUSTOMER))

    @property
    def saved(self) -> list[Product]:
        """What was saved for later, the newest first."""
        codes = dict.fromkeys(self._cookies.get(SAVED, "").split("."))
        return [self._products[code] for code in codes if code in self._products]

    @property
    def news(self) -> str:
        return self._cookies.get(NEWS, "")

    @property
    def has_chosen(self) -> bool:
        """Whether the consent banner has been answered."""
        return self._cookies.get(CHOICE) in ("granted", "denied")

    def remember(self, response: Response, cookies: Mapping[str, str]) -> None:
        for name, value in cookies.items():
            response.set_cookie(name, value, _REMEMBERED[name], secure=self._secure, httponly=True, samesite="lax")


def changed_basket(before: Selection | None, fields: Fields, catalog: Catalog) -> tuple[Selection, Product] | None:
    """The basket with `quantity` more of `product`, or with `change=set` that many of it; and the product.

    None: there is no such product, or not that many.
    """
    product, quantity = catalog.products.get(fields.get("product", "")), fields.get("quantity", "")
    if product is None or not product.available or not _QUANTITY.fullmatch(quantity):
        return None
    before = before or Selection(secrets.token_hex(6))
    kept = 0 if fields.get("change") == "set" else before.quantity_of(product)
    return before.with_quantity(product, kept + int(quantity)), product


def address_problems(fields: Fields) -> dict[str, str]:
    """By field, what keeps an order from being delivered."""
    return {name: "Needed to deliver." for name in ADDRESS if not fields.get(name)}


def order_of(basket: Selection) -> Selection:
    """The basket as an order, with a number of its own."""
    return Selection("LF-" + "".join(secrets.choice(_ALPHABET) for _ in range(8)), basket.lines)


def remember_order(visitor: Visitor, order: Selection, response: Response) -> None:
    visitor.remember(response, {ORDER: order.as_cookie()})
    response.delete_cookie(BASKET)


def sign_out(response: Response) -> None:
    """The order goes too: whoever comes next must not see it, nor tell of it under a new visitor's id."""
    for name in (CUSTOMER, ORDER, BASKET, SAVED, NEWS):
        response.delete_cookie(name)


def fields_of(form: FormData) -> dict[str, str]:
    """A form's texts, without the blanks around them."""
    return {name: value.strip() for name, value in form.items() if isinstance(value, str)}
