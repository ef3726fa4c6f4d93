"""Facts of a request: the client's address, cut before anything is stored, and what its user agent says."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final

import ua_parser
from crawlerdetect import CrawlerDetect

from collector.sent import AddressPolicy
from eventlog.event import Client

_crawlers = CrawlerDetect()
_STRICTNESS: Final[tuple[AddressPolicy, ...]] = ("keep", "truncate", "drop")


MAX_AGENT_CHARACTERS: Final = 512


def describe(address: str | None, user_agent: str | None, policy: AddressPolicy) -> Client:
    """What is stored of an address and a user agent; of neither more than the source's `policy` for addresses says."""
    client: Client = {**agent_facts(user_agent[:MAX_AGENT_CHARACTERS])} if user_agent else {}
    stored = stored_address(address, policy) if address else None
    if stored:
        client["ip"] = stored
    return client


def strictest(policy: AddressPolicy, asked: AddressPolicy | None) -> AddressPolicy:
    """The source's policy, or what the sender asks for where that keeps less."""
    return asked if asked and _STRICTNESS.index(asked) > _STRICTNESS.index(policy) else policy


@lru_cache(maxsize=4096)
def stored_address(address: str, policy: AddressPolicy) -> str | None:
    """What of an address is kept: truncated to /24 (IPv4) or /48 (IPv6), whole, or nothing."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return None
    if policy == "drop":
        return None
    if policy == "keep":
        return str(ip)
    return str(ipaddress.ip_network((ip, 24 if ip.version == 4 else 48), strict=False).network_address)


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
        facts["bot"] = str(_crawlers.getMatches() or "crawler")
    facts["device"] = _device(user_agent)
    return facts


def _device(user_agent: str) -> str:
    if "iPad" in user_agent or "Tablet" in user_agent or ("Android" in user_agent and "Mobile" not in user_agent):
        return "tablet"
    return "mobile" if "Mobi" in user_agent else "desktop"
