"""Which cookies an answer sets, renews and takes away. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from collector.identity import expire_cookie, is_due, keep_cookie, names_of, set_ack, set_cookie
from collector.intake import Taken
from collector.protocols.raptor_cookies import NAMES
from collector.sent import OtherCookie
from collector.settings import Cookie

# Reasons of what is not kept because the person does not want it: nothing is left in the browser for it either.
_UNWANTED: Final = frozenset(("consent", "dnt"))


class Asked(NamedTuple):
    """What a request brought along: the `Cookie` header, the anonymous id that counted and the day it was set; whether
    it came by https; `others`: the protocol's own cookies; `ack`: what it wants to be told of."""

    header: str | None
    cookie_id: str | None
    set_on: int
    https: bool
    others: tuple[OtherCookie, ...]
    ack: str


def setting_cookies(taken: Taken, asked: Asked, cookie: Cookie, now: int) -> list[str]:
    """Set-Cookie values of the answer to a request whose events are durable; `now` in ms."""
    wanted = taken.cookie_id
    if taken.is_withdrawn:
        return _taken_away(asked, cookie)
    if wanted is None and not asked.ack:
        return []
    lines: list[str] = []
    if wanted == "" and asked.cookie_id:
        lines = [expire_cookie(cookie, asked.https)]
    elif wanted and (wanted != asked.cookie_id or is_due(asked.set_on, now)):
        lines = [set_cookie(wanted, cookie, now, asked.https)]
    if taken.is_reset:
        lines += [keep_cookie(one.name, "", 0, cookie, asked.https) for one in asked.others]
    elif wanted:
        lines += [keep_cookie(*one, cookie, asked.https) for one in asked.others if one.seconds]
    if asked.ack and cookie.acks and not all(one.reason in _UNWANTED for one in taken.receipts):
        lines.append(set_ack(asked.ack, asked.header, cookie, now, asked.https))
    return lines


def _taken_away(asked: Asked, cookie: Cookie) -> list[str]:
    """Every cookie of ours that came along, and those the protocol would have kept."""
    came = names_of(asked.header)
    names = dict.fromkeys(one for one in (cookie.name, *cookie.acks, *NAMES) if one in came)
    names |= dict.fromkeys(one.name for one in asked.others)
    return [keep_cookie(name, "", 0, cookie, asked.https) for name in names]
