"""The page and the campaign of an event, from its URL."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.page import CLICK_IDS, campaign_of, page_of
from eventlog.event import Campaign


def campaign(url: str, stated: Campaign | None = None) -> Campaign | None:
    event: Any = {"page": {"url": url}}
    if stated:
        event["campaign"] = stated
    return campaign_of(event)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        (
            "https://shop.example/?utm_source=news&utm_medium=mail&utm_campaign=c+1&utm_term=t&utm_content=%C3%BC",
            {"source": "news", "medium": "mail", "name": "c 1", "term": "t", "content": "\u00fc"},
        ),
        ("https://shop.example/?utm%5Fsource=news", {"source": "news"}),
        ("https://shop.example/?utm_source=%20news%20&utm_medium=%20", {"source": "news"}),
        ("https://shop.example/?utm_source=first&utm_source=second", {"source": "first"}),
        ("https://shop.example/?fbclid=f&gclid=g#utm_source=x", {"click_id": "fbclid:f"}),
        ("https://shop.example/?q=shoes", {}),
        ("https://shop.example/utm_source=x", None),
        ("https://[x/?utm_source=x", {}),
        ("?utm_source=x", {"source": "x"}),
    ],
)
def test_the_campaign_is_in_the_url(url: str, found: dict[str, str] | None) -> None:
    assert (campaign(url) or {}) == (found or {})


@pytest.mark.parametrize("name", CLICK_IDS)
def test_every_click_id_is_known(name: str) -> None:
    assert campaign(f"https://shop.example/?x=1&{name}=Cj-1_x") == {"click_id": f"{name}:Cj-1_x"}


def test_what_the_sender_states_comes_before_the_url() -> None:
    url = "https://shop.example/?utm_source=url&utm_medium=mail&gclid=g"
    assert campaign(url, {"source": "own", "name": "c"}) == {
        "source": "own", "name": "c", "medium": "mail", "click_id": "gclid:g",
    }  # fmt: skip
    assert campaign("https://shop.example/", {"source": "own"}) == {"source": "own"}


def test_the_path_is_of_the_url_where_none_is_stated() -> None:
    assert page_of({"url": "https://shop.example/a/b?c=d#e"})["path"] == "/a/b"
    assert page_of({"url": "https://shop.example/a", "path": "/own"})["path"] == "/own"
    for url in ("https://shop.example", "https://[x/a", "?a=b"):
        assert "path" not in page_of({"url": url})


@given(st.text() | st.from_regex(r"https?://[a-z]*/?\\?(utm_source|gclid|%)?=?.{0,20}", fullmatch=True))
def test_no_url_is_too_much(url: str) -> None:
    page_of({"url": url})
    assert all((campaign(url) or {}).values())
