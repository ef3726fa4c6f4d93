"""Who is at the other end of a connection, as far as proxies before us can be believed. Pure.

Only the word of trusted proxies counts. The addresses they list are read from the nearest one outwards; the first that
is no trusted proxy itself is the client's. What stands further out was written by strangers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, Literal

ProxyHeader = Literal["auto", "x-forwarded", "forwarded"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
RawHeaders = Iterable[tuple[bytes, bytes]]

# More hops than this nobody has.
_MAX_HOPS: Final = 32


class Proxies:
    """The proxies that are trusted, and which of their headers is read."""

    def __init__(self, trusted: Sequence[str], header: ProxyHeader = "auto") -> None:
        self._networks: list[Network] = [ipaddress.ip_network(value, strict=False) for value in trusted]
        self._header = header
        self.trusts = lru_cache(maxsize=1024)(self._trusts)

    def _trusts(self, address: str) -> bool:
        """Whether an address is one of ours; a name or an obfuscated identifier is not."""
        if not self._networks:
            return False
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(_plain(ip) in network for network in self._networks)

    def seen(self, peer: str, scheme: str, headers: RawHeaders) -> tuple[str, bool]:
        """The client's address ("" where a trusted proxy hides it), and whether it came by https. `peer` and `scheme`
        are the connection's own."""
        if not self.trusts(peer):
            return peer, scheme == "https"
        address, https = peer, scheme == "https"
        for hop, proto in self._hops(peer, headers):
            # The element that names the client also says how it came; nearer ones tell of the proxies' own network.
            if proto:
                https = proto == "https"
            address = hop
            if not self.trusts(hop):
                break
        return address, https

    def _hops(self, peer: str, headers: RawHeaders) -> list[tuple[str, str]]:
        """Address and scheme of each hop, the nearest first."""
        said: dict[bytes, str] = {}
        for name, value in headers:
            if name in (b"x-forwarded-for", b"x-forwarded-proto", b"forwarded"):
                text = value.decode("latin-1")
                said[name] = f"{said[name]},{text}" if name in said else text
        has_x = b"x-forwarded-for" in said or b"x-forwarded-proto" in said
        if self._header == "forwarded" or (self._header == "auto" and not has_x):
            hops = list(_forwarded(said.get(b"forwarded", "")))
        else:
            proto = said.get(b"x-forwarded-proto", "").rpartition(",")[2].strip().lower()
            listed = [one for one in said.get(b"x-forwarded-for", "").split(",") if one.strip()]
            hops = [(_address(one), proto) for one in listed] or [(peer, proto)]
        return hops[: -_MAX_HOPS - 1 : -1]


def _forwarded(header: str) -> Iterator[tuple[str, str]]:
    """The elements of RFC 7239's header: `for=192.0.2.60;proto=https;by=203.0.113.43, for="[2001:db8::1]:4711"`."""
    for element in _split(header, ","):
        address = proto = ""
        pairs = list(_split(element, ";"))
        if not pairs:
            continue
        for pair in pairs:
            name, _, value = pair.partition("=")
            value = _unquoted(value.strip())
            if name.strip().lower() == "for":
                address = _address(value)
            elif name.strip().lower() == "proto":
                proto = value.lower()
        yield address, proto


def _split(text: str, separator: str) -> Iterator[str]:
    """Parts between separators that do not stand within quotes."""
    start, quoted, escaped = 0, False, False
    for at, character in enumerate(text):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = quoted
        elif character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            if text[start:at].strip():
                yield text[start:at]
            start = at + 1
    if text[start:].strip():
        yield text[start:]


def _unquoted(value: str) -> str:
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    return value[1:-1].replace("\\\\", "\0").replace("\\", "").replace("\0", "\\")


def _address(hop: str) -> str:
    """The address of a hop, without its port and brackets; "" for what is none (`unknown`, `_hidden`, a name)."""
    text = hop.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(_plain(ipaddress.ip_address(text)))
    except ValueError:
        return ""


def _plain(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An IPv4 address as one, also where a listener of both kinds shows it as an IPv6 one."""
    return ip.ipv4_mapped or ip if isinstance(ip, ipaddress.IPv6Address) else ip
