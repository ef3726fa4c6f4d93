"""What a shop's events say under our own names."""

from __future__ import annotations

from typing import Any

import pytest

from collector.commerce import lift
from collector.meanings import GA4, RAPTOR, SEGMENT, Meaning
from eventlog.event import Event


def lifted(meaning: Meaning, properties: dict[str, Any]) -> Event:
    event: Event = {"name": meaning.name}  # type: ignore[typeddict-item]
    lift(event, meaning, properties, "properties")
    return event


@pytest.mark.parametrize(
    ("stated", "change"),
    [("add", "add"), ("remove", "remove"), ("whole", "whole"), ("added", "whole"), (["add"], "whole"), (None, "whole")],
)
def test_our_own_names_leave_the_change_to_a_property(stated: Any, change: str) -> None:
    properties = {"change": stated, "basket_id": "b-1", "items": [{"product_id": "T-1"}]}
    basket = lifted(SEGMENT["basket"], properties)
    assert (basket["basket"], basket["items"]) == ({"change": change, "basket_id": "b-1"}, [{"product_id": "T-1"}])
    assert lifted(SEGMENT["favorite"], properties)["favorites"] == {"change": change}
    assert lifted(RAPTOR["basket"], properties)["basket"]["change"] == change


def test_a_name_that_says_the_change_counts_before_the_property() -> None:
    assert lifted(SEGMENT["product added"], {"change": "remove"})["basket"] == {"change": "add"}
    assert lifted(GA4["remove_from_cart"], {"change": "add"})["basket"] == {"change": "remove"}
    assert lifted(GA4["add_to_wishlist"], {"change": "remove"})["favorites"] == {"change": "add"}
