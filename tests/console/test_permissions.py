"""Every route of the admin listener: who may ask what."""

from __future__ import annotations

import re

import pytest
from starlette.routing import Route

from tests.console.site import Site

# Nobody, somebody who has signed in, a program with the token.
Answers = tuple[int, int, int]

ODD: dict[tuple[str, str], Answers] = {
    ("GET", "/"): (303, 303, 303),
    ("GET", "/health"): (200, 200, 200),
    ("GET", "/ready"): (200, 200, 200),
    ("GET", "/metrics"): (200, 200, 200),
    ("GET", "/openapi.json"): (401, 401, 200),
    ("GET", "/console"): (303, 303, 303),
    ("GET", "/console/login"): (200, 303, 200),
    # A form without its token is refused, whoever sends it.
    ("POST", "/console/login"): (403, 403, 403),
    ("POST", "/console/logout"): (403, 403, 403),
    ("POST", "/console/find"): (303, 403, 303),
    ("GET", "/console/static/{name}"): (404, 404, 404),
    ("POST", "/api/v1/profiles/lookup"): (401, 401, 400),
    ("GET", "/console/start"): (303, 303, 303),
    # The lists and the page of an unknown event are there; nothing else has the id `none`.
    ("GET", "/api/v1/profiles"): (401, 401, 200),
    ("GET", "/api/v1/workflows"): (401, 401, 200),
    ("GET", "/api/v1/runs"): (401, 401, 200),
    ("GET", "/api/v1/ledger"): (401, 401, 200),
    ("GET", "/api/v1/ledger/browsers"): (401, 401, 200),
    ("GET", "/api/v1/rejected"): (401, 401, 200),
    ("GET", "/api/v1/rejected/records"): (401, 401, 200),
    ("GET", "/console/profiles/{id}"): (303, 404, 303),
    ("GET", "/console/profiles/{id}.json"): (401, 404, 401),
    ("GET", "/console/runs/{id}"): (303, 404, 303),
    ("GET", "/console/runs/{id}.json"): (401, 404, 401),
}


def expected(method: str, path: str) -> Answers:
    if (method, path) in ODD:
        return ODD[method, path]
    if path.startswith("/api/"):
        return 401, 401, 404
    return (401, 200, 401) if path.endswith(".json") else (303, 200, 303)


def test_every_route_asks_for_its_own_credentials(site: Site) -> None:
    clients = site.client(), site.visitor(), site.back_end()
    for client in clients:
        client.base_url = site.admin_address
    tried = set()
    for route in site.app().routes:
        assert isinstance(route, Route)
        for method in sorted((route.methods or set()) - {"HEAD"}):
            tried.add((method, route.path))
            path = re.sub(r"\{[a-z:]+\}", "none", route.path)
            got = tuple(client.request(method, path).status_code for client in clients)
            assert got == expected(method, route.path), (method, path)
    assert tried >= set(ODD), "no line of the table is about a route that is no more"


@pytest.mark.parametrize("path", ["/console/live", "/console/profiles"])
def test_who_has_not_signed_in_is_led_to_the_form_and_back(site: Site, path: str) -> None:
    for client in (site.client(), site.back_end()):
        assert client.get(path).headers["location"] == f"/console/login?next={path.replace('/', '%2F')}"


def test_a_cookie_of_the_other_connection_opens_nothing(site: Site) -> None:
    cookie = site.visitor().cookies["tw_console"]
    assert site.client(cookies={"__Host-tw": cookie}).get("/console/live").status_code == 303
