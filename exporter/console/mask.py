"""Personal data made unreadable before it reaches a page. Pure: values in, masked values out.

Masked are: identifiers and traits whatever they hold, values under names that people use for personal data (also in
the query of an address), and whatever looks like an e-mail address anywhere, also inside longer texts and cut-off JSON.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

# `@` as it may stand in a text, a URL (percent-encoded once or more) or in JSON and HTML sources.
_AT: Final = r"(?:@|%(?:25){0,3}40|\\u0040|&#(?:64|x40);)"
# Bounded: an unbounded local part would make a long text without an address cost its length squared.
_EMAIL: Final = re.compile(rf"([^\s\"'<>&/?=:;,()\[\]{{}}@%\\]{{1,64}}){_AT}([\w.\-]{{1,255}})", re.IGNORECASE)
_QUERY: Final = re.compile(r"([?&;])([A-Za-z0-9_.\-\[\]]{1,40})=([^&#;\s\"'<>]+)")

_PERSONAL_NAMES: Final = frozenset(
    {
        "userid", "useridentifier", "anonymousid", "previousid", "groupid", "distinctid", "deviceid", "ruid", "uid",
        "cid", "cookieid", "email", "emailaddress", "mail", "phone", "phonenumber", "tel", "mobile", "firstname",
        "lastname", "fullname", "surname", "givenname", "familyname", "username", "address", "address1", "address2",
        "street", "zip", "zipcode", "postcode", "postalcode", "birthday", "birthdate", "dateofbirth", "password",
        "token", "secret", "ssn", "iban", "ip", "ipaddress",
    }
)  # fmt: skip
# What holds personal data whatever its entries are called.
_PERSONAL_OBJECTS: Final = frozenset({"traits", "traitsonce", "identifiers"})
_NOT_OF_A_NAME: Final = re.compile(r"[^a-z0-9]")
# JSON's tokens; the last string may be cut off.
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?$)|[{}\[\],:]|[^"{}\[\],:]+', re.DOTALL)

# `'age': '41'` or `"age": 41`, as other programs quote a row in what they say of it.
_QUOTED_PAIR: Final = re.compile(r"""(['"]\s*:\s*)(?:"[^"]*"?|'[^']*'?|-?\d[\d.eE+\-]*)""")

_MAX_DEPTH: Final = 80


def mask_text(value: str) -> str:
    """`a…@e…` for an e-mail, `5c…10` for something long, `4…` for something short."""
    match = _EMAIL.search(value)
    if match:
        return _short_email(match)
    if len(value) >= 16:
        return f"{value[:2]}…{value[-2:]}"
    return f"{value[:1]}…" if len(value) > 2 else "…"


def mask_within(text: str) -> str:
    """A text that is not personal as a whole, with what is personal in it masked."""
    return _QUERY.sub(_short_parameter, _EMAIL.sub(_short_email, text))


def mask_value(value: Any) -> Any:
    """A personal value: texts and numbers are masked, yes and no stay, lists and objects keep their form."""
    return _mask(value, True, 0)


def mask_body(value: Any) -> Any:
    """An event, or anything JSON, with what is personal in it masked."""
    return _mask(value, False, 0)


def mask_source(text: str) -> str:
    """JSON that may be cut off, or broken, or none at all, with what is personal in it masked."""
    masked: list[str] = []
    inside = [False]  # whether what is open holds personal data, outermost first
    name = ""
    tokens = _TOKEN.findall(text)
    for at, token in enumerate(tokens):
        shown = token
        personal = inside[-1] or _is_personal(name)
        following = next((one for one in tokens[at + 1 : at + 3] if not one.isspace()), "")
        if token in ("{", "["):
            inside.append(personal)
        elif token in ("}", "]"):
            inside = inside[:-1] or [False]
        elif token.startswith('"') and following == ":":
            name = token.strip('"')
            shown = mask_within(token)
        elif token not in (":", ",") and not token.isspace():
            shown = '"…"' if personal else mask_within(token)
            name = ""
        if token in ("{", ",", "}", "]"):
            name = ""
        masked.append(shown)
    return "".join(masked)


def mask_reason(text: str) -> str:
    """What another program said of a row: whatever it quotes of the row's values is masked."""
    return mask_within(_QUOTED_PAIR.sub(r"\1…", text))


def _mask(value: Any, personal: bool, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        return "…"
    if isinstance(value, str):
        return mask_text(value) if personal else mask_within(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, Mapping):
        return {
            mask_within(str(key)): _mask(inner, personal or _is_personal(key), depth + 1)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_mask(inner, personal, depth + 1) for inner in value]
    return "…" if personal else value


def _is_personal(name: object) -> bool:
    plain = _NOT_OF_A_NAME.sub("", str(name).lower())
    return plain in _PERSONAL_NAMES or plain in _PERSONAL_OBJECTS


def _short_email(match: re.Match[str]) -> str:
    return f"{match[1][:1]}…@{match[2][:1]}…"


def _short_parameter(match: re.Match[str]) -> str:
    return f"{match[1]}{match[2]}={mask_text(match[3])}" if _is_personal(match[2]) else match[0]
