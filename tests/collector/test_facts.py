"""What is stored of a request and of the person behind it, whoever tells it, in whatever protocol."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
from pydantic import SecretStr

from collector.settings import CollectorSettings, Geo, Source
from tests.collector.countries import write_countries
from tests.collector.running import BROWSER_KEY, ORIGIN, SERVER_KEY, Running, running, settings_in

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.1 Mobile/15E148 Safari/604.1"
)
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
# Who is 203.0.113.77 to the proxy is in Denmark; who is 203.0.113.200 in Sweden.
COUNTRIES = {"203.0.113.0/25": "DK", "203.0.113.128/25": "SE"}
PERSON, SOMEBODY = "203.0.113.77", "203.0.113.200"


def settings_with(folder: Path, geo: bool = True, **of_source: Any) -> CollectorSettings:
    folder.mkdir(exist_ok=True)
    source = Source(
        browser_key=BROWSER_KEY, origins=[ORIGIN], server_key=SecretStr(SERVER_KEY), aliases=["12345", "G-SHOP"],
        **of_source,
    )  # fmt: skip
    given: dict[str, Any] = {"sources": {"shop": source}, "trusted_proxies": ["127.0.0.1"]}
    if geo:
        write_countries(folder / "countries.mmdb", COUNTRIES)
        given["geo"] = Geo(database=folder / "countries.mmdb")
    return settings_in(folder, **given)


def browser(agent: str = CHROME, **more: str) -> dict[str, str]:
    return {"origin": ORIGIN, "x-forwarded-for": PERSON, "user-agent": agent} | {
        name.replace("_", "-"): value for name, value in more.items()
    }


def track(event_id: str, **context: Any) -> dict[str, Any]:
    return {"type": "track", "event": "X", "messageId": event_id, "context": context}


async def _clients(one: Running) -> dict[str, dict[str, Any]]:
    return {event["id"]: event.get("client", {}) for event in await one.stored()}


async def _send(one: Running, path: str, body: Any, headers: dict[str, str] | None = None) -> None:
    answer = await one.post(path, body, headers)
    assert answer.status_code == 200, answer.text


async def _everything(one: Running) -> str:
    return orjson.dumps([await one.stored(), await one.stored("rejected.v1")]).decode()


def test_a_browsers_own_request_tells_and_nothing_it_states(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(settings_with(tmp_path)) as one:
            stated = track("b1", ip="198.51.100.9", userAgent="Lies/1", locale="da")
            await _send(one, "/v1/batch", {"writeKey": BROWSER_KEY, "batch": [stated]}, browser())
            assert await _clients(one) == {
                "b1": {
                    "ip": "203.0.113.0", "country": "DK", "user_agent": CHROME, "browser": "Chrome", "os": "Linux",
                    "device": "desktop", "locale": "da",
                },
            }  # fmt: skip
            for lie in ("198.51.100", "Lies/1", PERSON):
                assert lie not in await _everything(one)

    asyncio.run(scenario())


def test_a_server_states_of_the_person_and_its_own_request_says_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(settings_with(tmp_path)) as one:
            messages = [track("s1", ip=SOMEBODY, userAgent=PHONE), track("s2")]
            headers = {"x-forwarded-for": PERSON, "user-agent": "python-requests/2.32"}
            await _send(one, "/v1/batch", {"writeKey": SERVER_KEY, "batch": messages}, headers)
            # A server may use the browser's key, where it says that it is one.
            rudder = track("s3") | {"channel": "server"}
            await _send(one, "/v1/batch", {"writeKey": BROWSER_KEY, "batch": [rudder]}, headers)
            clients = await _clients(one)
            assert clients["s2"] == clients["s3"] == {}
            assert PERSON not in await _everything(one)
            assert clients["s1"] == {
                "ip": "203.0.113.0", "country": "SE", "user_agent": PHONE, "browser": "Mobile Safari", "os": "iOS",
                "device": "mobile",
            }  # fmt: skip

    asyncio.run(scenario())


def test_bots_are_annotated_with_a_reason_and_filtered_where_the_source_says_so(tmp_path: Path) -> None:
    agents = {"crawler": GOOGLEBOT, "headless": CHROME.replace("Chrome/", "HeadlessChrome/"), "script": "curl/8.11.0",
              "none": "", "person": CHROME}  # fmt: skip

    async def scenario(bots: str, folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        async with running(settings_with(folder, bots=bots)) as one:
            for name, agent in agents.items():
                messages = [track(name), {"type": "track", "event": "X", "messageId": f"bad-{name}", "properties": 1}]
                await _send(one, "/v1/batch", {"writeKey": BROWSER_KEY, "batch": messages}, browser(agent))
            # A server tells of a crawler, and a server that is a script itself tells of a person and of nobody.
            headers = {"user-agent": "curl/8.11.0"}
            told = [track("told", userAgent=GOOGLEBOT), track("told-person", userAgent=PHONE), track("untold")]
            await _send(one, "/v1/batch", {"writeKey": SERVER_KEY, "batch": told}, headers)
            bot_of = {name: client.get("bot") for name, client in (await _clients(one)).items()}
            return bot_of, await one.stored("rejected.v1")

    bots = {"crawler": "Googlebot", "headless": "Headless", "script": "curl", "none": "no user agent"}
    people = dict.fromkeys(("person", "told-person", "untold"))
    kept, _ = asyncio.run(scenario("keep", tmp_path / "keep"))
    assert kept == {**bots, **people, "told": "Googlebot"}
    left, outcomes = asyncio.run(scenario("filter", tmp_path / "filter"))
    assert left == people
    assert {one["id"] for one in outcomes if one["reason"] == "bot"} == {*bots, "told"}
    assert {one["id"] for one in outcomes if "event" in one} == {"bad-person"}


def test_a_refused_event_is_kept_with_no_more_of_an_address_than_others(tmp_path: Path) -> None:
    stated = {"ip": SOMEBODY, "traits": {"ip_address": "2001:db8:1:2::3"}}

    async def scenario(policy: str, folder: Path) -> str:
        async with running(settings_with(folder, ip=policy)) as one:
            for key, headers in ((SERVER_KEY, {"x-forwarded-for": PERSON}), (BROWSER_KEY, browser())):
                bad = track(f"bad-{key}", **stated) | {"properties": 7, "writeKey": key}
                body = {"writeKey": key, "batch": [bad], "context": {"traits": {"$ip": SOMEBODY}}}
                await _send(one, "/v1/batch", body, headers)
            outcomes = await one.stored("rejected.v1")
            assert [outcome["event"]["messageId"] for outcome in outcomes] == [
                f"bad-{SERVER_KEY}",
                f"bad-{BROWSER_KEY}",
            ]
            assert [outcome["event"]["writeKey"] for outcome in outcomes] == ["***", BROWSER_KEY]
            return orjson.dumps([{**outcome, "id": ""} for outcome in outcomes]).decode()

    for policy, kept in (("truncate", ("203.0.113.0", "2001:db8:1::")), ("drop", ()), ("keep", (SOMEBODY, PERSON))):
        text = asyncio.run(scenario(policy, tmp_path / policy))
        assert all(f'"{address}"' in text for address in kept)
        if policy != "keep":
            assert not any(address in text for address in (SOMEBODY, PERSON, "2001:db8:1:2::3"))


def test_no_country_of_who_asks_not_to_be_found(tmp_path: Path) -> None:
    def posthog(event_id: str, **properties: Any) -> dict[str, Any]:
        given = {"distinct_id": "d", "$lib": "web", "token": BROWSER_KEY} | properties
        return {"event": "X", "uuid": event_id, "properties": given}

    placeless = posthog("01a20844-6403-7b01-8000-000000000002", **{"$geoip_disable": True})
    cookieless = posthog("01a20844-6403-7b01-8000-000000000003", **{"$cookieless_mode": True})

    async def scenario() -> dict[str, dict[str, Any]]:
        async with running(settings_with(tmp_path)) as one:
            for event in (posthog("01a20844-6403-7b01-8000-000000000001"), placeless, cookieless):
                await _send(one, "/e/", {"api_key": BROWSER_KEY, "batch": [event]}, browser())
            hidden = posthog("01a20844-6403-7b01-8000-000000000004")
            await _send(one, "/e/?ip=0", {"api_key": BROWSER_KEY, "batch": [hidden]}, browser())
            return {client_id[-1]: client for client_id, client in (await _clients(one)).items()}

    clients = asyncio.run(scenario())
    assert {name: client.get("country") for name, client in clients.items()} == {
        "1": "DK", "2": None, "3": None, "4": None,
    }  # fmt: skip
    assert {name: client.get("ip") for name, client in clients.items()} == {
        "1": "203.0.113.0", "2": "203.0.113.0", "3": "203.0.113.0", "4": None,
    }  # fmt: skip


def test_without_a_database_there_is_no_country(tmp_path: Path) -> None:
    async def scenario() -> dict[str, dict[str, Any]]:
        async with running(settings_with(tmp_path, geo=False, ip="keep")) as one:
            await _send(one, "/v1/batch", {"writeKey": BROWSER_KEY, "batch": [track("b1")]}, browser())
            return await _clients(one)

    client = asyncio.run(scenario())["b1"]
    assert client["ip"] == PERSON
    assert "country" not in client


def test_where_addresses_are_dropped_countries_are_still_known(tmp_path: Path) -> None:
    async def scenario() -> dict[str, dict[str, Any]]:
        async with running(settings_with(tmp_path, ip="drop")) as one:
            await _send(one, "/v1/batch", {"writeKey": BROWSER_KEY, "batch": [track("b1")]}, browser())
            return await _clients(one)

    client = asyncio.run(scenario())["b1"]
    assert client["country"] == "DK"
    assert "ip" not in client


def test_jitsus_header_asks_for_less_of_the_address(tmp_path: Path) -> None:
    async def scenario(ip: str, folder: Path) -> dict[str, dict[str, Any]]:
        async with running(settings_with(folder, ip=ip)) as one:
            for policy in ("keep", "stripLastOctet", "remove"):
                message = {"type": "track", "event": "X", "messageId": policy}
                headers = browser(x_write_key=BROWSER_KEY, x_ip_policy=policy)
                await _send(one, "/api/s/track", message, headers)
            return {
                event_id: {name: client[name] for name in ("ip", "country") if name in client}
                for event_id, client in (await _clients(one)).items()
            }

    removed: dict[str, str] = {}
    cut = {"ip": "203.0.113.0", "country": "DK"}
    found = asyncio.run(scenario("keep", tmp_path / "keep"))
    assert found == {"keep": {"ip": PERSON, "country": "DK"}, "stripLastOctet": cut, "remove": removed}
    # It never asks for more than the source keeps.
    found = asyncio.run(scenario("truncate", tmp_path / "truncate"))
    assert found == {"keep": cut, "stripLastOctet": cut, "remove": removed}


def test_snowplows_header_asks_for_nothing_at_all(tmp_path: Path) -> None:
    schema = "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4"

    async def scenario() -> dict[str, dict[str, Any]]:
        async with running(settings_with(tmp_path, ip="keep")) as one:
            for number, more in ((1, {}), (2, {"sp_anonymous": "*"})):
                event = {"e": "pv", "p": "web", "tv": "js-4.10.1", "aid": BROWSER_KEY, "duid": f"d-{number}",
                         "eid": f"b153a132-0000-4000-8000-00000000000{number}", "url": f"{ORIGIN}/"}  # fmt: skip
                body = {"schema": schema, "data": [event]}
                answer = await one.post("/com.snowplowanalytics.snowplow/tp2", body, browser(**more))
                assert answer.status_code == 200, answer.text
                assert ("set-cookie" in answer.headers) is (number == 1)
            return {event_id[-1]: client for event_id, client in (await _clients(one)).items()}

    clients = asyncio.run(scenario())
    assert {name: (client.get("ip"), client.get("country")) for name, client in clients.items()} == {
        "1": (PERSON, "DK"), "2": (None, None),
    }  # fmt: skip
