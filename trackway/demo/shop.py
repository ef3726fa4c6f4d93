"""The demo shop: which path is answered by which page, and what each page tells the tracker.

It keeps nothing: basket, customer and latest order stand in the visitor's cookies.
"""

from __future__ import annotations

import re
import secrets
from typing import Any, Final

from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from trackway.demo.catalog import Catalog
from trackway.demo.cookies import Customer, Selection, read_customer, read_selection, sign_in_problems
from trackway.demo.pages import STATIC, Call, Page, Renderer

BASKET, ORDER, CUSTOMER = "shop_basket", "shop_order", "shop_customer"
NEWS = "shop_news"  # what the next page tells the tracker, once
CHOICE = "shop_choice"  # the answer to the consent banner; written by the page's script

_CURRENCY: Final = "EUR"
# Without letters and digits that look alike; an order's number is read out on the telephone.
_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_REMEMBERED: Final = {BASKET: 30 * 86400, CUSTOMER: 86400, ORDER: 600, NEWS: 60}  # seconds
_ON_THE_FIRST_PAGE: Final = ("LF-101", "LF-202", "LF-301", "LF-104")
_EXAMPLE: Final = Customer("Ada Example", "ada@example.com")
_ADDRESS: Final = {"street": "12 Harbour Street", "postcode": "5003", "city": "Bergen"}
_QUANTITY: Final = re.compile(r"[0-9]{1,3}")
_MOST_SEARCHED: Final = 100  # characters


def create_shop(key: str) -> ASGIApp:
    """The demo shop as an ASGI app. `key`: the browser key its pages carry in the snippet.

    It answers every path it is given, unknown ones with a page of status 404. The tracker is expected at `/tw/t.js`
    of the same host, and the page's foot links to `/console/live` and `/demo/cdp/`.
    """
    shop = _Shop(key)
    routes = [
        Route("/", shop.home),
        Route("/category/{slug}", shop.category),
        Route("/product/{code}", shop.product),
        Route("/search", shop.search),
        Route("/article/{id}", shop.article),
        Route("/basket", shop.basket),
        Route("/basket", shop.change_basket, methods=["POST"]),
        Route("/login", shop.login),
        Route("/login", shop.sign_in, methods=["POST"]),
        Route("/logout", shop.sign_out, methods=["POST"]),
        Route("/checkout", shop.checkout),
        Route("/checkout", shop.order, methods=["POST"]),
        Route("/thanks", shop.thanks),
        Mount("/demo/static", StaticFiles(directory=STATIC)),
    ]
    return Starlette(routes=routes, exception_handlers={404: shop.missing, 405: shop.missing})


