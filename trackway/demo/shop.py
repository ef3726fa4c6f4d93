"""The demo shop: which path is answered by which page, and what each page tells the tracker.

It keeps nothing: basket, customer and latest order stand in the visitor's cookies.
"""

from __future__ import annotations

from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from trackway.demo.addons import addon_routes
from trackway.demo.catalog import Catalog, Product
from trackway.demo.cookies import Customer, sign_in_problems
from trackway.demo.pages import STATIC, Form, Page, Renderer, values_of
from trackway.demo.raptor import RaptorWords
from trackway.demo.single_page import single_page_routes
from trackway.demo.telling import TrackwayWords, Words
from trackway.demo.visitor import (
    ADDRESS,
    BASKET,
    CUSTOMER,
    NEWS,
    SAVED,
    Visitor,
    address_problems,
    changed_basket,
    fields_of,
    order_of,
    remember_order,
    sign_out,
)

_PLAIN, _IBEXA = Form("plain", ""), Form("ibexa", "/ibexa")
_ON_THE_FIRST_PAGE: Final = ("LF-101", "LF-202", "LF-301", "LF-104")
_EXAMPLE: Final = Customer("Ada Example", "ada@example.com")
_MOST_SEARCHED: Final = 100  # characters
_MOST_SAVED: Final = 12


def create_shop(key: str) -> ASGIApp:
    """The demo shop as an ASGI app, in its three forms. `key`: the browser key its pages carry in the snippet.

    It answers every path it is given, unknown ones with a page of status 404. The tracker is expected at `/tw/t.js`
    of the same host, and the page's foot links to `/console/live` and `/demo/cdp/`.
    """
    catalog = Catalog()
    renderer = Renderer(key, catalog)
    plain = _Shop(_PLAIN, TrackwayWords(), renderer, catalog)
    ibexa = _Shop(_IBEXA, RaptorWords(), renderer, catalog)

    async def missing(request: Request, error: Exception) -> Response:
        return await (ibexa if request.url.path.startswith(f"{_IBEXA.base}/") else plain).missing(request, error)

    routes = [
        *plain.routes(),
        *ibexa.routes(),
        *single_page_routes(renderer, catalog),
        *addon_routes(renderer, catalog),
        Mount("/demo/static/{version}", StaticFiles(directory=STATIC)),
    ]
    return Starlette(routes=routes, exception_handlers={404: missing, 405: missing})


