"""Facts of a person's device: the address, cut before anything is stored, its country, and what its user agent says."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import ua_parser
from crawlerdetect import CrawlerDetect

from collector.address import stored_address
from collector.geo import Countries
from collector.sent import AddressPolicy
from eventlog.event import Client

_crawlers = CrawlerDetect()

MAX_AGENT_CHARACTERS: Final = 512
# Why something is taken for a bot, beside the name by which the list of crawlers knows it.
NO_USER_AGENT: Final = "no user agent"


def describe(
    address: str | None, user_agent: str | None, policy: AddressPolicy, countries: Countries | None = None
) -> Client:
    """What is stored of an address and a user agent: of the address no more than `policy` says, and its country where
    there are `countries`."""
    client: Client = {**agent_facts(user_agent[:MAX_AGENT_CHARACTERS])} if user_agent else {}
    if address:
        if stored := stored_address(address, policy):
            client["ip"] = stored
        if countries and (country := countries.country(address)):
            client["country"] = country
    return client


def describe_sender(
    address: str, user_agent: str | None, policy: AddressPolicy, countries: Countries | None = None, bot: str = ""
) -> Client:
    """The same of a browser's own request, which may say itself why it is a `bot`. No browser is without a user
    agent."""
    client = describe(address, user_agent, policy, countries)
    if "user_agent" not in client:
        client["bot"] = NO_USER_AGENT
    elif bot and "bot" not in client:
        client["bot"] = bot
    return client


@lru_cache(maxsize=4096)
def agent_facts(user_agent: str) -> Client:
    """Browser, system, device class and bot of a user agent. The result is shared: copy before changing it."""
    facts: Client = {"user_agent": user_agent}
    found = ua_parser.parse(user_agent)
    if found.user_agent:
        facts["browser"] = found.user_agent.family
    if found.os:
        facts["os"] = found.os.family
    if _crawlers.isCrawler(user_agent):
        facts["bot"] = str(_crawlers.getMatches() or "crawler").rstrip("/")
    facts["device"] = _device(user_agent)
    return facts


def _device(user_agent: str) -> str:
    if "iPad" in user_agent or "Tablet" in user_agent or ("Android" in user_agent and "Mobile" not in user_agent):
        return "tablet"
    return "mobile" if "Mobi" in user_agent else "desktop"
