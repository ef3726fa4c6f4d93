"""Values into the demo shop's pages: templates, addresses of static files, and the headers of every answer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from eventlog.security_headers import FOR_DATA, FOR_PAGES
from trackway.demo.catalog import Catalog
from trackway.demo.cookies import Selection
from trackway.demo.raptor import as_code, parameters_of
from trackway.demo.telling import Call
from trackway.demo.visitor import Visitor

STATIC: Final = Path(__file__).parent / "static"

_HEADERS: Final = {
    **FOR_PAGES,
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    # A page may tell of a basket's change, which coming back to it must not tell again.
    "cache-control": "no-store",
}
DATA_HEADERS: Final = {**FOR_DATA, "cache-control": "no-store"}


@dataclass(frozen=True, slots=True)
class Form:
    """One of the forms the shop comes in: its name, and the path that all of its pages stand below."""

    name: str
    base: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page's template and title, its values, and the calls of the tracker it makes."""

    template: str
    title: str
    values: dict[str, Any] = field(default_factory=dict)
    calls: Sequence[Call] = ()
    status: int = 200


class Renderer:
    """Makes pages; `key` is the browser key that stands in the snippet."""

    def __init__(self, key: str, catalog: Catalog) -> None:
        self._catalog = catalog
        self._environment = Environment(
            loader=PackageLoader("trackway.demo"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(money=_money, code=as_code, parameters=parameters_of)
        self._environment.globals.update(key=key, catalog=catalog, asset=self._asset)
        self._version = _digest(STATIC)

    def render(self, form: Form, page: Page, shared: dict[str, Any]) -> HTMLResponse:
        """`shared` are the values every page has."""
        template = self._environment.get_template(page.template)
        stated = {"title": page.title, "form": form.name, "base": form.base}
        shown = template.render({**stated, **shared, **page.values})
        return HTMLResponse(shown, page.status, _HEADERS)

    def _asset(self, name: str) -> str:
        return f"/demo/static/{self._version}/{name}"


def values_of(visitor: Visitor) -> dict[str, Any]:
    """What the frame around every page shows of a visitor; a page that tells nothing has no more to add."""
    return {
        "basket": visitor.basket or Selection(""),
        "customer": visitor.customer,
        "chosen": visitor.has_chosen,
        "identify": (),
        "calls": (),
    }


def _money(amount: Decimal) -> str:
    return f"€\N{NO-BREAK SPACE}{amount:.2f}"


def _digest(folder: Path) -> str:
    """Changes with any file of the folder."""
    found = hashlib.sha256()
    for file in sorted(folder.rglob("*.*")):
        found.update(file.read_bytes())
    return found.hexdigest()[:8]
