"""Who may look: the administrator's token, one-time sign-in links, the signed cookie, and forms nobody can forge."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from exporter.settings import ExporterSettings

SESSION_SECONDS: Final = 12 * 3600
LINK_SECONDS: Final = 3600
MIN_TOKEN_CHARACTERS: Final = 16
# Wrong attempts an address may make a minute before it has to wait.
ATTEMPTS_A_MINUTE: Final = 10

_MAX_REMEMBERED: Final = 4096


def load_or_make_token(settings: ExporterSettings) -> str:
    """The administrator's token: `admin.token`, else `<data>/admin-token`, made at the first start (0600).

    Raises ValueError where the store is PostgreSQL and no token is set, or the token is shorter than 16 characters.
    """
    given = settings.admin.token.get_secret_value()
    if given:
        return _long_enough(given, "admin.token")
    if settings.store.startswith("postgresql"):
        raise ValueError(
            "admin.token: needed with PostgreSQL, the same for all processes; set it or TRACKWAY_ADMIN_TOKEN"
        )
    file = settings.data / "admin-token"
    settings.data.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _long_enough(file.read_text(encoding="ascii").strip(), str(file))
    token = f"tw_{secrets.token_urlsafe(32)}"
    with os.fdopen(handle, "w", encoding="ascii") as opened:
        opened.write(token + "\n")
    return token


def _long_enough(token: str, where: str) -> str:
    if len(token) < MIN_TOKEN_CHARACTERS:
        raise ValueError(
            f"{where}: a token has at least {MIN_TOKEN_CHARACTERS} characters; make one with `openssl rand -hex 32`"
        )
    return token


@dataclass(frozen=True, slots=True)
class Visit:
    """One signed-in browser: a random name and when it signed in (seconds since 1970)."""

    name: str
    since: int


class SignIn:
    """Checks tokens, links and cookies. Processes with the same secret and token know each other's cookies."""

    def __init__(self, token: str, secret: str, now: Callable[[], float] = time.time) -> None:
        if not secret:
            raise ValueError("secret: needed to sign cookies")
        self._token = token.encode()
        # Bound to the token too: a new token signs everybody out.
        self._key = hmac.new(secret.encode(), b"console\0" + self._token, hashlib.sha256).digest()
        self._now = now
        self._links: OrderedDict[str, float] = OrderedDict()
        self._ended: OrderedDict[str, float] = OrderedDict()
        self._attempts = Attempts(now)

    def sign_in_link(self, base_url: str) -> str:
        """A link that signs its first visitor in, for an hour."""
        code = secrets.token_urlsafe(24)
        _remember(self._links, _digest(code), self._now() + LINK_SECONDS)
        return f"{base_url.rstrip('/')}/console/login?code={code}"

    def redeem(self, code: str) -> bool:
        """Whether `code` is one of ours, unused and not too old; it is used now."""
        return self._links.pop(_digest(code), 0.0) > self._now()

    def is_token(self, token: str) -> bool:
        """Whether `token` is the administrator's, compared in constant time."""
        return hmac.compare_digest(token.encode("utf-8", "replace"), self._token)

    def new_cookie(self) -> str:
        """The value of a fresh sign-in cookie."""
        body = f"{int(self._now())}.{secrets.token_urlsafe(18)}"
        return f"{body}.{self._sign('cookie', body)}"

    def visit_of(self, cookie: str | None) -> Visit | None:
        """Who a cookie says is looking; None where it is forged, too old or signed out."""
        body, _, signature = (cookie or "").rpartition(".")
        if not body or not hmac.compare_digest(
            signature.encode("utf-8", "replace"), self._sign("cookie", body).encode()
        ):
            return None
        # Signed by us, so of our form.
        since, _, name = body.partition(".")
        visit = Visit(name, int(since))
        if visit.since + SESSION_SECONDS < self._now() or name in self._ended:
            return None
        return visit

    def sign_out(self, visit: Visit) -> None:
        """Refuse this visit's cookie from now on (in this process)."""
        _remember(self._ended, visit.name, float(visit.since + SESSION_SECONDS))

    def form_token(self, visit: Visit | None) -> str:
        """What a form of this visitor has to carry. Before signing in it proves only that the form is ours."""
        return self._sign("form", visit.name if visit else "")

    def is_form_token(self, visit: Visit | None, token: str) -> bool:
        return hmac.compare_digest(token.encode("utf-8", "replace"), self.form_token(visit).encode())

    def wait(self, address: str) -> int:
        """Seconds `address` has to wait before it may try to sign in again; 0 = now."""
        return self._attempts.wait(address)

    def failed(self, address: str) -> None:
        """Note a wrong attempt."""
        self._attempts.failed(address)

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose}\0{text}".encode(), hashlib.sha256).hexdigest()


class Attempts:
    """Wrong attempts of the last minute, by address."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._seen: OrderedDict[str, list[float]] = OrderedDict()

    def wait(self, address: str) -> int:
        recent = self._recent(address)
        if len(recent) < ATTEMPTS_A_MINUTE:
            return 0
        return max(1, int(recent[0] + 60 - self._now()) + 1)

    def failed(self, address: str) -> None:
        self._seen[address] = [*self._recent(address), self._now()][-ATTEMPTS_A_MINUTE:]
        self._seen.move_to_end(address)
        while len(self._seen) > _MAX_REMEMBERED:
            self._seen.popitem(last=False)

    def _recent(self, address: str) -> list[float]:
        return [at for at in self._seen.get(address, []) if at > self._now() - 60]


def _digest(code: str) -> str:
    """Under which a code is kept: how long it takes to find one tells nothing of it."""
    return hashlib.sha256(code.encode("utf-8", "replace")).hexdigest()


def _remember(names: OrderedDict[str, float], name: str, until: float) -> None:
    names[name] = until
    while len(names) > _MAX_REMEMBERED:
        names.popitem(last=False)
