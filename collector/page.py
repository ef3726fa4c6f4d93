"""The page and the campaign of an event; what looks like an e-mail address or a secret in a URL is masked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from eventlog.event import Campaign, Page

_MASK: Final = "***"
_SECRETS: Final = re.compile(
    r"([?&#;](?:token|access_token|id_token|auth|password|passwd|secret|api_key|apikey|session|sid|code|jwt|e?mail)=)[^&#;]*",
    re.IGNORECASE,
)
_EMAIL: Final = re.compile(r"[^\s/?&=#;:]+(?:@|%40)[^\s/?&=#;]+\.[a-zA-Z]{2,}")
_CAMPAIGN: Final = {
    "utm_source": "source", "utm_medium": "medium", "utm_campaign": "name", "utm_term": "term",
    "utm_content": "content",
}  # fmt: skip
_CLICK_IDS: Final = ("gclid", "fbclid", "msclkid", "dclid", "ttclid")


def masked(url: str) -> str:
    """The URL without e-mail addresses and values of parameters that hold secrets."""
    if "=" in url:
        url = _SECRETS.sub(rf"\1{_MASK}", url)
    return _EMAIL.sub(_MASK, url) if "@" in url or "%40" in url else url


def page_of(stated: Mapping[str, Any]) -> Page:
    if not stated:
        return {}
    page: dict[str, Any] = {}
    for name in ("url", "referrer", "path"):
        value = stated.get(name)
        if isinstance(value, str) and value.strip():
            page[name] = masked(value.strip())
    for name in ("title", "view_id"):
        value = stated.get(name)
        if isinstance(value, str) and value.strip():
            page[name] = value.strip()
    if "url" in page and "path" not in page:
        path = _split(page["url"])[0]
        if path:
            page["path"] = path
    return page  # type: ignore[return-value]


def campaign_of(stated: Mapping[str, Any], page: Mapping[str, Any]) -> Campaign:
    """The sender's own campaign, completed from the page's URL."""
    url = page.get("url")
    query = _split(url)[1] if isinstance(url, str) and "?" in url else ()
    if not stated and not query:
        return {}
    campaign: dict[str, Any] = {
        name: stated[name]
        for name in ("source", "medium", "name", "term", "content")
        if isinstance(stated.get(name), str) and stated[name]
    }
    for parameter, value in query:
        if parameter in _CAMPAIGN and value:
            campaign.setdefault(_CAMPAIGN[parameter], value)
        elif parameter in _CLICK_IDS and value:
            campaign.setdefault("click_id", f"{parameter}:{value}")
    return campaign  # type: ignore[return-value]


def _split(url: str) -> tuple[str, list[tuple[str, str]]]:
    try:
        parts = urlsplit(url)
        return parts.path, parse_qsl(parts.query, max_num_fields=200)
    except ValueError:
        return "", []
