"""The first-party cookies: read, adopt, renew, expire. The visitor's is `<anonymous id>.<day it was set>`; the others
name batches that have arrived lately. And who a visitor is where none is wanted."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, unquote

from collector.settings import Cookie
from eventlog.identifiers import normalise
from eventlog.timestamps import DAY_MS

_SECONDS_A_DAY: Final = 86_400
# What base64 and addresses are made of, and cookies may hold as it is.
_PLAIN: Final = "+/=@:"
# A page leaves a few batches behind, and the next one soon looks for them.
_ACK_SECONDS: Final = 600
# For so long batches get the same of the cookies. Answers that overlap would else take each other's word away.
_ACK_SLOT_MS: Final = 500
_MAX_ACKS: Final = 4
# With the visitor's cookie no more than 200 bytes: they go along with every request of the site.
_MAX_ACK_CHARACTERS: Final = 40
_ACK: Final = re.compile(r"[a-z0-9.-]{1,40}")


def read_cookie(header: str | None, cookie: Cookie) -> tuple[str | None, int]:
    """The anonymous id a Cookie header carries, and the day (since 1970) it was set; (None, 0) without one."""
    for name, value in _pairs(header):
        if name == cookie.name:
            text, _, day = unquote(value).rpartition(".")
            anonymous_id = normalise("anon", text)
            if anonymous_id and day.isascii() and day.isdigit() and len(day) < 8:
                return anonymous_id, int(day)
    return None, 0


def set_cookie(anonymous_id: str, cookie: Cookie, now: int, secure: bool) -> str:
    """A Set-Cookie value that keeps `anonymous_id` from `now` (ms) on."""
    value = quote(f"{anonymous_id}.{now // DAY_MS}", safe="")
    return _attributes(f"{cookie.name}={value}; Max-Age={cookie.days * _SECONDS_A_DAY}", cookie, secure)


def expire_cookie(cookie: Cookie, secure: bool) -> str:
    """A Set-Cookie value that takes the cookie away."""
    return _attributes(f"{cookie.name}=; Max-Age=0", cookie, secure)


def read_ack(value: object) -> str:
    """The id of a batch, if it is one that a cookie may hold; else empty."""
    return value if isinstance(value, str) and _ACK.fullmatch(value) else ""


def set_ack(batch: str, header: str | None, cookie: Cookie, now: int, secure: bool) -> str:
    """A Set-Cookie value that tells pages that this batch has arrived, and which did before, by the Cookie header that
    came with it; `now` in ms. Cookies have to have such names."""
    name = cookie.acks[now // _ACK_SLOT_MS % len(cookie.acks)]
    stated = next((value for stated, value in _pairs(header) if stated == name), "")
    earlier = [one for one in stated.split("~") if one != batch and _ACK.fullmatch(one)]
    newest = [*earlier, batch][-_MAX_ACKS:]
    while len("~".join(newest)) > _MAX_ACK_CHARACTERS:
        newest.pop(0)
    return _attributes(f"{name}={'~'.join(newest)}; Max-Age={_ACK_SECONDS}", cookie, secure, "")


def names_of(header: str | None) -> set[str]:
    """The cookies that came along."""
    return {name for name, _ in _pairs(header)}


def keep_cookie(name: str, value: str, seconds: int, cookie: Cookie, secure: bool) -> str:
    """A Set-Cookie value of a cookie beside ours, with our attributes; 0 seconds take it away."""
    written = quote(value, safe=_PLAIN) if seconds else ""
    return _attributes(f"{name}={written}; Max-Age={seconds}", cookie, secure)


def visitor_of_day(who: tuple[str, ...], now: int, secret: bytes) -> str:
    """An anonymous id of source, address and user agent, the same until midnight UTC; `now` in ms. Who does not
    have the secret learns nothing from it, nor from two days' whether they are one visitor's."""
    told = "\n".join((str(now // DAY_MS), *who))
    return "day-" + hmac.digest(secret, f"visitor:{told}".encode("utf-8", "replace"), "sha256").hex()[:32]


def is_due(set_on: int, now: int) -> bool:
    """Whether a cookie set on day `set_on` is renewed at `now` (ms): once a day at most."""
    return now // DAY_MS > set_on


def _pairs(header: str | None) -> Iterable[tuple[str, str]]:
    for part in header.split(";") if header else ():
        name, _, value = part.strip().partition("=")
        yield name, value


def _attributes(start: str, cookie: Cookie, secure: bool, hidden: str = "; HttpOnly") -> str:
    domain = f"; Domain={cookie.domain}" if cookie.domain else ""
    return f"{start}; Path=/{domain}{hidden}; SameSite=Lax" + ("; Secure" if secure else "")
