"""Raptor's hybrid mode: events by way of the site's own origin, and the cookies the server keeps for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from pydantic import SecretStr

from collector.settings import Source
from tests.collector.parsing import parsed_of
from tests.collector.running import BROWSER_KEY, ORIGIN, Running, running, settings_in

COID, SID = "6B29FC40-CA47-1067-B31D-00DD010662DA", "0F8FAD5B-D9CB-469F-A165-70867728950E"
PAGE = {"origin": ORIGIN, "referer": f"{ORIGIN}/tents"}
PATH = "/raptor/track"


def serve(folder: Path, scenario: Callable[[Running], Awaitable[None]], **changes: Any) -> None:
    source = Source(
        browser_key=BROWSER_KEY, origins=[ORIGIN], server_key=SecretStr("sk"), aliases=["12345"],
        consent=changes.pop("consent", None),
    )  # fmt: skip

    async def serving() -> None:
        async with running(settings_in(folder, sources={"shop": source}, **changes)) as collector:
            await scenario(collector)

    asyncio.run(serving())


def cookies_of(answer: Any) -> dict[str, tuple[str, str, bool, bool]]:
    """Value, lifetime, HttpOnly and Secure of each cookie; all stand for the whole site and SameSite=Lax."""
    found = {}
    for line in answer.headers.get_list("set-cookie"):
        for name, morsel in SimpleCookie(line).items():
            assert (morsel["path"], morsel["samesite"]) == ("/", "Lax")
            found[name] = morsel.value, morsel["max-age"], bool(morsel["httponly"]), bool(morsel["secure"])
    return found


async def post(collector: Running, body: Any, headers: Mapping[str, str] = PAGE, cookie: str = "") -> Any:
    # httpx keeps cookies by itself, which is not what is tried here.
    collector.http.cookies.clear()
    return await collector.post(PATH, body, {**headers, **({"cookie": cookie} if cookie else {})})


def test_a_new_visitor_gets_cookies_and_is_known_by_them(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        answer = await post(collector, {"event": "trackEvent", "params": {"p1": "visit", "p2": "S"}})
        assert answer.status_code == 200, answer.text
        assert answer.json()["receipts"][0]["status"] == "accepted"
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        made = cookies_of(answer)
        rsa, session = made["rsa"][0], made["rsaSession"][0]
        assert made["rsa"] == (str(UUID(rsa)).upper(), str(365 * 86_400), True, False)
        assert made["rsaSession"] == (str(UUID(session)).upper(), "1296", True, False)
        assert set(made) == {"rsa", "rsaSession", "tw_id"}
        again = await post(
            collector, {"p1": "visit", "p2": "T"}, cookie=f"rsa={rsa}; rsaSession={session}; rsaBasket=x"
        )
        assert cookies_of(again).keys() >= {"rsa", "rsaSession"}
        assert "rsaBasket" not in cookies_of(again)
        assert (cookies_of(again)["rsa"][0], cookies_of(again)["rsaSession"][0]) == (rsa, session)
        events = await collector.stored()
        assert {(one["anonymous_id"], one["client_session_id"]) for one in events} == {(rsa.lower(), session.lower())}
        assert [one["channel"] for one in events] == ["web", "web"]
        assert events[0]["page"]["url"] == f"{ORIGIN}/tents"

    serve(tmp_path, scenario)


def test_cookies_are_secure_by_https_and_stand_for_the_domain(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        answer = await post(collector, {"p1": "visit"}, PAGE | {"x-forwarded-proto": "https"})
        assert all(secure for _, _, _, secure in cookies_of(answer).values())
        assert all("Domain=shop.example" in line for line in answer.headers.get_list("set-cookie"))

    serve(tmp_path, scenario, trusted_proxies=["127.0.0.1"], cookie={"domain": "shop.example"})


def test_ids_that_an_event_states_come_first_and_are_kept(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        held = "rsa=AAAAAAAA-CA47-1067-B31D-00DD010662DA; rsaRuid=b2xk; rsaXuid=x-old"
        body = {
            "event": "setRuid",
            "params": "YWRhQGV4YW1wbGUuY29t",
            "cookieId": COID,
            "sessionId": SID,
            "reaid": "r=;\r\n1",
        }
        answer = await post(collector, body, cookie=held)
        kept = cookies_of(answer)
        assert {name: kept[name][:2] for name in ("rsa", "rsaSession", "rsaRuid")} == {
            "rsa": (COID, "31536000"), "rsaSession": (SID, "1296"), "rsaRuid": ("YWRhQGV4YW1wbGUuY29t", "31536000"),
        }  # fmt: skip
        assert not kept.keys() & {"rsaXuid", "rsaReaId"}
        (event,) = await collector.stored()
        assert (event["name"], event["kind"], event["anonymous_id"]) == ("identify", "identify", COID.lower())
        assert event["identifiers"] == {"email": "ada@example.com", "xuid": "x-old"}

    serve(tmp_path, scenario)


def test_a_user_is_never_joined_to_the_last_ones_mail(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        held = f"rsa={COID}; rsaRuid=YWRhQGV4YW1wbGUuY29t"
        await post(collector, {"p1": "visit"}, cookie=held)
        await post(collector, {"p1": "visit", "p7": "u-2"}, cookie=held)
        first, second = await collector.stored()
        assert first["identifiers"] == {"email": "ada@example.com"}
        assert (second["user_id"], "identifiers" in second) == ("u-2", False)

    serve(tmp_path, scenario)


def test_cookies_named_after_the_customer_and_our_own_are_the_same_visitor(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        named = await post(collector, {"p1": "visit", "customerId": "12345"}, cookie=f"12345rsa={COID}")
        assert cookies_of(named)["rsa"][0] == COID
        ours = await post(collector, {"p1": "visit", "p2": "x"}, cookie="tw_id=visitor-1.20000")
        assert cookies_of(ours)["rsa"][0] == "visitor-1"
        assert {one["anonymous_id"] for one in await collector.stored()} == {COID.lower(), "visitor-1"}

    serve(tmp_path, scenario)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"sec-gpc": "1"}, {"p1": "visit"}),
        ({"dnt": "1"}, {"p1": "visit"}),
        ({}, {"p1": "visit", "coid": "none", "sid": "none"}),
        ({}, {"p1": "visit", "p2": "S", "p12": "cheap"}),
    ],
)
def test_no_cookie_without_consent_an_id_or_an_event(headers: dict[str, str], body: Any, tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        answer = await post(collector, body, PAGE | headers, cookie="rsaRuid=YWRhQGV4YW1wbGUuY29t; tw_id=v-1.1")
        assert (answer.status_code, cookies_of(answer)) == (200, {})
        for event in await collector.stored():
            assert not event.keys() & {"anonymous_id", "client_session_id", "identifiers"}

    gpc = {"consent": "required"} if "sec-gpc" in headers else {}
    serve(tmp_path, scenario, **gpc)


def test_a_reset_takes_all_of_them_away(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        answer = await post(collector, {"p1": "reset"}, cookie=f"rsa={COID}; rsaRuid=b2xk; tw_id=v-1.1; rsaBasket=x")
        assert {name: kept[:2] for name, kept in cookies_of(answer).items()} == dict.fromkeys(
            ("rsa", "rsaSession", "rsaRuid", "tw_id"), ("", "0")
        )

    serve(tmp_path, scenario)


def test_bodies_of_every_shape(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        item = {"event": "trackEvent", "params": {"p1": "visit", "p2": "S"}, "options": {"moduleName": "Similar"}}
        for body in (
            item, [item, item], {"events": [item, 7], "cookieId": COID}, b"p1=visit&p2=S&am=Similar",
            {"event": "visit", "params": {"p2": "S"}, "options": {"moduleName": "Similar"}},
        ):  # fmt: skip
            answer = await post(collector, body)
            assert answer.status_code == 200, answer.text
        refused = await post(collector, {"events": [7]})
        assert refused.json()["receipts"][0]["path"] == "events[0]"
        events = await collector.stored()
        assert len(events) == 1 + 2 + 1 + 1 + 1
        for event in events:
            assert (event["name"], event["items"]) == ("visit", [{"product_id": "S"}])
            assert event["properties"]["module_name"] == "Similar"

    serve(tmp_path, scenario)


def test_by_get_it_is_a_pixel(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        answer = await collector.http.get(f"{PATH}?p1=visit&p2=S", headers={"referer": f"{ORIGIN}/"})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
        assert "rsa" in cookies_of(answer)
        answer = await collector.http.get(f"/12345.rsa?p1=visit&p2=S&coid={COID}", headers={"referer": f"{ORIGIN}/"})
        assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("image/gif", "no-store")
        assert answer.content.startswith(b"GIF89a")
        assert set(cookies_of(answer)) == {"tw_id"}
        assert [one["channel"] for one in await collector.stored()] == ["web", "web"]

    serve(tmp_path, scenario)


def test_whose_events_they_are(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        for headers, body, status in (
            (PAGE, {}, 200),
            ({"referer": f"{ORIGIN}/x"}, {}, 200),
            ({}, {"customerId": 12345}, 200),
            ({}, {}, 401),
            (PAGE, {"customerId": "999"}, 401),
            ({"origin": "https://other.example"}, {}, 401),
            ({"origin": "https://other.example"}, {"customerId": "12345"}, 403),
        ):
            answer = await post(collector, {"p1": "visit", **body}, headers)
            assert answer.status_code == status, (headers, body, answer.text)
        for customer, status in (("12345", 200), ("999", 401)):
            answer = await collector.http.get(f"/{customer}.rsa?p1=visit")
            assert answer.status_code == status

    serve(tmp_path, scenario)


def test_a_repeated_pixel_and_a_page_of_thanks_loaded_again_count_once(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        for query in ("p1=visit&p2=S&rnd=1", "p1=visit&p2=S&rnd=1", "p1=visit&p2=S&rnd=2"):
            await collector.http.get(f"/12345.rsa?{query}")
        for rnd in (3, 4):
            await collector.http.get(f"/12345.rsa?p1=buy&p2=S&p12=9.90&p21=A-1&rnd={rnd}")
            await collector.http.get(f"/12345.rsa?p1=buy&p2=T&p12=9.90&p21=A-1&rnd={rnd}")
        names = [one["name"] for one in await collector.stored()]
        assert (names.count("visit"), names.count("buy")) == (2, 2)
        assert len(await collector.stored("rejected.v1")) == 1 + 2

    serve(tmp_path, scenario)


def test_two_sources_of_one_origin_need_the_customer() -> None:
    parsed = parsed_of(PATH, orjson.dumps({"p1": "visit"}), headers={b"origin": ORIGIN.encode()})
    assert parsed.write_keys == ()


def test_the_path_is_a_setting(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        assert (await collector.post("/cdp/collect", {"p1": "visit"}, PAGE)).status_code == 200
        assert (await collector.post(PATH, {"p1": "visit"}, PAGE)).status_code == 404

    serve(tmp_path, scenario, raptor={"path": "/cdp/collect"})
