"""The core of an IAB TCF v2 consent string: which of the framework's purposes the person allowed. Pure.

Source: IAB Tech Lab, "Consent string and vendor list formats v2". The core is the string up to the first dot: base64 of
bits. Its vendors are left alone: what a first-party collector may do is a matter of purposes.
"""

from __future__ import annotations

import binascii
import re
from functools import lru_cache
from typing import Final, NamedTuple

# What a core has at least: its fixed fields, then two lists of vendors and one of restrictions, all of them empty.
_CORE: Final = re.compile(r"[A-Za-z0-9_-]{43,}={0,2}")
# With lists of thousands of vendors a string has a few thousand characters.
_MAX_CHARACTERS: Final = 16_384
# Up to the publisher's country, which follows the purposes: 213 bits.
_HEAD_CHARACTERS: Final = 36
_VERSION: Final = 2
_PURPOSES: Final = range(1, 25)
_VERSION_AT, _CONSENTS_AT, _INTERESTS_AT = 6, 176, 200
_HEAD_BITS: Final = _HEAD_CHARACTERS * 6


class Allowed(NamedTuple):
    """Numbers of the framework's purposes: those consented to, and those to whose legitimate interest the person was
    told of and did not object."""

    consents: frozenset[int]
    legitimate_interests: frozenset[int]


def read_tcf(text: str) -> Allowed | None:
    """What a string states; None where it is no TCF string of version 2."""
    core = text[:_MAX_CHARACTERS].partition(".")[0].strip()
    return _read_head(core[:_HEAD_CHARACTERS]) if _CORE.fullmatch(core) else None


# A visitor's string is the same on every event, and its head differs little between visitors.
@lru_cache(maxsize=4096)
def _read_head(head: str) -> Allowed | None:
    bits = int.from_bytes(binascii.a2b_base64(head.replace("-", "+").replace("_", "/")), "big")
    if _field(bits, _VERSION_AT, 6) != _VERSION:
        return None
    return Allowed(_numbers(_field(bits, _CONSENTS_AT, 24)), _numbers(_field(bits, _INTERESTS_AT, 24)))


def _field(bits: int, end: int, length: int) -> int:
    """The field whose last bit is the one before `end`, counted from the first."""
    return bits >> (_HEAD_BITS - end) & ((1 << length) - 1)


def _numbers(flags: int) -> frozenset[int]:
    return frozenset(number for number in _PURPOSES if flags >> (24 - number) & 1)
