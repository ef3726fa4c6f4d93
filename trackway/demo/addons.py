"""The page on which each of the tracker's add-ons can be seen at work."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trackway.demo.catalog import Catalog
from trackway.demo.pages import Form, Page, Renderer, values_of
from trackway.demo.telling import CURRENCY
from trackway.demo.visitor import Visitor

_FORM: Final = Form("addons", "")
_PRODUCT: Final = "LF-101"


def addon_routes(renderer: Renderer, catalog: Catalog) -> list[Route]:
    """/addons, and the same as a page that is not there, /addons/missing."""

    def show(request: Request, status: int) -> Response:
        query = request.query_params.get("q", "")[:100]
        values = {"pushes": _pushes(catalog), "is_missing": status == 404, "query": query}
        page = Page("addons.html", "Add-ons", values, status=status)
        return renderer.render(_FORM, page, values_of(Visitor(request, catalog)))

    async def addons(request: Request) -> Response:
        return show(request, 200)

    async def missing(request: Request) -> Response:
        return show(request, 404)

    return [Route("/addons", addons), Route("/addons/missing", missing)]


def _pushes(catalog: Catalog) -> list[tuple[str, dict[str, Any]]]:
    """What a shop that knows only Google Analytics pushes into its data layer, by the label of its button."""
    product = catalog.products[_PRODUCT]
    item = {"item_id": product.code, "item_name": product.name, "price": float(product.price), "quantity": 1}
    seen = {"currency": CURRENCY, "value": float(product.price), "items": [item]}
    bought = {"transaction_id": "LAYER-1", **seen}
    return [
        ("Look at the kettle", {"event": "view_item", "ecommerce": seen}),
        ("Put it into the basket", {"event": "add_to_cart", "ecommerce": seen}),
        ("Buy it", {"event": "purchase", "ecommerce": bought}),
    ]
