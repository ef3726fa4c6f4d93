"""The console's addresses: each page and its `.json` twin, made from the same view under the same permission."""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from eventlog.timestamps import format_ms, now_ms
from exporter.api import json_answer
from exporter.console import views
from exporter.console.door import Door
from exporter.console.render import Frame, Renderer
from exporter.console.views import Console, Data
from exporter.problem import Problem

View = Callable[[Console, Request], Awaitable[Data]]
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Page:
    """One page. `cli` makes the command that shows the same."""

    path: str
    title: str
    template: str
    view: View
    cli: Callable[[Request], str]


def _by_query(view: Callable[[Console, views.Query], Awaitable[Data]]) -> View:
    return lambda console, request: view(console, request.query_params)


def _by_id(view: Callable[[Console, str], Awaitable[Data]]) -> View:
    return lambda console, request: view(console, str(request.path_params["id"]))


async def _profile(console: Console, request: Request) -> Data:
    data = await views.profile(console, str(request.path_params["id"]))
    return data | {"was": request.query_params.get("was", "")}


def _tail_command(request: Request) -> str:
    words = ["trackway", "events", "tail", "--from", "15m", "--follow"]
    for name in ("source", "status", "name"):
        if value := request.query_params.get(name):
            words += [f"--{name}", value]
    return shlex.join(words)


def _rejected_command(request: Request) -> str:
    words = ["trackway", "rejected", "list", "--group"]
    for name in ("source", "status", "reason", "from"):
        if value := request.query_params.get(name):
            words += [f"--{name}", value]
    return shlex.join(words)


def _runs_command(request: Request) -> str:
    words = ["trackway", "runs", "list"]
    if workflow := request.query_params.get("workflow"):
        words += ["--workflow", workflow]
    return shlex.join(words)


def _start_command(request: Request) -> str:
    words = ["trackway", "events", "tail", "--from", request.query_params.get("since", "1m"), "--follow"]
    return shlex.join(words)


def _always(command: str) -> Callable[[Request], str]:
    return lambda request: command


def _with_id(command: str) -> Callable[[Request], str]:
    return lambda request: f"{command} {shlex.quote(str(request.path_params['id']))}"


PAGES: Final = (
    Page("/console/start", "Start", "start.html", _by_query(views.start_page), _start_command),
    Page("/console/live", "Live", "live.html", _by_query(views.live), _tail_command),
    Page("/console/rejected", "Rejected", "rejected.html", _by_query(views.rejected), _rejected_command),
    Page(
        "/console/profiles",
        "Profiles",
        "profiles.html",
        _by_query(views.profiles),
        _always("trackway profile show KIND VALUE"),
    ),
    Page("/console/profiles/{id}", "Profile", "profile.html", _profile, _with_id("trackway profile show")),
    Page("/console/exports", "Exports", "exports.html", _by_query(views.exports), _runs_command),
    Page("/console/runs/{id}", "Run", "run.html", _by_id(views.run), _always("trackway runs list --json")),
    # Last: an event's id may hold anything, also slashes.
    Page(
        "/console/events/{id:path}",
        "Event",
        "event.html",
        _by_id(views.where),
        _always("trackway events tail --from 24h --json"),
    ),
)


def console_routes(console: Console, door: Door, renderer: Renderer) -> list[BaseRoute]:
    """All routes under /console."""

    async def home(request: Request) -> Response:
        if door.visit(request) is None:
            return door.to_login(request)
        tails = await console.reader.read()
        return RedirectResponse("/console/live" if tails.ever else "/console/start", 303)

    async def static(request: Request) -> Response:
        return renderer.static(request.path_params["name"])

    routes: list[BaseRoute] = [
        Route("/console", home),
        Route("/console/login", door.login_page, methods=["GET"]),
        Route("/console/login", door.login, methods=["POST"]),
        Route("/console/logout", door.logout, methods=["POST"]),
        Route("/console/find", _find(console, door, renderer), methods=["POST"]),
        Route("/console/static/{name}", static),
    ]
    for page in PAGES:
        routes.append(Route(f"{page.path}.json", _twin(page, console, door)))
        routes.append(Route(page.path, _html(page, console, door, renderer)))
    return routes


def _find(console: Console, door: Door, renderer: Renderer) -> Endpoint:
    """The search box: by POST, so that no identifier stands in an address or a log."""

    async def endpoint(request: Request) -> Response:
        visit = door.visit(request)
        if visit is None:
            return RedirectResponse("/console/login", 303)
        text = (await door.form(request, visit)).get("text", "").strip()
        found = await views.find(console, text)
        if len(found) == 1:
            return RedirectResponse(found[0][1], 303)
        data = {"found": [{"what": what, "address": address} for what, address in found], "asked": bool(text)}
        return renderer.page(request, visit, Frame("Find", "find.html", status=200 if found else 404), data)

    return endpoint


def _html(page: Page, console: Console, door: Door, renderer: Renderer) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        visit = door.visit(request)
        if visit is None:
            return door.to_login(request)
        if page.path == "/console/start" and "since" not in request.query_params:
            # From now on: an older event must not tick anything off.
            query = dict(request.query_params) | {"since": format_ms(now_ms())}
            return RedirectResponse(f"{page.path}?{urlencode(query)}", 303)
        data = await page.view(console, request)
        if moved := _moved(page, request, data):
            return RedirectResponse(moved, 308)
        return renderer.page(request, visit, Frame(page.title, page.template, page.cli(request)), data)

    return endpoint


def _moved(page: Page, request: Request, data: Data) -> str:
    """Where the profile is now, should it have been asked for by an id it had before."""
    asked = request.path_params.get("id")
    if page.view is not _profile or data["profile"]["id"] == asked:
        return ""
    return f"/console/profiles/{data['profile']['id']}?was={quote(str(asked), safe='')}"


def _twin(page: Page, console: Console, door: Door) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        if door.visit(request) is None:
            raise Problem(
                "unauthorized",
                "This page's data needs the console's cookie.",
                where="header.Cookie",
                todo="Sign in at /console/login; programs ask /api/v1 with a Bearer token.",
            )
        return json_answer(await page.view(console, request))

    return endpoint
