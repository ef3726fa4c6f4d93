"""Addresses of people: how much of one is kept. Pure."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final

from collector.sent import AddressPolicy

_STRICTNESS: Final[tuple[AddressPolicy, ...]] = ("keep", "truncate", "drop")
# Longer texts are none, and must not stay in memory.
_MAX_CHARACTERS: Final = 64


def strictest(policy: AddressPolicy, asked: AddressPolicy | None) -> AddressPolicy:
    """The source's policy, or what the sender asks for where that keeps less."""
    return asked if asked and _STRICTNESS.index(asked) > _STRICTNESS.index(policy) else policy


def stored_address(address: str, policy: AddressPolicy) -> str | None:
    """What of an address is kept: truncated to /24 (IPv4) or /48 (IPv6), whole, or nothing; None for what is none."""
    return None if policy == "drop" or len(address) > _MAX_CHARACTERS else _cut(address, policy == "truncate")


@lru_cache(maxsize=4096)
def _cut(address: str, is_cut: bool) -> str | None:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if ip.version == 6 and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    if not is_cut:
        return str(ip)
    return str(ipaddress.ip_network((ip, 24 if ip.version == 4 else 48), strict=False).network_address)
