"""Signing in and out, and who is looking: cookies by the connection's kind, forms by token and origin."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from eventlog.proxies import Proxies
from exporter.console.auth import SESSION_SECONDS, SignIn, Visit
from exporter.console.render import Frame, Renderer
from exporter.parameters import read_body
from exporter.problem import Problem

HTTPS_COOKIE: Final = "__Host-tw"
LOOPBACK_COOKIE: Final = "tw_console"
HOME: Final = "/console"

_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_INSIDE: Final = re.compile(r"/console(?:[/?][^\\\s]*)?")
_LOGIN: Final = Frame("Sign in", "login.html", "cat <data>/admin-token")


class Door:
    """Lets people in."""

    def __init__(self, sign_in: SignIn, renderer: Renderer, proxies: Proxies) -> None:
        self._sign_in = sign_in
        self._renderer = renderer
        self._proxies = proxies

    def visit(self, request: Request) -> Visit | None:
        """Who is looking; None when nobody has signed in."""
        name = self._cookie_name(request)
        return self._sign_in.visit_of(request.cookies.get(name)) if name else None

    def to_login(self, request: Request) -> Response:
        """Sign in first, then come back here."""
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/console/login?next={quote(here, safe='')}", 303)

    async def login_page(self, request: Request) -> Response:
        """The form; or, by a link's code, straight in."""
        code = request.query_params.get("code")
        target = _inside(request.query_params.get("next"))
        if code:
            self._check_wait(request)
            self._safe_name(request)
            if self._sign_in.redeem(code):
                return self._let_in(request, target)
        if self.visit(request):
            return RedirectResponse(target, 303)
        if not code:
            return self._form(request, target, "", 200)
        self._sign_in.failed(self._address(request))
        return self._form(request, target, "This link was used already, or is older than an hour.", 401)

    async def login(self, request: Request) -> Response:
        """The form, sent."""
        form = await self.form(request, None)
        self._check_wait(request)
        target = _inside(form.get("next"))
        if self._sign_in.is_token(form.get("token", "").strip()):
            return self._let_in(request, target)
        self._sign_in.failed(self._address(request))
        return self._form(request, target, "This is not the token.", 401)

    async def logout(self, request: Request) -> Response:
        """Out, for good: the cookie opens nothing any more."""
        visit = self.visit(request)
        await self.form(request, visit)
        if visit:
            self._sign_in.sign_out(visit)
        response = RedirectResponse("/console/login", 303)
        for name in (HTTPS_COOKIE, LOOPBACK_COOKIE):
            secure = name == HTTPS_COOKIE
            response.delete_cookie(name, _cookie_path(name), secure=secure, httponly=True, samesite="lax")
        return response

    async def form(self, request: Request, visit: Visit | None) -> dict[str, str]:
        """The fields of a form that this site made and this visitor sent. Raises Problem."""
        if not _same_origin(request):
            raise Problem("forbidden", "This form was sent by another site.", todo="Open the console and try again.")
        body = (await read_body(request)).decode("utf-8", "replace")
        try:
            fields = {name: values[0] for name, values in parse_qs(body, max_num_fields=50).items()}
        except ValueError:
            raise Problem("bad_request", "This is no form of the console.", where="body") from None
        if not self._sign_in.is_form_token(visit, fields.get("form_token", "")):
            raise Problem("forbidden", "This form is too old.", todo="Reload the page and try again.")
        return fields

    def _form(self, request: Request, target: str, wrong: str, status: int) -> Response:
        data = {"next": target, "wrong": wrong, "safe": self._cookie_name(request) is not None}
        return self._renderer.page(request, None, Frame(_LOGIN.title, _LOGIN.template, _LOGIN.cli, status), data)

    def _let_in(self, request: Request, target: str) -> Response:
        name = self._safe_name(request)
        response = RedirectResponse(target, 303)
        response.set_cookie(
            name,
            self._sign_in.new_cookie(),
            max_age=SESSION_SECONDS,
            path=_cookie_path(name),
            secure=name == HTTPS_COOKIE,
            httponly=True,
            samesite="lax",
        )
        return response

    def _safe_name(self, request: Request) -> str:
        name = self._cookie_name(request)
        if name is None:
            raise Problem(
                "forbidden",
                "Signing in needs https, or an address of this machine.",
                where=f"http://{request.headers.get('host', '')}",
                todo="Put TLS before the console (and list the proxy under trusted_proxies), or open it at 127.0.0.1.",
            )
        return name

    def _check_wait(self, request: Request) -> None:
        if wait := self._sign_in.wait(self._address(request)):
            raise Problem("too_many_requests", "Too many wrong attempts.", todo=f"Wait {wait} s.", retry_after=wait)

    def _cookie_name(self, request: Request) -> str | None:
        """The cookie for this connection; None where a cookie would travel in clear over a network."""
        if self._is_https(request):
            return HTTPS_COOKIE
        return LOOPBACK_COOKIE if request.url.hostname in _LOOPBACK_NAMES else None

    def _is_https(self, request: Request) -> bool:
        return self._seen(request)[1]

    def _address(self, request: Request) -> str:
        """Who is at the other end, as far as it can be believed."""
        return self._seen(request)[0] or _peer(request)

    def _seen(self, request: Request) -> tuple[str, bool]:
        return self._proxies.seen(_peer(request), request.url.scheme, request.headers.raw)


def _cookie_path(name: str) -> str:
    # Browsers take a `__Host-` cookie for the whole host only; the other need not reach the collector on the same port.
    return "/" if name == HTTPS_COOKIE else HOME


def _same_origin(request: Request) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin", "")
    return bool(origin) and urlsplit(origin).netloc == request.headers.get("host")


def _inside(target: str | None) -> str:
    """Where to go after signing in: only ever a page of the console."""
    return target if target and _INSIDE.fullmatch(target) and len(target) < 2000 else HOME


def _peer(request: Request) -> str:
    return request.client.host if request.client else ""
