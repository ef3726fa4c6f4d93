"""The demo shop over HTTP: its pages, what they tell the tracker, and what it makes of what browsers send."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.demo.walk import KETTLE
from trackway.demo.catalog import ARTICLES_FILE, PRODUCTS_FILE
from trackway.demo.pages import STATIC

SNIPPET = '<script src="/tw/t.js" data-key="wk_shop" async></script>'
PLAIN = ("/", "/category/coffee", "/product/LF-101", "/search?q=lamp", "/article/501", "/basket", "/login", "/saved")
PAGES = (*PLAIN, *(f"/ibexa{path}" for path in PLAIN), "/spa/", "/addons")
# The tracker's line, which is the same on all pages of a form.
LINES = {
    "/ibexa/": SNIPPET.replace("async", "defer"),
    "/addons": SNIPPET.replace("t.js", "t.js?with=shop,cmp,engage,auto,debug"),
}


class Parsed(HTMLParser):
    """A page's elements and the calls of the tracker it makes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.feed(page)
        (body,) = self.all("body")
        self.calls: list[list[Any]] = json.loads(body["data-calls"])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def http(site: str) -> Iterator[httpx2.Client]:
    """A visitor with cookies, who follows redirects."""
    with httpx2.Client(base_url=site, follow_redirects=True) as client:
        yield client


def calls(answer: httpx2.Response) -> list[list[Any]]:
    return Parsed(answer.text).calls


def add(http: httpx2.Client, product: str, quantity: object = 1, **more: str) -> httpx2.Response:
    return http.post("/basket", data={"product": product, "quantity": str(quantity), **more})


def sign_in(http: httpx2.Client, then: str = "") -> httpx2.Response:
    return http.post(f"/login{then}", data={"name": "Ada", "email": "Ada@Example.com"})


def order(http: httpx2.Client) -> httpx2.Response:
    return http.post("/checkout", data={"street": "Street 1", "postcode": "1000", "city": "City"})


@pytest.mark.parametrize("path", PAGES)
def test_a_page_carries_the_snippet_and_nothing_from_elsewhere(http: httpx2.Client, path: str) -> None:
    answer = http.get(path)
    assert answer.status_code == 200
    line = next((line for start, line in LINES.items() if path.startswith(start)), SNIPPET)
    assert answer.text.count("/tw/t.js") == answer.text.count(line) + answer.text.count("&lt;script")
    assert answer.text.count(line) == 1
    page = Parsed(answer.text)
    named = [part[name] for _, part in page.elements for name in ("src", "href", "action") if name in part]
    assert [address for address in named if not re.match(r"/(?!/)|#", address)] == []
    assert not any("style" in part or name.startswith("on") for _, part in page.elements for name in part)
    assert [name for name, part in page.elements if name == "style" or (name == "script" and "src" not in part)] == []
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in answer.headers["content-security-policy"]
    assert len(page.all("h1")) == 1
    forms = ("/", "/spa/", "/ibexa/", "/addons")
    linked = [link["href"] for link in page.all("a")]
    assert [path for path in linked if path in forms][:4] == list(forms)


@pytest.mark.parametrize("path", PAGES)
def test_fields_have_labels_and_pictures_a_text(http: httpx2.Client, path: str) -> None:
    add(http, "LF-101")
    page = Parsed(http.get(path).text)
    labelled = {label["for"] for label in page.all("label")}
    fields = [part for part in (*page.all("input"), *page.all("select")) if part.get("type") != "hidden"]
    assert {field["id"] for field in fields} == labelled
    assert all("alt" in picture for picture in page.all("img"))


