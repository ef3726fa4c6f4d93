"""The Ibexa form over HTTP: its pages call Raptor as Ibexa's templates do, each value at its position."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.demo.test_shop import Parsed, add, order, sign_in
from trackway.demo.pages import STATIC
from trackway.demo.raptor import POSITIONS
from trackway.settings import DEMO_FILE, load


@pytest.fixture
def http(site: str) -> Iterator[httpx2.Client]:
    """A visitor of the Ibexa form; paths are those below it."""
    with httpx2.Client(base_url=f"{site}/ibexa", follow_redirects=True) as client:
        yield client


def told(answer: httpx2.Response) -> list[Any]:
    """The calls a page makes: events as their name and what they state by name, others as they are."""
    found: list[Any] = []
    for method, *values in Parsed(answer.text).calls:
        if method == "trackEvent":
            names = POSITIONS.of(values[0])
            found.append((values[0], {names[f"p{at}"]: value for at, value in enumerate(values[1:], 2) if value}))
        else:
            found.append((method, *values))
    return found


def test_the_demos_settings_have_the_positions_that_its_pages_use() -> None:
    table = load(DEMO_FILE, {}).raptor.table
    for event in ("visit", "basket", "buy", "contentvisit", "itemclick"):
        assert table.of(event) == POSITIONS.of(event)


def test_the_head_has_raptors_queue_then_the_trackers_line(http: httpx2.Client) -> None:
    queue, line, calls = Parsed(http.get("/").text).all("script")
    assert queue["src"].endswith("/raptor-queue.js")
    assert set(queue) == {"src"}, "the queue has to be there before anything calls it"
    assert (line["src"], "defer" in line) == ("/tw/t.js", True)
    assert calls["src"].endswith("/ibexa.js")
    assert "{ event: 'trackevent', params: { p1: 'pageview' } }" in (STATIC / "raptor-queue.js").read_text()


def test_a_product_is_a_visit_and_an_article_a_contentvisit(http: httpx2.Client) -> None:
    ((_, name, *values),) = Parsed(http.get("/product/LF-101").text).calls
    assert (name, len(values)) == ("visit", 19)
    kettle = {
        "product_id": "LF-101", "name": "Harbour kettle", "category_path": "10#Coffee;11#Brewing",
        "brand": "Larkfield", "price": "64.00", "in_stock": "true", "currency": "EUR",
    }  # fmt: skip
    assert told(http.get("/product/LF-101")) == [("visit", kettle)]
    article = {"content_id": "501", "name": "Four minutes of patience", "category_path": "40#Journal;41#Coffee"}
    assert told(http.get("/article/501")) == [("contentvisit", article)]
    assert told(http.get("/search?q=lamp")) == []
    (link,) = [one for one in Parsed(http.get("/article/501").text).all("a") if "data-item" in one]
    assert (link["href"], link["data-item"], link["data-module"]) == (
        "/ibexa/product/LF-102",
        "LF-102",
        "in-this-story",
    )


def test_a_basket_is_the_changed_product_and_the_whole_content_once_a_change(http: httpx2.Client) -> None:
    ((name, one),) = told(add(http, "LF-101", 2))
    assert name == "basket"
    basket_id = one.pop("basket_id")
    assert one == {
        "product_id": "LF-101", "name": "Harbour kettle", "basket_content": "LF-101:2", "quantity": "2",
        "currency": "EUR",
    }  # fmt: skip
    assert told(http.get("/basket")) == []
    ((_, more),) = told(add(http, "LF-104"))
    assert (more["basket_content"], more["basket_id"]) == ("LF-101:2;LF-104:1", basket_id)


def test_an_order_is_one_buy_a_line_of_whoever_is_signed_in(http: httpx2.Client) -> None:
    add(http, "LF-101", 2)
    add(http, "LF-104")
    (ruid, (method, event, both)) = told(sign_in(http, "?then=checkout"))
    assert ruid == ("push", "setRuid", "Ada@Example.com")
    assert (method, event, both["p1"], both["ruid"]) == ("push", "trackEvent", "setuser", "Ada@Example.com")
    thanks = order(http)
    assert thanks.url.path == "/ibexa/thanks"
    lines = told(thanks)
    assert [(name, one["product_id"], one["quantity"], one["price"], one["subtotal"]) for name, one in lines] == [
        ("buy", "LF-101", "2", "64.00", "128.00"),
        ("buy", "LF-104", "1", "14.50", "14.50"),
    ]
    assert len({(one["order_id"], one["user_id"], one["currency"]) for _, one in lines}) == 1
    assert lines[0][1]["order_id"] in thanks.text
    # Every page says who it is.
    ((_, visit),) = told(http.get("/product/LF-101"))
    assert visit["user_id"] == lines[0][1]["user_id"]


def test_a_page_shows_the_calls_it_makes(http: httpx2.Client) -> None:
    shown = html.unescape(http.get("/product/LF-101").text)
    ((_, *values),) = Parsed(http.get("/product/LF-101").text).calls
    assert f"raptor.trackEvent({json.dumps(values, ensure_ascii=False)[1:-1]})" in shown
    assert "p20 <span>currency</span></dt><dd>EUR</dd>" in shown
