"""No refused event is kept with more of an address than its source keeps, nor with the source's secret key."""

from __future__ import annotations

import ipaddress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.address import stored_address, strictest
from collector.redaction import redacted
from collector.sent import AddressPolicy


@pytest.mark.parametrize(
    ("address", "truncated", "kept"),
    [
        ("203.0.113.77", "203.0.113.0", "203.0.113.77"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::", "2001:db8:1:2:3:4:5:6"),
        ("::ffff:203.0.113.77", "203.0.113.0", "203.0.113.77"),
        ("fe80::1%eth0", "fe80::", "fe80::1"),
        ("203.0.113.77, 10.0.0.1", None, None),
        ("unknown", None, None),
        ("", None, None),
        ("1" * 10_000, None, None),
    ],
)
def test_an_address_is_cut_kept_or_dropped(address: str, truncated: str | None, kept: str | None) -> None:
    assert stored_address(address, "truncate") == truncated
    assert stored_address(address, "keep") == kept
    assert stored_address(address, "drop") is None


def test_what_a_sender_asks_for_counts_where_it_keeps_less() -> None:
    assert strictest("keep", "truncate") == "truncate"
    assert strictest("drop", "keep") == "drop"
    assert strictest("truncate", None) == "truncate"
    assert strictest("truncate", "drop") == "drop"


MESSAGE = {
    "type": "track", "writeKey": "sk_shop", "context": {"ip": " 203.0.113.77 ", "library": {"version": "10.1.2.3"}},
    "properties": {"$ip": "2001:db8:1:2::3", "ip": "203.0.113.77, 10.0.0.1", "items": [{"client_ip": "203.0.113.78"}],
                   "IP": "intellectual property", "version": "10.1.2.3", "nothing": None},
    "ip_override": None,
}  # fmt: skip


def test_addresses_are_cut_where_sdks_have_them_and_nothing_else_is_touched() -> None:
    before = orjson.dumps(MESSAGE)
    made = redacted(MESSAGE, "truncate", "sk_shop")
    assert made == {
        "type": "track", "writeKey": "***", "context": {"ip": "203.0.113.0", "library": {"version": "10.1.2.3"}},
        "properties": {"$ip": "2001:db8:1::", "items": [{"client_ip": "203.0.113.0"}],
                       "IP": "intellectual property", "version": "10.1.2.3", "nothing": None},
        "ip_override": None,
    }  # fmt: skip
    assert orjson.dumps(MESSAGE) == before
    assert "203.0.113" not in orjson.dumps(redacted(MESSAGE, "drop", "")).decode()
    assert redacted(MESSAGE, "keep", "") is MESSAGE


def test_what_holds_nothing_is_the_same_object() -> None:
    message = {"event": "X", "properties": {"list": [1, {"a": "b"}], "ip": 7}}
    assert redacted(message, "truncate", "sk_shop") is message
    values: list[Any] = [None, 7, "203.0.113.77", [], [[]]]
    for value in values:
        assert redacted(value, "truncate", "") is value


names = st.sampled_from(
    ("ip", "$ip", "ipAddress", "ip_address", "IP-Address", "client ip", "uip", "_uip", "remoteAddr")
)
addresses = st.ip_addresses().filter(lambda one: stored_address(str(one), "truncate") != str(one))
policies = st.sampled_from(("truncate", "drop"))


@given(names, addresses, policies, st.integers(0, 8), st.booleans())
def test_no_address_survives_wherever_it_stands(
    name: str, address: ipaddress.IPv4Address, policy: AddressPolicy, depth: int, is_list: bool
) -> None:
    message: Any = {name: str(address), "beside": 1}
    for _ in range(depth):
        message = [message] if is_list else {"inner": message}
    assert f'"{address}"' not in orjson.dumps(redacted(message, policy, "")).decode()
