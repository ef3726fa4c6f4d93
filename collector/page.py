"""The page and the campaign of an event; what looks like an e-mail address or a secret in a URL is masked."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from collector.stated import word, words
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
# Of several the first in a URL counts. `gbraid` and `wbraid` are Google's where it may not follow persons.
CLICK_IDS: Final = (
    "gclid", "gbraid", "wbraid", "dclid", "fbclid", "msclkid", "ttclid", "twclid", "li_fat_id", "yclid",
)  # fmt: skip
# Without one of these a query need not be taken apart; names may be percent-encoded too.
_HINT: Final = re.compile("|".join(("utm_", "%", *CLICK_IDS)))


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
        with contextlib.suppress(ValueError):
            if path := urlsplit(page["url"]).path:
                page["path"] = path
    return page


def campaign_of(event: Event) -> Campaign | None:
    """The sender's own campaign, completed from the page's URL."""
    url = event["page"].get("url", "")
    if "?" not in url or not _HINT.search(url):
        return event.get("campaign")
    found: Campaign = {}
    for parameter, stated in _fields(url):
        value = stated.strip()
        if parameter in _CAMPAIGN and value:
            found.setdefault(_CAMPAIGN[parameter], value)  # type: ignore[misc]
        elif parameter in CLICK_IDS and value:
            found.setdefault("click_id", f"{parameter}:{value}")
    return {**found, **event.get("campaign", {})}


def campaign_in(properties: Mapping[str, Any]) -> Campaign:
    """The campaign that is stated in properties named as parameters of a URL are."""
    found: Campaign = words(tuple(_CAMPAIGN.items()), properties)  # type: ignore[assignment]
    for name in CLICK_IDS:
        if click := word(properties.get(name)):
            found["click_id"] = f"{name}:{click}"
            break
    return found


def _fields(url: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(urlsplit(url).query, max_num_fields=200)
    except ValueError:
        return []
