"""Values into the demo shop's pages: templates, addresses of static files, and the headers of every answer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from eventlog.security_headers import FOR_PAGES
from trackway.demo.catalog import Catalog

STATIC: Final = Path(__file__).parent / "static"

Call = tuple[Any, ...]  # a call of the tracker: its command and what follows

_HEADERS: Final = {
    **FOR_PAGES,
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    # A page may tell of a basket's change, which coming back to it must not tell again.
    "cache-control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Page:
    """A page's template and title, its values, and the calls of the tracker it makes."""

    template: str
    title: str
    values: dict[str, Any] = field(default_factory=dict)
    calls: tuple[Call, ...] = ()
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
        self._environment.filters["money"] = _money
        self._environment.globals.update(key=key, catalog=catalog, asset=self._asset)
        self._version = _digest(STATIC)

    def render(self, page: Page, shared: dict[str, Any]) -> HTMLResponse:
        """`shared` are the values every page has."""
        template = self._environment.get_template(page.template)
        shown = template.render({"title": page.title, **shared, **page.values})
        return HTMLResponse(shown, page.status, _HEADERS)

    def _asset(self, name: str) -> str:
        return f"/demo/static/{name}?v={self._version}"


def _money(amount: Decimal) -> str:
    return f"€\N{NO-BREAK SPACE}{amount:.2f}"


def _digest(folder: Path) -> str:
    """Changes with any file of the folder."""
    found = hashlib.sha256()
    for file in sorted(folder.rglob("*.*")):
        found.update(file.read_bytes())
    return found.hexdigest()[:8]