def test_all_linked_pages_and_files_are_there(http: httpx2.Client) -> None:
    waiting, seen = ["/"], {"/"}
    while waiting:
        answer = http.get(waiting.pop())
        assert answer.status_code == 200, answer.url
        if "text/html" not in answer.headers["content-type"]:
            continue
        page = Parsed(answer.text)
        for part in (*page.all("a"), *page.all("img"), *page.all("link"), *page.all("script")):
            address = part.get("href") or part["src"]
            # Of the installation around the shop, not of the shop; and a page that is meant to be missing.
            installed = ("#", "/console/", "/demo/cdp/", "/tw/", "/addons/missing")
            if not address.startswith(installed) and address not in seen:
                seen.add(address)
                waiting.append(address)
    assert {f"/product/LF-{number}" for number in (101, 204, 304)} <= seen
    assert {f"{form}/article/501" for form in ("", "/ibexa")} <= seen
    missing = ("/nowhere", "/product/none", "/ibexa/nowhere", "/addons/missing", "/demo/static/none/none.js")
    assert [http.get(path).status_code for path in missing] == [404] * len(missing)


def test_what_is_exported_is_what_the_shop_tells_of(http: httpx2.Client) -> None:
    products = [json.loads(line) for line in PRODUCTS_FILE.read_text().splitlines()]
    assert len({row["code"] for row in products}) == len(products) == 12
    for row in products:
        ((_, name, told),) = calls(http.get(f"/product/{row['code']}"))
        (item,) = told["items"]
        assert (name, item["product_id"], item["name"]) == ("visit", row["code"], row["name"])
        assert (item["category_path"], item["price"]) == (row["category_path"], row["price"])
        assert item["in_stock"] is row["available"]
        assert (STATIC / "pictures" / f"{row['code']}.svg").exists()
    for row in (json.loads(line) for line in ARTICLES_FILE.read_text().splitlines()):
        ((_, name, told),) = calls(http.get(f"/article/{row['id']}"))
        assert (name, told["content_id"], told["name"]) == ("contentvisit", str(row["id"]), row["name"])


def test_the_basket_is_told_whole_once_a_change(http: httpx2.Client) -> None:
    text = {**KETTLE, "category_path": "10#Coffee;11#Brewing"}
    ((_, name, told),) = calls(add(http, "LF-101", 2))
    assert (name, told["items"]) == ("basket", [{**text, "quantity": 2, "subtotal": "128.00"}])
    assert calls(http.get("/basket")) == []
    assert calls(add(http, "LF-101", 2, change="set")) == []

    ((_, _, more),) = calls(add(http, "LF-104"))
    assert [(one["product_id"], one["quantity"]) for one in more["items"]] == [("LF-101", 2), ("LF-104", 1)]
    assert more["basket_id"] == told["basket_id"]
    add(http, "LF-101", 0, change="set")
    ((_, _, emptied),) = calls(add(http, "LF-104", 0, change="set"))
    assert (emptied["items"], emptied["basket_id"]) == ([], told["basket_id"])


def test_the_documentation_says_what_each_page_tells(http: httpx2.Client) -> None:
    rows = re.findall(r"^\| `(/\S*)` \| `(\w+)`", Path("docs/demo.md").read_text(), re.MULTILINE)
    assert {name for _, name in rows} == {"visit", "search", "contentvisit", "basket", "identify", "buy"}
    # Each page is asked for the way the page says it comes about.
    ways: dict[str, Callable[[], httpx2.Response]] = {
        "/basket": lambda: add(http, "LF-101"),
        "/checkout": lambda: sign_in(http, "?then=checkout"),
        "/thanks": lambda: order(http),
    }
    for path, name in rows:
        answer = ways[path]() if path in ways else http.get(path)
        ((command, *told),) = calls(answer)
        assert (answer.url.path, told[0] if command == "track" else command) == (path.partition("?")[0], name)


def test_a_product_comes_nine_times_at_most_and_not_when_sold_out(http: httpx2.Client) -> None:
    add(http, "LF-101", 7)
    ((_, _, told),) = calls(add(http, "LF-101", 7))
    assert told["items"][0]["quantity"] == 9
    refused = [add(http, "LF-204"), add(http, "none"), add(http, "LF-101", -1), add(http, "LF-101", "²")]
    assert [answer.status_code for answer in refused] == [404] * 4


