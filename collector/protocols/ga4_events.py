"""GA4's events, whichever way they came: what their names and parameters mean."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, cast

from collector.meanings import GA4, Meaning
from collector.sent import Sent
from collector.stated import words
from eventlog.event import Campaign, Client, Consent, Event, Kind, Page
from eventlog.identifiers import text_of

_KINDS: Final[dict[str, Kind]] = {"pageview": "page", "screen": "screen", "identify": "identify"}
_PAGE: Final = (("page_location", "url"), ("page_title", "title"), ("page_referrer", "referrer"))
_CAMPAIGN: Final = (
    ("source", "source"), ("medium", "medium"), ("campaign", "name"), ("term", "term"), ("content", "content"),
)  # fmt: skip
# What stands elsewhere in the canonical event.
_LIFTED: Final = frozenset(("page_location", "page_title", "page_referrer", "session_id"))
_LISTS: Final = ("item_list_id", "item_list_name")


class Told(NamedTuple):
    """An event as its sender states it, under GA4's own names; `client` as in a canonical event, its address and user
    agent raw."""

    name: str
    parameters: dict[str, Any]
    traits: dict[str, Any]
    anonymous_id: object
    user_id: object
    consent: Consent
    client: Client


def sent_of(told: Told, path: str, properties_path: str) -> Sent:
    """The event, as far as GA4 tells it by the same means both ways."""
    parameters, user_id = told.parameters, text_of(told.user_id)
    meaning = _meaning(told.name, parameters, user_id)
    event: Event = {"name": meaning.name}  # type: ignore[typeddict-item]
    event["kind"] = _KINDS.get(meaning.name, "track")
    if user_id:
        event["user_id"] = user_id
    if anonymous_id := text_of(told.anonymous_id):
        event["anonymous_id"] = anonymous_id
    if meaning.name == "buy" and (order := text_of(parameters.get("transaction_id"))):
        # As GA4 counts one purchase however often its page is loaded.
        event["id"] = f"purchase-{order}"
    kept = {name: value for name, value in parameters.items() if name not in _LIFTED}
    if kept:
        event["properties"] = kept
    if page := words(_PAGE, parameters):
        event["page"] = cast(Page, page)
    if told.name == "campaign_details" and (campaign := words(_CAMPAIGN, parameters)):
        event["campaign"] = cast(Campaign, campaign)
    if session := text_of(parameters.get("session_id")):
        event["client_session_id"] = session
    if told.traits:
        event["traits"] = told.traits
    if told.consent:
        event["consent"] = told.consent
    if told.client:
        event["client"] = told.client
    return Sent(path, event, meaning, properties_path, email=told.traits.get("email"))


def meaning_of(name: str) -> Meaning:
    return GA4.get(name.lower()) or Meaning(name)


def _meaning(name: str, parameters: dict[str, Any], user_id: str | None) -> Meaning:
    meaning = meaning_of(name)
    if meaning.name == "identify" and not user_id:
        return Meaning(name)
    if meaning.name == "itemclick" and _is_of_a_search(parameters):
        return Meaning("searchclick")
    return meaning


def _is_of_a_search(parameters: dict[str, Any]) -> bool:
    """Whether the item's list is one of search results."""
    items = parameters.get("items")
    holders = [parameters, *(items[:1] if isinstance(items, list) else ())]
    stated = (holder.get(name) for holder in holders if isinstance(holder, dict) for name in _LISTS)
    return any("search" in text.lower() for text in stated if isinstance(text, str))
