"""What the demo shop sells and writes about, read from the files that the product and content exports read too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import orjson

PRODUCTS_FILE: Final = Path(__file__).parent / "products.ndjson"
ARTICLES_FILE: Final = Path(__file__).parent / "articles.ndjson"

# What a category's page says; its name and its products come from the products' category paths.
_LEADS: Final = {
    "10": "Slow water, good beans, and a cup that can take a fall.",
    "20": "For the end of the table, the top of the stairs and the hour after dinner.",
    "30": "Bags that have been somewhere, and would go again.",
}


@dataclass(frozen=True, slots=True)
class Product:
    """A product; `category_path` is `id#name;id#name` as events and exports carry it."""

    code: str
    name: str
    category_path: str
    price: Decimal
    currency: str
    available: bool
    brand: str
    material: str
    description: str

    @property
    def category(self) -> str:
        """The id of its top category."""
        return self.category_path.partition("#")[0]

    def as_item(self) -> dict[str, Any]:
        """The product as events name it."""
        return {
            "product_id": self.code,
            "name": self.name,
            "category_path": self.category_path,
            "brand": self.brand,
            "price": str(self.price),
            "currency": self.currency,
        }


@dataclass(frozen=True, slots=True)
class Category:
    """A top category; `slug` stands in its address."""

    id: str
    name: str
    slug: str
    lead: str


@dataclass(frozen=True, slots=True)
class Article:
    """An article of the journal; `product` is the code of the product it is about, `section` its category path."""

    id: str
    name: str
    section: str
    published_at: str
    product: str
    intro: str
    body: tuple[str, ...]

    def as_content(self) -> dict[str, Any]:
        """The article as events name it."""
        return {"content_id": self.id, "name": self.name, "category_path": self.section}


class Catalog:
    """Everything by its id."""

    def __init__(self) -> None:
        self.products = {row["code"]: _product(row) for row in _rows(PRODUCTS_FILE)}
        self.articles = {str(row["id"]): _article(row) for row in _rows(ARTICLES_FILE)}
        self.categories = {one.slug: one for one in self._categories()}

    def _categories(self) -> Iterator[Category]:
        tops = dict(product.category_path.split(";")[0].split("#", 1) for product in self.products.values())
        for key, name in tops.items():
            yield Category(key, name, name.lower(), _LEADS[key])

    def of(self, category: str) -> list[Product]:
        """The products of a top category's id."""
        return [product for product in self.products.values() if product.category == category]

    def search(self, query: str) -> list[Product]:
        """Products that have every word of the query in name, brand, material, category or description."""
        words = query.lower().split()
        return [product for product in self.products.values() if words and all(w in _text(product) for w in words)]


def _text(product: Product) -> str:
    parts = (product.name, product.brand, product.material, product.category_path, product.description)
    return " ".join(parts).lower()


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    for line in file.read_bytes().splitlines():
        yield orjson.loads(line)


def _fields(row: dict[str, Any]) -> dict[str, str]:
    return {field["identifier"]: field["value"] for field in row["fields"]}


def _product(row: dict[str, Any]) -> Product:
    fields = _fields(row)
    return Product(
        code=row["code"],
        name=row["name"],
        category_path=row["category_path"],
        price=Decimal(row["price"]),
        currency=row["currency"],
        available=row["available"],
        brand=fields["brand"],
        material=fields["material"],
        description=fields["description"],
    )


def _article(row: dict[str, Any]) -> Article:
    fields = _fields(row)
    return Article(
        id=str(row["id"]),
        name=row["name"],
        section=fields["section"],
        published_at=row["published_at"][:10],
        product=fields["product"],
        intro=fields["intro"],
        body=tuple(fields["body"].split("\n\n")),
    )