def test_signing_in_is_told_once_and_the_number_follows_from_the_address(http: httpx2.Client) -> None:
    ((command, number, traits),) = calls(sign_in(http))
    assert (command, traits) == ("identify", {"email": "Ada@Example.com", "name": "Ada"})
    assert re.fullmatch(r"[1-9]\d{7}", number)
    assert calls(http.get("/")) == []
    assert http.get("/login").url.path == "/"
    # Who is signed in can still be told by the page on which consent is given.
    (body,) = Parsed(http.get("/").text).all("body")
    assert json.loads(body["data-identify"])[0][1] == number

    http.post("/logout")
    assert "data-identify" not in Parsed(http.get("/").text).all("body")[0]
    assert calls(http.post("/login", data={"name": "A", "email": "ada@example.com"}))[0][1] == number


@pytest.mark.parametrize("field", ["name", "email"])
def test_a_wrong_field_is_named_at_the_field_and_what_was_typed_is_kept(http: httpx2.Client, field: str) -> None:
    answer = http.post("/login", data={"name": "Ada", "email": "a@b.example", field: "" if field == "name" else "x"})
    assert answer.status_code == 422
    (wrong,) = [part for part in Parsed(answer.text).all("input") if "aria-invalid" in part]
    assert wrong["id"] == field
    assert f'id="{wrong["aria-describedby"]}"' in answer.text
    assert ('value="Ada"' in answer.text) == (field == "email")


def test_an_order_needs_a_basket_then_somebody_then_an_address(http: httpx2.Client) -> None:
    assert http.get("/checkout").url.path == "/basket"
    assert http.get("/thanks").url.path == "/basket"
    add(http, "LF-104", 2)
    assert str(http.get("/checkout").url).endswith("/login?then=checkout")
    assert sign_in(http, "?then=checkout").url.path == "/checkout"
    assert http.post("/checkout", data={"street": "", "postcode": "1", "city": "C"}).status_code == 422

    thanks = order(http)
    assert thanks.url.path == "/thanks"
    ((_, name, told),) = calls(thanks)
    assert (name, told["subtotal"], told["shipping"], told["total"]) == ("buy", "29.00", "4.90", "33.90")
    assert told["items"][0]["subtotal"] == "29.00"
    assert calls(http.get("/thanks")) == [["track", "buy", told]]
    assert "empty" in http.get("/basket").text

    add(http, "LF-104", 2)
    assert calls(order(http))[0][2]["order_id"] != told["order_id"]
    http.post("/logout")
    assert http.get("/thanks").url.path == "/basket"


@pytest.mark.parametrize("where", ["//evil.example", "https://evil.example", "/console"])
def test_signing_in_leads_nowhere_else(http: httpx2.Client, where: str) -> None:
    assert sign_in(http, f"?then={where}").url.path == "/"


def test_what_visitors_type_stays_text(http: httpx2.Client) -> None:
    typed = "</title><script>alert(1)</script>'\""
    http.post("/login", data={"name": typed, "email": "a'\"@b.example"})
    for answer in (
        http.get("/"),
        http.get("/search", params={"q": typed}),
        http.get("/search", params={"q": "ä" * 999}),
    ):
        assert answer.status_code == 200
        assert len(Parsed(answer.text).all("script")) == 2
    (search,) = calls(http.get("/search", params={"q": typed}))
    assert search == ["track", "search", {"query": typed, "results": 0}]


@pytest.mark.parametrize(
    "value", ["", "x", "..", "b.LF-101:0", "b.LF-101:99999", "b.none:1", "!.LF-101:1", "bnVsbA==", "W10=", "é"]
)
def test_cookies_that_make_no_sense_count_as_none(http: httpx2.Client, value: str) -> None:
    cookies = "; ".join(f"{name}={value}" for name in ("shop_basket", "shop_customer", "shop_order", "shop_news"))
    for path in ("/", "/basket", "/checkout", "/thanks"):
        answer = http.get(path, headers=[(b"cookie", cookies.encode())])
        assert answer.status_code == 200
        assert calls(answer) == []