class _Shop:
    def __init__(self, key: str) -> None:
        self._catalog = Catalog()
        self._renderer = Renderer(key, self._catalog)

    # --- Looking around -----------------------------------------------------------------------------------------------

    async def home(self, request: Request) -> Response:
        chosen = [self._catalog.products[code] for code in _ON_THE_FIRST_PAGE]
        return self._show(request, Page("home.html", "Good things for home and the road", {"products": chosen}))

    async def category(self, request: Request) -> Response:
        category = self._catalog.categories.get(request.path_params["slug"])
        if category is None:
            raise HTTPException(404)
        values = {"category": category, "products": self._catalog.of(category.id)}
        return self._show(request, Page("category.html", category.name, values))

    async def product(self, request: Request) -> Response:
        product = self._catalog.products.get(request.path_params["code"])
        if product is None:
            raise HTTPException(404)
        others = [one for one in self._catalog.of(product.category) if one != product]
        visit = ("track", "visit", {"items": [{**product.as_item(), "in_stock": product.available}]})
        values = {"product": product, "others": others}
        return self._show(request, Page("product.html", product.name, values, (visit,)))

    async def search(self, request: Request) -> Response:
        query = request.query_params.get("q", "").strip()[:_MOST_SEARCHED]
        found = self._catalog.search(query)
        searched = ("track", "search", {"query": query, "results": len(found)})
        values = {"query": query, "products": found}
        return self._show(request, Page("search.html", "Search", values, (searched,) if query else ()))

    async def article(self, request: Request) -> Response:
        article = self._catalog.articles.get(request.path_params["id"])
        if article is None:
            raise HTTPException(404)
        told = {"content_id": article.id, "name": article.name, "category_path": article.section}
        values = {"article": article, "product": self._catalog.products[article.product]}
        return self._show(request, Page("article.html", article.name, values, (("track", "contentvisit", told),)))

    async def missing(self, request: Request, _: Exception) -> Response:
        return self._show(request, Page("missing.html", "Page not found", status=404))

    # --- Basket -------------------------------------------------------------------------------------------------------

    async def basket(self, request: Request) -> Response:
        return self._show(request, Page("basket.html", "Basket"))

    async def change_basket(self, request: Request) -> Response:
        """`product` and `quantity`, which is added or, with `change=set`, becomes the product's new quantity."""
        form = await request.form()
        product = self._catalog.products.get(_field(form, "product"))
        quantity = _field(form, "quantity")
        if product is None or not product.available or not _QUANTITY.fullmatch(quantity):
            raise HTTPException(404)
        before = self._selection(request, BASKET) or Selection(secrets.token_hex(6))
        kept = 0 if _field(form, "change") == "set" else before.quantity_of(product)
        after = before.with_quantity(product, kept + int(quantity))
        response = RedirectResponse("/basket", 303)
        if after != before:
            _remember(request, response, {BASKET: after.as_cookie(), NEWS: "basket"})
        return response

    # --- Signing in and out -------------------------------------------------------------------------------------------

    async def login(self, request: Request) -> Response:
        if _customer(request):
            return RedirectResponse("/", 303)
        return self._login_page(request, _EXAMPLE, {})

    async def sign_in(self, request: Request) -> Response:
        form = await request.form()
        customer = Customer(_field(form, "name"), _field(form, "email"))
        problems = sign_in_problems(customer.name, customer.email)
        if problems:
            return self._login_page(request, customer, problems)
        response = RedirectResponse("/checkout" if _buying(request) else "/", 303)
        _remember(request, response, {CUSTOMER: customer.as_cookie(), NEWS: "login"})
        return response

    def _login_page(self, request: Request, typed: Customer, problems: dict[str, str]) -> Response:
        values = {"typed": typed, "problems": problems, "buying": _buying(request)}
        return self._show(request, Page("login.html", "Sign in", values, status=422 if problems else 200))

    async def sign_out(self, _: Request) -> Response:
        # The order goes too: whoever comes next must not see it, nor tell of it under a new visitor's id.
        response = RedirectResponse("/", 303)
        for name in (CUSTOMER, ORDER, BASKET, NEWS):
            response.delete_cookie(name)
        return response

    # --- Buying -------------------------------------------------------------------------------------------------------

    async def checkout(self, request: Request) -> Response:
        elsewhere = self._not_yet(request)
        return elsewhere or self._checkout_page(request, _ADDRESS, {})

    async def order(self, request: Request) -> Response:
        basket = self._selection(request, BASKET)
        elsewhere = self._not_yet(request)
        if elsewhere or basket is None:
            return elsewhere or RedirectResponse("/basket", 303)
        form = await request.form()
        address = {name: _field(form, name) for name in _ADDRESS}
        problems = {name: "Needed to deliver." for name, text in address.items() if not text}
        if problems:
            return self._checkout_page(request, address, problems)
        number = "LF-" + "".join(secrets.choice(_ALPHABET) for _ in range(8))
        response = RedirectResponse("/thanks", 303)
        _remember(request, response, {ORDER: Selection(number, basket.lines).as_cookie()})
        response.delete_cookie(BASKET)
        return response

    def _not_yet(self, request: Request) -> Response | None:
        """What is missing before one can order: a basket with something in it, and somebody signed in."""
        basket = self._selection(request, BASKET)
        if basket is None or not basket.lines:
            return RedirectResponse("/basket", 303)
        return None if _customer(request) else RedirectResponse("/login?then=checkout", 303)

    def _checkout_page(self, request: Request, typed: dict[str, str], problems: dict[str, str]) -> Response:
        values = {"typed": typed, "problems": problems}
        return self._show(request, Page("checkout.html", "Checkout", values, status=422 if problems else 200))

    async def thanks(self, request: Request) -> Response:
        order = self._selection(request, ORDER)
        if order is None or not order.lines:
            return RedirectResponse("/basket", 303)
        # Told at every view of the page: the order's id makes tracker and collector count it once.
        return self._show(request, Page("thanks.html", "Thank you", {"order": order}, (_buy(order),)))

    # --- What all pages share -----------------------------------------------------------------------------------------

    def _show(self, request: Request, page: Page) -> Response:
        """The page, which also tells the tracker what happened on the way to it, once."""
        news, basket, customer = request.cookies.get(NEWS), self._selection(request, BASKET), _customer(request)
        identify = _identify(customer) if customer else None
        calls = list(page.calls)
        if news == "basket" and basket:
            calls.append(_basket(basket))
        if news == "login" and identify:
            calls.append(identify)
        shared = {
            "basket": basket or Selection(""),
            "customer": customer,
            "identify": identify,
            "chosen": request.cookies.get(CHOICE) in ("granted", "denied"),
            "calls": calls,
        }
        response = self._renderer.render(page, shared)
        if news:
            response.delete_cookie(NEWS)
        return response

    def _selection(self, request: Request, cookie: str) -> Selection | None:
        return read_selection(request.cookies.get(cookie), self._catalog.products)


def _basket(basket: Selection) -> Call:
    return ("track", "basket", {"basket_id": basket.id, "currency": _CURRENCY, "items": basket.items})


def _buy(order: Selection) -> Call:
    told: dict[str, Any] = {
        "order_id": order.id, "currency": _CURRENCY, "subtotal": str(order.subtotal),
        "shipping": str(order.shipping), "total": str(order.total), "items": order.items,
    }  # fmt: skip
    return ("track", "buy", told)


def _identify(customer: Customer) -> Call:
    return ("identify", customer.user_id, {"email": customer.email, "name": customer.name})


def _customer(request: Request) -> Customer | None:
    return read_customer(request.cookies.get(CUSTOMER))


def _buying(request: Request) -> bool:
    """Whether somebody who signs in is on the way to the checkout."""
    return request.query_params.get("then") == "checkout"


def _field(form: FormData, name: str) -> str:
    value = form.get(name)
    return value.strip() if isinstance(value, str) else ""


def _remember(request: Request, response: Response, cookies: dict[str, str]) -> None:
    secure = request.url.scheme == "https"
    for name, value in cookies.items():
        response.set_cookie(name, value, _REMEMBERED[name], secure=secure, httponly=True, samesite="lax")
