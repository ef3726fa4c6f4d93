"""The shop as a single-page application: one page that is never loaded again, and the JSON it asks the server for."""

from __future__ import annotations

from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trackway.demo.catalog import Catalog
from trackway.demo.cookies import Customer, Selection, sign_in_problems
from trackway.demo.pages import DATA_HEADERS, Form, Page, Renderer, values_of
from trackway.demo.telling import basket_properties, order_properties
from trackway.demo.visitor import (
    ADDRESS,
    BASKET,
    CUSTOMER,
    Visitor,
    address_problems,
    changed_basket,
    order_of,
    remember_order,
    sign_out,
)

_FORM: Final = Form("spa", "/spa")
_LONGEST: Final = 4_096  # bytes of a request's body


def single_page_routes(renderer: Renderer, catalog: Catalog) -> list[Route]:
    """Below /spa: the data under /spa/data, and at every other path the page."""
    shop = _SinglePage(renderer, catalog)
    return [
        Route("/spa/data/catalog", shop.catalog),
        Route("/spa/data/visitor", shop.visitor),
        Route("/spa/data/basket", shop.change_basket, methods=["POST"]),
        Route("/spa/data/login", shop.sign_in, methods=["POST"]),
        Route("/spa/data/logout", shop.sign_out, methods=["POST"]),
        Route("/spa/data/order", shop.order, methods=["POST"]),
        Route("/spa/{path:path}", shop.page),
    ]


class _SinglePage:
    def __init__(self, renderer: Renderer, catalog: Catalog) -> None:
        self._renderer = renderer
        self._catalog = catalog
        self._everything = orjson.dumps(_everything(catalog))

    async def page(self, request: Request) -> Response:
        values = values_of(Visitor(request, self._catalog))
        return self._renderer.render(_FORM, Page("single_page.html", "Shop"), values)

    async def catalog(self, _: Request) -> Response:
        return Response(self._everything, headers=DATA_HEADERS, media_type="application/json")

    async def visitor(self, request: Request) -> Response:
        visitor = Visitor(request, self._catalog)
        return _answer(
            basket=_basket(visitor.basket), customer=_customer(visitor.customer), order=_order(visitor.order),
            address=ADDRESS,
        )  # fmt: skip

    async def change_basket(self, request: Request) -> Response:
        """`{product, quantity, change?}` as texts; answers with the whole basket."""
        visitor = Visitor(request, self._catalog)
        changed = changed_basket(visitor.basket, await _fields(request), self._catalog)
        if changed is None:
            return _answer(404)
        basket, _ = changed
        response = _answer(basket=_basket(basket), changed=basket != visitor.basket)
        visitor.remember(response, {BASKET: basket.as_cookie()})
        return response

    async def sign_in(self, request: Request) -> Response:
        """`{name, email}`; answers with who it is, or what is wrong with which field."""
        fields = await _fields(request)
        customer = Customer(fields.get("name", ""), fields.get("email", ""))
        problems = sign_in_problems(customer.name, customer.email)
        if problems:
            return _answer(422, problems=problems)
        response = _answer(customer=_customer(customer))
        Visitor(request, self._catalog).remember(response, {CUSTOMER: customer.as_cookie()})
        return response

    async def sign_out(self, _: Request) -> Response:
        response = _answer()
        sign_out(response)
        return response

    async def order(self, request: Request) -> Response:
        """`{street, postcode, city}`; answers with the order, or what is wrong with which field."""
        visitor = Visitor(request, self._catalog)
        if visitor.basket is None or not visitor.basket.lines or visitor.customer is None:
            return _answer(409)
        problems = address_problems(await _fields(request))
        if problems:
            return _answer(422, problems=problems)
        order = order_of(visitor.basket)
        response = _answer(order=_order(order))
        remember_order(visitor, order, response)
        return response


def _everything(catalog: Catalog) -> dict[str, Any]:
    products = [
        {
            **product.as_item(), "in_stock": product.available, "category": product.category,
            "material": product.material, "description": product.description,
        }
        for product in catalog.products.values()
    ]  # fmt: skip
    articles = [
        {
            **article.as_content(), "published_at": article.published_at, "product": article.product,
            "intro": article.intro, "body": article.body,
        }
        for article in catalog.articles.values()
    ]  # fmt: skip
    return {"products": products, "articles": articles, "categories": list(catalog.categories.values())}


def _basket(basket: Selection | None) -> dict[str, Any]:
    basket = basket or Selection("")
    sums = {"subtotal": str(basket.subtotal), "shipping": str(basket.shipping), "total": str(basket.total)}
    return {**basket_properties(basket), "pieces": basket.pieces, **sums}


def _order(order: Selection | None) -> dict[str, Any] | None:
    return order_properties(order) if order else None


def _customer(customer: Customer | None) -> dict[str, str] | None:
    return {"id": customer.user_id, "name": customer.name, "email": customer.email} if customer else None


async def _fields(request: Request) -> dict[str, str]:
    """The texts of a JSON object; what is none is as good as empty."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _LONGEST:
            return {}
    try:
        stated = orjson.loads(bytes(body))
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(stated, dict):
        return {}
    return {name: value.strip() for name, value in stated.items() if isinstance(value, str)}


def _answer(status: int = 200, **values: Any) -> Response:
    return Response(orjson.dumps(values), status, DATA_HEADERS, "application/json")
