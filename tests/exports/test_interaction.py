"""From an event to rows of an interaction stream."""

from __future__ import annotations

from typing import Any

from exporter.interaction import category_text, rows_of
from exporter.member import member_of
from exporter.processors import Row
from tests.rules.events import RULES, event


def rows(name: str, **fields: Any) -> list[Row]:
    one = event(0, name, **fields)
    common = {"event_id", "event_type", "source", "channel", "occurred_at"}
    return [
        {key: value for key, value in row.items() if key not in common} for row in rows_of(one, member_of(one, RULES))
    ]


def test_identifiers_that_stand_for_nobody_are_left_out() -> None:
    assert rows("visit", anon="undefined", user="null", email="Ann@Shop.example", ruid="r1") == [
        {"email": "ann@shop.example", "ruid": "r1"}
    ]


def test_a_basket_is_one_row_with_its_content() -> None:
    items = [{"product_id": "A", "quantity": 2}, {"product_id": "B"}, {"name": "no id"}]
    assert rows("basket", anon="a", items=items, basket={"change": "whole", "basket_id": "b1"}) == [
        {"coid": "a", "basket_content": "A:2;B:1", "basket_id": "b1", "basket_change": "whole"}
    ]
    assert rows("basket", anon="a", basket={"change": "whole"}) == [
        {"coid": "a", "basket_content": "", "basket_change": "whole"}
    ]


def test_a_single_product_stands_in_the_row_several_do_not() -> None:
    shoe = {"product_id": "A", "name": "Shoe", "category_path": [["25", "Shoes"], ["26", "Running"]], "in_stock": True}
    assert rows("visit", anon="a", items=[shoe]) == [
        {
            "coid": "a",
            "product_id": "A",
            "product_name": "Shoe",
            "category_path": "25#Shoes;26#Running",
            "in_stock": True,
        }
    ]
    assert rows("searchresult", anon="a", items=[shoe, shoe], search={"query": "shoe", "results": 2}) == [
        {"coid": "a", "query": "shoe", "results": 2}
    ]


def test_order_lines_carry_the_order_and_its_currency() -> None:
    order = {"order_id": "O", "total": "15.50", "currency": "EUR"}
    items = [{"product_id": "A", "price": "10.00"}, {"product_id": "B", "price": "5.50", "currency": "SEK"}]
    first, second = rows("buy", anon="a", order=order, items=items)
    assert first == {
        "coid": "a", "line": 1, "order_id": "O", "order_total": "15.50",
        "product_id": "A", "price": "10.00", "currency": "EUR",
    }  # fmt: skip
    assert (second["line"], second["currency"]) == (2, "SEK")
    assert rows("buy", anon="a", order=order) == [
        {"coid": "a", "order_id": "O", "order_total": "15.50", "currency": "EUR"}
    ]


def test_content_search_page_and_campaign_become_columns() -> None:
    row = rows(
        "contentvisit",
        anon="a",
        url="https://shop.example/x",
        content={"content_id": "52", "name": "Guide", "category_path": [["1", "Guides"]]},
        campaign={"source": "news", "medium": "email", "name": "may"},
        client_session_id="s1",
    )
    assert row == [
        {
            "coid": "a", "sid": "s1", "content_id": "52", "content_name": "Guide", "category_path": "1#Guides",
            "url": "https://shop.example/x", "utm_source": "news", "utm_medium": "email", "utm_campaign": "may",
        }
    ]  # fmt: skip
    assert category_text([("a", "A")]) == "a#A"
