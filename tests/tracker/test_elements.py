"""What elements say of themselves: their properties and those of the items they stand in, wherever they are clicked."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.tracker.conftest import GRANTED, Open
from tests.tracker.recorder import Recorder

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("quick")]


def told(page: Page, recorder: Recorder) -> list[tuple[str, dict[str, Any]]]:
    """Name and properties of what was clicked so far, in order."""
    page.evaluate("trackway.track('last')")
    events = [(event["event"], event["properties"]) for event in recorder.events if event["type"] == "track"]
    assert events.pop() == ("last", {})
    return events


def test_an_element_has_the_properties_of_the_items_it_stands_in_and_the_innermost_count(
    open_page: Open, recorder: Recorder
) -> None:
    recorder.body = """
      <section data-tw-item data-tw-list="winter" data-tw-product-id="none" data-tw-brand="Nordisk">
        <div data-tw-season="not of an item">
          <article data-tw-item data-tw-product-id="T-1" data-tw-price="199.90">
            <button data-tw="basket" data-tw-price="149.90" data-tw-change="add" data-tw-on="click">+</button>
          </article>
        </div>
      </section>
    """
    page = open_page(attributes=GRANTED)
    page.click("button")
    assert told(page, recorder) == [
        ("basket", {"product_id": "T-1", "price": "149.90", "change": "add", "list": "winter", "brand": "Nordisk"})
    ]


def test_a_click_on_what_an_element_is_drawn_with_is_one_on_it(open_page: Open, recorder: Recorder) -> None:
    recorder.body = """<article data-tw-item data-tw-product-id="T-1"><button data-tw="favorite">
      <svg width="20" height="20"><g><rect width="20" height="20"/></g></svg></button></article>"""
    page = open_page(attributes=GRANTED)
    page.click("rect")
    assert told(page, recorder) == [("favorite", {"product_id": "T-1"})]


def test_an_element_in_a_shadow_tree_has_the_items_outside_of_it_too(open_page: Open, recorder: Recorder) -> None:
    recorder.body = """<article data-tw-item data-tw-product-id="T-1"><div id="host"></div></article><script>
      document.getElementById('host').attachShadow({mode: 'open'}).innerHTML =
        '<p data-tw-item data-tw-position="3"><button data-tw="itemclick"><b>+</b></button></p>';
    </script>"""
    page = open_page(attributes=GRANTED)
    page.click("b")
    assert told(page, recorder) == [("itemclick", {"product_id": "T-1", "position": "3"})]


def test_of_marked_elements_in_each_other_the_innermost_is_told_once(open_page: Open, recorder: Recorder) -> None:
    recorder.body = '<div data-tw="outer"><p data-tw="inner"><b>x</b></p><i>y</i></div>'
    page = open_page(attributes=GRANTED)
    page.click("b")
    page.click("i")
    assert told(page, recorder) == [("inner", {}), ("outer", {})]


def test_what_is_to_be_ignored_and_other_buttons_are_not_told(open_page: Open, recorder: Recorder) -> None:
    recorder.body = """
      <div data-tw-ignore><button id="inside" data-tw="visit">x</button></div>
      <button id="itself" data-tw="visit" data-tw-ignore>x</button>
      <button id="right" data-tw="visit">x</button><button id="none">x</button>
      <form data-tw="search" data-tw-on="submit"><input id="field"><button type="button" id="plain">x</button></form>
    """
    page = open_page(attributes=GRANTED)
    for name in ("inside", "itself", "none", "field", "plain"):
        page.click(f"#{name}")
    page.click("#right", button="right")
    assert told(page, recorder) == []


def test_who_stops_a_click_or_prevents_its_default_hides_nothing(open_page: Open, recorder: Recorder) -> None:
    recorder.body = """<button data-tw="basket" onclick="event.stopImmediatePropagation(); event.preventDefault()">+
      </button>"""
    page = open_page(attributes=GRANTED)
    page.click("button")
    assert told(page, recorder) == [("basket", {})]
