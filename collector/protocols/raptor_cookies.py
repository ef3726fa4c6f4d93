"""The cookies of Raptor's hybrid mode, kept by the server where Raptor's script would keep them in pages.

Source: Raptor's public help pages and its tag for servers.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from collector.identity import read_cookie
from collector.request import Request
from collector.sent import OtherCookie
from eventlog.identifiers import is_blocked, text_of

_A_YEAR: Final = 365 * 86_400
# 0.015 days: what Raptor's tag gives a session between two events.
_A_SESSION: Final = 1_296
COOKIES: Final = {
    "coid": ("rsa", _A_YEAR),
    "sid": ("rsaSession", _A_SESSION),
    "ruid": ("rsaRuid", _A_YEAR),
    "reaid": ("rsaReaId", _A_YEAR),
    "xuid": ("rsaXuid", _A_YEAR),
}
NAMES: Final = tuple(name for name, _ in COOKIES.values())
# What cookies hold where the visitor allows none.
_OFF: Final = "none"


class Visitor(NamedTuple):
    """What an event states of its visitor."""

    coid: Any = None
    sid: Any = None
    ruid: Any = None
    reaid: Any = None
    xuid: Any = None


@dataclass
class Known:
    """The ids of the events that state none, as they stand in events, and the cookies that keep them."""

    shared: dict[str, Any] = field(default_factory=dict)
    cookies: tuple[OtherCookie, ...] = ()


def visitor_of(
    request: Request, customers: Sequence[str], stated: Sequence[Visitor], proposed: str | None = None
) -> Known | None:
    """Who the visitor is: what the events state, else the cookies, which may be named after one of the `customers`,
    else the id that is `proposed`, else somebody new. None where an event says that there are to be no cookies."""
    if any(isinstance(one.coid, str) and one.coid.strip().lower() == _OFF for one in stated):
        return None
    header = request.header(b"cookie")
    held = cookies_in(header)
    if coid := coid_in(held, customers):
        held["rsa"] = coid
    known = Known()
    cookies: list[OtherCookie] = []
    for name, (cookie, seconds) in COOKIES.items():
        said = next((one for event in reversed(stated) if (one := _usable(getattr(event, name)))), None)
        kept = _usable(held.get(cookie))
        value = said or kept
        if value is None and name == "coid":
            # Our own cookie is of the same visitor.
            value = read_cookie(header, request.settings.cookie)[0] or proposed or _new_id()
        elif value is None and name == "sid":
            value = _new_id()
        if value is None:
            continue
        known.shared[name] = text_of(value)
        # Those of users are renewed by events that name them only.
        is_due = said or name in ("coid", "sid")
        cookies.append(OtherCookie(cookie, value, seconds if is_due else 0))
    known.cookies = (*cookies, *(one for one in left_alone(held, customers) if one.name not in NAMES))
    return known


def left_alone(held: Mapping[str, str], customers: Iterable[str]) -> tuple[OtherCookie, ...]:
    """Those of Raptor's among the cookies, to be taken away with ours and not touched before."""
    names = (*NAMES, *(f"{customer}rsa" for customer in customers))
    return tuple(OtherCookie(name, held[name], 0) for name in names if name in held)


def coid_in(held: Mapping[str, str], customers: Iterable[str]) -> str | None:
    """The visitor's id among the cookies."""
    names = ("rsa", *(f"{customer}rsa" for customer in customers))
    return next((one for name in names if (one := _usable(held.get(name)))), None)


def _usable(value: Any) -> str | None:
    """As it was written, if it stands for somebody."""
    text = text_of(value)
    if text is None or is_blocked(text):
        return None
    return value.strip() if isinstance(value, str) else text


def _new_id() -> str:
    """As Raptor writes them."""
    return str(uuid.uuid4()).upper()


def cookies_in(header: str | None) -> dict[str, str]:
    """The cookies of a request, decoded."""
    found: dict[str, str] = {}
    for part in header.split(";") if header else ():
        name, _, value = part.strip().partition("=")
        found.setdefault(name, unquote(value))
    return found
