"""What the single-page shop asks its server for, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from tests.demo.walk import KETTLE


@pytest.fixture
def http(site: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=site) as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/product/LF-101", "/nowhere/at/all"])
def test_every_address_below_it_is_the_one_page(http: httpx2.Client, path: str) -> None:
    answer = http.get(f"/spa{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.text == http.get("/spa/").text


def test_the_catalogue_is_the_shops(http: httpx2.Client) -> None:
    catalog = http.get("/spa/data/catalog").json()
    assert [len(catalog[name]) for name in ("products", "articles", "categories")] == [12, 3, 3]
    kettle = catalog["products"][0]
    text = {**KETTLE, "category_path": "10#Coffee;11#Brewing", "in_stock": True, "category": "10"}
    assert {name: kettle[name] for name in text} == text


def test_a_basket_an_order_and_who_it_is_live_in_cookies(http: httpx2.Client) -> None:
    nobody = http.get("/spa/data/visitor").json()
    assert (nobody["basket"]["items"], nobody["customer"], nobody["order"]) == ([], None, None)
    changed = http.post("/spa/data/basket", json={"product": "LF-101", "quantity": "2"}).json()
    assert (changed["changed"], changed["basket"]["pieces"], changed["basket"]["total"]) == (True, 2, "128.00")
    again = http.post("/spa/data/basket", json={"product": "LF-101", "quantity": "2", "change": "set"}).json()
    assert (again["changed"], again["basket"]) == (False, changed["basket"])
    assert http.post("/spa/data/order", json={}).status_code == 409

    refused = http.post("/spa/data/login", json={"name": "", "email": "x"})
    assert (refused.status_code, set(refused.json()["problems"])) == (422, {"name", "email"})
    customer = http.post("/spa/data/login", json={"name": "Ada", "email": "ada@example.com"}).json()["customer"]
    assert customer == {"id": customer["id"], "name": "Ada", "email": "ada@example.com"}
    # The three forms are one shop: the plain page greets the same customer with the same basket.
    assert "Signed in as Ada" in http.get("/basket").text
    assert "Harbour kettle" in http.get("/basket").text

    assert set(http.post("/spa/data/order", json={"city": "C"}).json()["problems"]) == {"street", "postcode"}
    address = {"street": "Street 1", "postcode": "1000", "city": "City"}
    order = http.post("/spa/data/order", json=address).json()["order"]
    assert (order["total"], order["items"]) == ("128.00", changed["basket"]["items"])
    after = http.get("/spa/data/visitor").json()
    assert (after["order"], after["basket"]["items"]) == (order, [])

    http.post("/spa/data/logout", json={})
    gone = http.get("/spa/data/visitor").json()
    assert (gone["customer"], gone["order"]) == (None, None)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"product":1,"quantity":[]}', b'{"product":"LF-204","quantity":"1"}', b" " * 9000]
)
def test_what_makes_no_sense_changes_nothing(http: httpx2.Client, body: bytes) -> None:
    assert http.post("/spa/data/basket", content=body).status_code == 404
    assert http.get("/spa/data/visitor").json()["basket"]["items"] == []


def test_data_is_no_page_and_not_kept(http: httpx2.Client) -> None:
    for path in ("catalog", "visitor"):
        headers = http.get(f"/spa/data/{path}").headers
        assert headers["content-type"] == "application/json"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
