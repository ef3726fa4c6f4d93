"""The page and the campaign of an event; what looks like an e-mail address or a secret in a URL is masked."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from eventlog.event import Campaign, Event, Page

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


def page_of(stated: Page) -> Page:
    """The page as it is stored: nothing in it that should not be known, and its path."""
    page: Page = {**stated}
    if "url" in page:
        page["url"] = masked(page["url"])
    if "referrer" in page:
        page["referrer"] = masked(page["referrer"])
    if "path" in page:
        page["path"] = masked(page["path"])
    elif "url" in page:
        path = _split(page["url"])[0]
        if path:
            page["path"] = path
    return page


def campaign_of(event: Event) -> Campaign | None:
    """The sender's own campaign, completed from the page's URL."""
    url = event["page"].get("url", "")
    if "?" not in url:
        return event.get("campaign")
    found: Campaign = {}
    for parameter, value in _split(url)[1]:
        if parameter in _CAMPAIGN and value:
            found.setdefault(_CAMPAIGN[parameter], value)  # type: ignore[misc]
        elif parameter in _CLICK_IDS and value:
            found.setdefault("click_id", f"{parameter}:{value}")
    return {**found, **event.get("campaign", {})}


def _split(url: str) -> tuple[str, list[tuple[str, str]]]:
    try:
        parts = urlsplit(url)
        return parts.path, parse_qsl(parts.query, max_num_fields=200)
    except ValueError:
        return "", []