class _Shop:
    """The shop in pages of the server's. `words` are those that it tells the tracker in."""

    def __init__(self, form: Form, words: Words, renderer: Renderer, catalog: Catalog) -> None:
        self._form = form
        self._words = words
        self._renderer = renderer
        self._catalog = catalog

    def routes(self) -> list[Route]:
        pages = [
            ("/", self.home, "GET"),
            ("/category/{slug}", self.category, "GET"),
            ("/product/{code}", self.product, "GET"),
            ("/search", self.search, "GET"),
            ("/article/{id}", self.article, "GET"),
            ("/saved", self.saved, "GET"),
            ("/saved", self.save, "POST"),
            ("/basket", self.basket, "GET"),
            ("/basket", self.change_basket, "POST"),
            ("/login", self.login, "GET"),
            ("/login", self.sign_in, "POST"),
            ("/logout", self.sign_out, "POST"),
            ("/checkout", self.checkout, "GET"),
            ("/checkout", self.order, "POST"),
            ("/thanks", self.thanks, "GET"),
        ]
        return [Route(self._form.base + path, page, methods=[method]) for path, page, method in pages]

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
        visitor = self._visitor(request)
        others = [one for one in self._catalog.of(product.category) if one != product]
        values = {"product": product, "others": others, "is_saved": product in visitor.saved}
        visit = self._words.visit(product, visitor.customer)
        return self._show(request, Page("product.html", product.name, values, visit))

    async def search(self, request: Request) -> Response:
        query = request.query_params.get("q", "").strip()[:_MOST_SEARCHED]
        found = self._catalog.search(query)
        searched = self._words.search(query, len(found)) if query else ()
        return self._show(request, Page("search.html", "Search", {"query": query, "products": found}, searched))

    async def article(self, request: Request) -> Response:
        article = self._catalog.articles.get(request.path_params["id"])
        if article is None:
            raise HTTPException(404)
        told = self._words.content(article, self._visitor(request).customer)
        values = {"article": article, "product": self._catalog.products[article.product]}
        return self._show(request, Page("article.html", article.name, values, told))

    async def missing(self, request: Request, _: Exception) -> Response:
        return self._show(request, Page("missing.html", "Page not found", status=404))

    # --- Saved for later ----------------------------------------------------------------------------------------------

    async def saved(self, request: Request) -> Response:
        return self._show(request, Page("saved.html", "Saved for later", {"products": self._visitor(request).saved}))

    async def save(self, request: Request) -> Response:
        """`product`, for later; the button's click is what the tracker is told."""
        product = self._catalog.products.get(fields_of(await request.form()).get("product", ""))
        if product is None:
            raise HTTPException(404)
        visitor = self._visitor(request)
        codes = [product.code, *(one.code for one in visitor.saved if one != product)]
        response = self._lead_to(f"/product/{product.code}")
        visitor.remember(response, {SAVED: ".".join(codes[:_MOST_SAVED])})
        return response

    # --- Basket -------------------------------------------------------------------------------------------------------

    async def basket(self, request: Request) -> Response:
        return self._show(request, Page("basket.html", "Basket"))

    async def change_basket(self, request: Request) -> Response:
        visitor = self._visitor(request)
        changed = changed_basket(visitor.basket, fields_of(await request.form()), self._catalog)
        if changed is None:
            raise HTTPException(404)
        after, product = changed
        response = self._lead_to("/basket")
        if after != visitor.basket:
            visitor.remember(response, {BASKET: after.as_cookie(), NEWS: f"basket.{product.code}"})
        return response

    # --- Signing in and out -------------------------------------------------------------------------------------------

    async def login(self, request: Request) -> Response:
        if self._visitor(request).customer:
            return self._lead_to("/")
        return self._login_page(request, _EXAMPLE, {})

    async def sign_in(self, request: Request) -> Response:
        fields = fields_of(await request.form())
        customer = Customer(fields.get("name", ""), fields.get("email", ""))
        problems = sign_in_problems(customer.name, customer.email)
        if problems:
            return self._login_page(request, customer, problems)
        response = self._lead_to("/checkout" if _buying(request) else "/")
        self._visitor(request).remember(response, {CUSTOMER: customer.as_cookie(), NEWS: "login"})
        return response

    def _login_page(self, request: Request, typed: Customer, problems: dict[str, str]) -> Response:
        values = {"typed": typed, "problems": problems, "buying": _buying(request)}
        return self._show(request, Page("login.html", "Sign in", values, status=422 if problems else 200))

    async def sign_out(self, _: Request) -> Response:
        response = self._lead_to("/")
        sign_out(response)
        return response

    # --- Buying -------------------------------------------------------------------------------------------------------

    async def checkout(self, request: Request) -> Response:
        elsewhere = self._not_yet(self._visitor(request))
        return elsewhere or self._checkout_page(request, ADDRESS, {})

    async def order(self, request: Request) -> Response:
        visitor = self._visitor(request)
        basket, elsewhere = visitor.basket, self._not_yet(visitor)
        if elsewhere or basket is None:
            return elsewhere or self._lead_to("/basket")
        fields = fields_of(await request.form())
        problems = address_problems(fields)
        if problems:
            return self._checkout_page(request, {name: fields.get(name, "") for name in ADDRESS}, problems)
        response = self._lead_to("/thanks")
        remember_order(visitor, order_of(basket), response)
        return response

    def _not_yet(self, visitor: Visitor) -> Response | None:
        """What is missing before one can order: a basket with something in it, and somebody signed in."""
        if visitor.basket is None or not visitor.basket.lines:
            return self._lead_to("/basket")
        return None if visitor.customer else self._lead_to("/login?then=checkout")

    def _checkout_page(self, request: Request, typed: dict[str, str], problems: dict[str, str]) -> Response:
        values = {"typed": typed, "problems": problems}
        return self._show(request, Page("checkout.html", "Checkout", values, status=422 if problems else 200))

    async def thanks(self, request: Request) -> Response:
        visitor = self._visitor(request)
        order = visitor.order
        if order is None:
            return self._lead_to("/basket")
        # Told at every view of the page: the order's id makes tracker and collector count it once.
        bought = self._words.buy(order, visitor.customer)
        return self._show(request, Page("thanks.html", "Thank you", {"order": order}, bought))

    # --- What all pages share -----------------------------------------------------------------------------------------

    def _show(self, request: Request, page: Page) -> Response:
        """The page, which also tells the tracker what happened on the way to it, once."""
        visitor = self._visitor(request)
        customer = visitor.customer
        identify = self._words.identify(customer) if customer else ()
        news, _, code = visitor.news.partition(".")
        calls = [*page.calls]
        if news == "basket" and visitor.basket:
            calls += self._words.basket(visitor.basket, self._product(code), customer)
        if news == "login":
            calls += identify
        shared = {**values_of(visitor), "identify": identify, "calls": calls}
        response = self._renderer.render(self._form, page, shared)
        if visitor.news:
            response.delete_cookie(NEWS)
        return response

    def _visitor(self, request: Request) -> Visitor:
        return Visitor(request, self._catalog)

    def _product(self, code: str) -> Product | None:
        return self._catalog.products.get(code)

    def _lead_to(self, path: str) -> RedirectResponse:
        return RedirectResponse(self._form.base + path, 303)


def _buying(request: Request) -> bool:
    """Whether somebody who signs in is on the way to the checkout."""
    return request.query_params.get("then") == "checkout"
