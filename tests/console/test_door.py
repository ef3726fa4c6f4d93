"""Signing in and out through HTTP."""

from __future__ import annotations

import re
from pathlib import Path

import httpx2
import pytest

from exporter.console.auth import ATTEMPTS_A_MINUTE
from tests.console.site import Site, running_site

SAME_SITE = {"Sec-Fetch-Site": "same-origin"}


def form_token(client: httpx2.Client, path: str = "/console/login") -> str:
    found = re.search(r'name="form_token" value="([0-9a-f]+)"', client.get(path).text)
    assert found
    return found[1]


def test_a_sign_in_link_works_once(site: Site) -> None:
    link, first, second = site.link(), site.client(), site.client()
    answer = first.get(link)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("tw_console=")
    for attribute in ("HttpOnly", "SameSite=lax", "Path=/", "Max-Age=43200"):
        assert attribute in cookie
    assert first.get("/console/live").status_code == 200
    again = second.get(link)
    assert again.status_code == 401
    assert "set-cookie" not in again.headers
    assert "used already" in again.text
    assert second.get("/console/live").status_code == 303


def test_the_token_signs_in_and_leads_back_to_the_page(site: Site) -> None:
    client = site.client()
    asked = client.get("/console/live?status=rejected")
    assert asked.headers["location"] == "/console/login?next=%2Fconsole%2Flive%3Fstatus%3Drejected"
    page = client.get(asked.headers["location"])
    assert 'value="/console/live?status=rejected"' in page.text
    fields = {"token": site.token, "form_token": form_token(client), "next": "/console/live?status=rejected"}
    answer = client.post("/console/login", data=fields, headers=SAME_SITE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/live?status=rejected")
    assert client.get("/console/live").status_code == 200


def test_a_wrong_token_is_told_apart_from_an_old_form(site: Site) -> None:
    client = site.client()
    fields = {"token": "wrong", "form_token": form_token(client)}
    wrong = client.post("/console/login", data=fields, headers=SAME_SITE)
    assert wrong.status_code == 401
    assert "This is not the token." in wrong.text
    old = client.post("/console/login", data={"token": site.token, "form_token": "0"}, headers=SAME_SITE)
    assert old.status_code == 403
    assert "set-cookie" not in old.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {},
    ],
)
def test_a_form_of_another_site_is_refused(site: Site, headers: dict[str, str]) -> None:
    client = site.client()
    fields = {"token": site.token, "form_token": form_token(client)}
    assert client.post("/console/login", data=fields, headers=headers).status_code == 403


def test_a_browser_that_only_names_its_origin_may_sign_in(site: Site) -> None:
    client = site.client()
    fields = {"token": site.token, "form_token": form_token(client)}
    assert client.post("/console/login", data=fields, headers={"Origin": site.address}).status_code == 303


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example", "/console\\evil", "/consoles", "javascript:1", "/console//x y"],
)
def test_signing_in_leads_nowhere_else(site: Site, target: str) -> None:
    client = site.client()
    fields = {"token": site.token, "form_token": form_token(client), "next": target}
    answer = client.post("/console/login", data=fields, headers=SAME_SITE)
    assert answer.headers["location"] == "/console"


def test_signing_out_ends_the_cookie_for_good(site: Site) -> None:
    client = site.visitor()
    cookie = client.cookies["tw_console"]
    answer = client.post("/console/logout", data={"form_token": form_token(client, "/console/live")}, headers=SAME_SITE)
    assert answer.headers["location"] == "/console/login"
    assert "tw_console" not in client.cookies
    stolen = site.client(cookies={"tw_console": cookie})
    assert stolen.get("/console/live").status_code == 303


def test_another_site_cannot_sign_anybody_out(site: Site) -> None:
    client = site.visitor()
    token = form_token(client, "/console/live")
    cross = client.post("/console/logout", data={"form_token": token}, headers={"Sec-Fetch-Site": "cross-site"})
    assert cross.status_code == 403
    assert client.post("/console/logout", data={"form_token": "0"}, headers=SAME_SITE).status_code == 403
    assert client.get("/console/live").status_code == 200


def test_guessing_is_slowed_down(empty_site: Site) -> None:
    client = empty_site.client()
    fields = {"token": "wrong", "form_token": form_token(client)}
    for _ in range(ATTEMPTS_A_MINUTE):
        assert client.post("/console/login", data=fields, headers=SAME_SITE).status_code == 401
    slowed = client.post("/console/login", data=fields | {"token": empty_site.token}, headers=SAME_SITE)
    assert slowed.status_code == 429
    assert int(slowed.headers["retry-after"]) > 0


def test_no_cookie_travels_in_clear_over_a_network(site: Site) -> None:
    client = site.client(headers={"Host": "shop.example"})
    answer = client.get(site.link())
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert "needs https" in answer.text


def test_https_at_a_trusted_proxy_gets_the_host_cookie(tmp_path: Path, site: Site) -> None:
    forwarded = {"Host": "shop.example", "X-Forwarded-Proto": "https"}
    assert site.client(headers=forwarded).get(site.link()).status_code == 403, "this proxy is not trusted"
    with running_site(tmp_path, proxies=["127.0.0.0/8"]) as behind:
        answer = behind.client(headers=forwarded).get(behind.link())
        assert answer.status_code == 303
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-tw=")
        assert "Secure" in cookie
        assert "Domain" not in cookie
        assert behind.client(headers=forwarded | {"X-Forwarded-Proto": "http"}).get(behind.link()).status_code == 403


def test_a_refused_address_does_not_use_up_the_link(site: Site) -> None:
    link = site.link()
    assert site.client(headers={"Host": "shop.example"}).get(link).status_code == 403
    assert site.client().get(link).status_code == 303
