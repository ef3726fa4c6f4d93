"""Personal data made unreadable before it reaches a page. Pure: values in, masked values out.

Masked are: identifiers and traits whatever they hold, values under names that people use for personal data, and
whatever looks like an e-mail address anywhere, also inside longer texts, URLs and cut-off JSON.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

# `@` as it may stand in a text, a URL (percent-encoded once or more) or in JSON and HTML sources.
_AT: Final = r"(?:@|%(?:25){0,3}40|\\u0040|&#(?:64|x40);)"
# Bounded: an unbounded local part would make a long text without an address cost its length squared.
_EMAIL: Final = re.compile(rf"([^\s\"'<>&/?=:;,()\[\]{{}}@%\\]{{1,64}}){_AT}([\w.\-]{{1,255}})", re.IGNORECASE)

_PERSONAL_NAMES: Final = frozenset(
    {
        "userid", "useridentifier", "anonymousid", "previousid", "groupid", "distinctid", "deviceid", "ruid", "uid",
        "cid", "email", "emailaddress", "mail", "phone", "phonenumber", "tel", "mobile", "firstname", "lastname",
        "fullname", "surname", "givenname", "familyname", "username", "address", "address1", "address2", "street",
        "zip", "zipcode", "postcode", "postalcode", "birthday", "birthdate", "dateofbirth", "password", "token",
        "secret", "ssn", "iban", "ip", "ipaddress",
    }
)  # fmt: skip
# What holds personal data whatever its entries are called.
_PERSONAL_OBJECTS: Final = frozenset({"traits", "traitsonce", "identifiers"})
_NAME_IN_JSON: Final = re.compile(r'"([A-Za-z0-9_$\-]{1,40})"\s*:\s*("(?:[^"\\]|\\.)*"?|-?\d[\d.eE+\-]*)')

_MAX_DEPTH: Final = 80


def mask_text(value: str) -> str:
    """`a…@e…` for an e-mail, `5c…10` for something long, `4…` for something short."""
    match = _EMAIL.search(value)
    if match:
        return _short_email(match)
    if len(value) >= 16:
        return f"{value[:2]}…{value[-2:]}"
    return f"{value[:1]}…" if len(value) > 2 else "…"


def mask_emails(text: str) -> str:
    """The text with each e-mail address in it masked."""
    return _EMAIL.sub(_short_email, text)


def _short_email(match: re.Match[str]) -> str:
    return f"{match[1][:1]}…@{match[2][:1]}…"


def mask_value(value: Any) -> Any:
    """A personal value: texts and numbers are masked, yes and no stay, lists and objects keep their form."""
    return _mask(value, True, 0)


def mask_body(value: Any) -> Any:
    """An event, or anything JSON, with what is personal in it masked."""
    return _mask(value, False, 0)


def _mask(value: Any, personal: bool, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        return "…"
    if isinstance(value, str):
        return mask_text(value) if personal else mask_emails(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, Mapping):
        return {
            mask_emails(str(key)): _mask(inner, personal or _is_personal(key), depth + 1)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_mask(inner, personal, depth + 1) for inner in value]
    return "…" if personal else value


def _is_personal(name: object) -> bool:
    plain = re.sub(r"[^a-z0-9]", "", str(name).lower())
    return plain in _PERSONAL_NAMES or plain in _PERSONAL_OBJECTS


def mask_source_text(text: str) -> str:
    """JSON that may be cut off: values under personal names and e-mail addresses are masked."""

    def replace(match: re.Match[str]) -> str:
        if not _is_personal(match[1]):
            return match[0]
        return f'"{match[1]}":"…"'

    return mask_emails(_NAME_IN_JSON.sub(replace, text))
