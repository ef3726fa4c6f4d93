"""Whose word counts: the nearest address no trusted proxy has, in every spelling of the two headers."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog.proxies import Proxies, ProxyHeader

TRUSTED = ("10.0.0.0/8", "2001:db8:1::/48")
PEER = "10.0.0.1"


def seen(*headers: tuple[str, str], peer: str = PEER, scheme: str = "http", header: ProxyHeader = "auto") -> object:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return Proxies(TRUSTED, header).seen(peer, scheme, raw)


FOR, PROTO, FORWARDED = "X-Forwarded-For", "X-Forwarded-Proto", "Forwarded"


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 198.51.100.1 , 203.0.113.7 ", "203.0.113.7"),
        ("evil, 203.0.113.7, 10.9.9.9, 10.0.0.2", "203.0.113.7"),
        ("10.1.1.1, 10.2.2.2", "10.1.1.1"),  # none but our own: the outermost
        ("203.0.113.7:4711", "203.0.113.7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("203.0.113.7, 2001:db8:1::5", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("unknown", ""), ("203.0.113.7, junk", ""), ("", PEER), (" , ,", PEER),
    ],
)  # fmt: skip
def test_the_nearest_stranger_is_the_client(value: str, address: str) -> None:
    assert seen((FOR, value)) == (address, False)


@pytest.mark.parametrize(
    ("value", "address", "https"),
    [
        ("for=203.0.113.7;proto=https", "203.0.113.7", True),
        ('For="203.0.113.7:80"; Proto=HTTPS ;by=10.0.0.1', "203.0.113.7", True),
        ('for="[2001:db8::17]:4711"', "2001:db8::17", False),
        ('for="[2001:db8::17]", for=10.0.0.2', "2001:db8::17", False),
        ('for=198.51.100.1, for=203.0.113.7;proto=https, for="10.0.0.2:99";proto=http', "203.0.113.7", True),
        ("for=_hidden;proto=https", "", True),
        ("for=unknown", "", False),
        ('for="a,b;c=\\"d";proto=https, for=203.0.113.7', "203.0.113.7", False),
        ('for=203.0.113.7;by="x;for=9.9.9.9"', "203.0.113.7", False),
        ('for="203.0.113.7', "203.0.113.7", False),
        ("proto=https", "", True), (";;,,", PEER, False), ("nonsense", "", False),
    ],
)  # fmt: skip
def test_forwarded_is_read_as_its_rfc_has_it(value: str, address: str, https: bool) -> None:
    assert seen((FORWARDED, value)) == (address, https)


def test_strangers_are_not_believed() -> None:
    for headers in ((FOR, "203.0.113.7"), (PROTO, "https")), ((FORWARDED, "for=203.0.113.7;proto=https"),):
        assert seen(*headers, peer="192.0.2.1") == ("192.0.2.1", False)
    assert Proxies(()).seen(PEER, "https", [(b"x-forwarded-for", b"203.0.113.7")]) == (PEER, True)


def test_headers_on_several_lines_are_one_list() -> None:
    assert seen((FOR, "evil, 203.0.113.7"), ("Host", "x"), (FOR, "10.0.0.2")) == ("203.0.113.7", False)
    assert seen((FORWARDED, "for=203.0.113.7"), (FORWARDED, "for=10.0.0.2")) == ("203.0.113.7", False)


def test_the_scheme_counts_without_an_address_too() -> None:
    assert seen((PROTO, "https")) == (PEER, True)
    assert seen((PROTO, "http"), scheme="https") == (PEER, False)
    assert seen((PROTO, "http, https"), (FOR, "203.0.113.7")) == ("203.0.113.7", True)


def test_with_both_headers_the_setting_decides() -> None:
    both = (FOR, "203.0.113.7"), (FORWARDED, "for=198.51.100.9;proto=https")
    assert seen(*both) == ("203.0.113.7", False)
    assert seen(*both, header="x-forwarded") == ("203.0.113.7", False)
    assert seen(*both, header="forwarded") == ("198.51.100.9", True)
    assert seen(both[1], header="x-forwarded") == (PEER, False)
    assert seen(both[0], header="forwarded") == (PEER, False)


@given(st.text(st.characters(codec="latin-1"), max_size=80), st.booleans())
def test_whatever_stands_there_the_answer_is_an_address_or_none(value: str, is_forwarded: bool) -> None:
    address = seen((FORWARDED if is_forwarded else FOR, value))[0]  # type: ignore[index]
    if address:
        ipaddress.ip_address(address)
