"""Pages as Raptor's and Ibexa CDP's customers have them, in a real browser: pixels, and the hybrid mode."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import BrowserContext

from tests.sdks.conftest import Collector
from tests.sdks.shown import shown
from tests.sdks.visit import EMAIL, PRODUCTS, TEXT, USER, only

pytestmark = pytest.mark.sdks
COID, SID = "6B29FC40-CA47-1067-B31D-00DD010662DA", "0F8FAD5B-D9CB-469F-A165-70867728950E"
# How tags put the parameters together: everything percent-encoded, base64 of UTF-8 for addresses.
_PIXEL = """<script>
const track = (parameters) => {
  const ids = {coid: '%(coid)s', sid: '%(sid)s', ts: Math.floor(Math.random() * 90000) + 10000};
  const query = Object.entries({...ids, ...parameters})
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&');
  new Image().src = `%(url)s/12345.rsa?${query}`;
};
%(calls)s
</script>"""
_HYBRID = """<script>
const push = (event, params, options) => fetch('/raptor/track', {
  method: 'POST', keepalive: true, headers: {'content-type': 'application/json'},
  body: JSON.stringify({event, params, options}),
});
%(calls)s
</script>"""


def lines(order: str) -> list[dict[str, Any]]:
    return [
        {"p1": "buy", "p2": one["product_id"], "p3": one["name"], "p12": str(one["price"]), "p13": one["quantity"],
         "p21": order}
        for one in PRODUCTS
    ]  # fmt: skip


def test_pixels_of_a_page_are_what_they_say(collector: Collector, context: BrowserContext) -> None:
    collector.new()
    calls = [
        {"p1": "pageview"},
        {"p1": "visit", "p2": "S-1", "p3": TEXT, "p4": "1#Zelte & mehr;2#Ærø", "p12": "9.9", "p15": "true"},
        {"p1": "basket", "p2": "S-1", "p10": "S-1,S-2", "p11": "b-1"},
        {"p1": "setuser", "p7": USER},
        {"p1": "Gelesen 📚", "p30": TEXT},
        *lines("A-1"),
    ]
    script = "".join(f"track({one!r});" for one in calls)
    mail = f"track({{p1: 'setRuid', ruid: btoa('{EMAIL}')}});"
    head = _PIXEL % {"coid": COID, "sid": SID, "url": collector.url, "calls": script + mail}
    url = collector.pages.put("/raptor.html", head)
    page = context.new_page()
    page.goto(url)
    events = collector.new(8)
    assert len(events) == 8
    assert {one["anonymous_id"] for one in events} == {COID.lower()}
    assert {one["client_session_id"] for one in events} == {SID.lower()}
    assert {one["channel"] for one in events} == {"web"}
    assert all(one["page"]["url"].startswith(collector.pages.url) for one in events)
    visit = only(events, "visit")["items"][0]
    assert (visit["name"], visit["price"], visit["in_stock"]) == (TEXT, "9.9", True)
    assert visit["category_path"] == [["1", "Zelte & mehr"], ["2", "Ærø"]]
    basket = only(events, "basket")
    assert basket["basket"] == {"change": "whole", "basket_id": "b-1"}
    assert [one["product_id"] for one in basket["items"]] == ["S-1", "S-2"]
    assert only(events, "Gelesen 📚")["properties"] == {"p30": TEXT}
    bought = [one for one in events if one["name"] == "buy"]
    assert {(one["order"]["order_id"], one["items"][0]["product_id"]) for one in bought} == {
        ("A-1", "S-1"), ("A-1", "S-2"),
    }  # fmt: skip
    identified = [one for one in events if one["name"] == "identify"]
    assert {one.get("user_id") for one in identified} == {USER, None}
    assert {"email": EMAIL} in [one.get("identifiers") for one in identified]
    page.reload()
    again = collector.new(6)
    assert "buy" not in {one["name"] for one in again}


def test_the_hybrid_mode_knows_its_visitor_by_cookies_no_script_can_read(
    collector: Collector, context: BrowserContext
) -> None:
    collector.new()
    collector.pages.behind["/raptor/track"] = collector.url
    visit = f"push('trackEvent', {{p1: 'visit', p2: 'S-1', p3: '{TEXT}'}}, {{moduleName: 'Similar'}})"
    first = collector.pages.put("/hybrid.html", _HYBRID % {"calls": f"{visit}.then(() => {{ window.done = true; }});"})
    # It leaves at once: keepalive has the browser send it all the same.
    leaving = (
        f"push('setRuid', btoa('{EMAIL}')); push('trackEvent', {{p1: 'visit', p2: 'S-2'}}); location = '/left.html';"
    )
    second = collector.pages.put("/hybrid-2.html", _HYBRID % {"calls": leaving})
    collector.pages.put("/left.html", "")
    page = context.new_page()
    page.goto(first)
    page.wait_for_function("window.done")
    assert page.evaluate("document.cookie") == ""
    held = {one.get("name"): one for one in context.cookies()}
    assert {held[name].get("httpOnly") for name in ("rsa", "rsaSession")} == {True}
    page.goto(second)
    page.wait_for_url("**/left.html")
    events = collector.new(3)
    assert len(events) == 3
    assert {one["channel"] for one in events} == {"web"}
    assert {one["anonymous_id"] for one in events} == {str(held["rsa"].get("value")).lower()}
    assert {one["client_session_id"] for one in events} == {str(held["rsaSession"].get("value")).lower()}
    assert only(events, "identify")["identifiers"] == {"email": EMAIL}
    (one,) = (one for one in events if one.get("items") == [{"product_id": "S-1", "name": TEXT}])
    assert one["properties"]["module_name"] == "Similar"
    assert one["page"]["url"] == first
    assert {one.get("name") for one in context.cookies()} >= {"rsa", "rsaSession", "rsaRuid", "tw_id"}


def test_what_the_docs_show_works(collector: Collector, context: BrowserContext) -> None:
    code = shown("raptor.md", "js", collector)
    collector.new()
    context.new_page().goto(collector.pages.put("/raptor-docs.html", f"<script>{code}</script>"))
    (event,) = collector.new(1)
    assert (event["name"], event["user_id"], event["items"][0]["price"]) == ("visit", "4711", "89.9")
