"""A sender's message as it may be kept beside the events: without what no event would have of it. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

from collector.address import stored_address
from collector.sent import AddressPolicy

MASK: Final = "***"
# What SDKs and sites call the address of a person, in lower case and without what stands between the words.
_NAMES: Final = frozenset(
    (
        "ip", "ipaddress", "ipoverride", "uip", "clientip", "userip", "useripaddress", "remoteaddr", "remoteaddress",
        "xforwardedfor",
    )
)  # fmt: skip
_BETWEEN: Final = re.compile(r"[$_\- ]+")
_MAX_NAME: Final = 32
# SDKs have them at most so deep, as in `properties.$set.$ip`.
_MAX_DEPTH: Final = 8
_LOOKS_LIKE_ONE: Final = re.compile(r"\d{1,3}(\.\d{1,3}){3}|[0-9a-fA-F]*:[0-9a-fA-F]*:")


def redacted(value: Any, policy: AddressPolicy, secret: str, depth: int = _MAX_DEPTH) -> Any:
    """The message with no more of the addresses in it than `policy` keeps, which are the texts under names such as
    `ip`, `$ip` or `ip_override`, and with `***` where the source's `secret` key stood. The same object where nothing
    changes; nothing is written to."""
    if depth < 0:
        return value
    if isinstance(value, list):
        made = [redacted(inner, policy, secret, depth - 1) for inner in value]
        return made if any(one is not inner for one, inner in zip(made, value, strict=True)) else value
    if not isinstance(value, dict):
        return value
    changed: dict[str, Any] = {}
    for name, inner in value.items():
        if isinstance(inner, str):
            one = _text(name, inner, policy, secret)
        elif isinstance(inner, dict | list):
            one = redacted(inner, policy, secret, depth - 1)
        else:
            continue
        if one is not inner:
            changed[name] = one
    if not changed:
        return value
    kept = value | changed
    return {name: one for name, one in kept.items() if one is not None or name not in changed}


def _text(name: str, text: str, policy: AddressPolicy, secret: str) -> str | None:
    if secret and text.strip() == secret:
        return MASK
    if policy == "keep" or len(name) > _MAX_NAME or _BETWEEN.sub("", name).lower() not in _NAMES:
        return text
    # What only may hold one, such as a list of proxies, would not be stored of an event either.
    return stored_address(text.strip(), policy) if _LOOKS_LIKE_ONE.search(text) else text
