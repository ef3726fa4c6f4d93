"""The first-party cookie: read, adopt, renew, expire. Its value is `<anonymous id>.<day it was set>`. And who a visitor
is where none is wanted."""

from __future__ import annotations

import hmac
from typing import Final
from urllib.parse import quote, unquote

from collector.settings import Cookie
from eventlog.identifiers import normalise
from eventlog.timestamps import DAY_MS

_SECONDS_A_DAY: Final = 86_400
# What base64 and addresses are made of, and cookies may hold as it is.
_PLAIN: Final = "+/=@:"


def read_cookie(header: str | None, cookie: Cookie) -> tuple[str | None, int]:
    """The anonymous id a Cookie header carries, and the day (since 1970) it was set; (None, 0) without one."""
    for part in header.split(";") if header else ():
        name, _, value = part.strip().partition("=")
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


def _attributes(start: str, cookie: Cookie, secure: bool) -> str:
    domain = f"; Domain={cookie.domain}" if cookie.domain else ""
    return f"{start}; Path=/{domain}; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")
