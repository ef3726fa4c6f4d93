"""Calls of Raptor's script in the tracker's batches: the facts that Raptor's own pixel would have carried."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from collector.intake import intake
from collector.replay import Replay, kept_event
from collector.settings import CollectorSettings, Source
from eventlog.event import EVENT
from tests.collector.parsing import parsed_of
from tests.collector.running import BROWSER_KEY, ORIGIN, Running, running, settings_in
from tests.collector.test_canonical import scalars, values
from tests.collector.test_replay import context, outcome_of

RSA, SID = "6B29FC40-CA47-1067-B31D-00DD010662DA", "0F8FAD5B-D9CB-469F-A165-70867728950E"
GRANTED: Final = {"consent": {"categoryPreferences": {"analytics": True}}}
MAIL: Final = base64.b64encode(b"ada@example.com").decode()
# What a pixel and a call have in common: everything but the request's and the tracker's own.
FACTS: Final = (
    "name", "kind", "user_id", "identifiers", "properties", "items", "order", "basket", "favorites", "content",
    "search",
)  # fmt: skip
POSITIONS: Final = {"search": {"p2": "query", "p6": "results"}, "buy": {"p40": "order_id"}}
SETTINGS: Final = CollectorSettings(
    secret=SecretStr("for-tests"),
    sources={"shop": Source(browser_key=BROWSER_KEY, origins=[ORIGIN])},
    raptor={"positions": POSITIONS},
)

texts = st.sampled_from(
    ("S-1", "Zelt Ærø", "12", "9.90", "-3", "true", "a:2;b:1", "a,b", "", "null", "cheap", "1#Zelte;2#Klein")
)  # fmt: skip
events = st.sampled_from(
    ("visit", "basket", "buy", "favorite", "contentvisit", "search", "searchclick", "itemclick", "newsletterclick",
     "Visit", "setuser", "pageview"),
)  # fmt: skip
numbered = st.dictionaries(st.integers(2, 45).map(lambda at: f"p{at}"), texts, max_size=8)


def call(params: Any, event: str = "trackEvent", **more: Any) -> dict[str, Any]:
    around: dict[str, Any] = {"type": "raptor", "messageId": "page-1", "anonymousId": "v-1", "context": GRANTED}
    options = {"options": more.pop("options")} if "options" in more else {}
    return around | {"properties": {"event": event, "params": params, **options}} | more


def event_of(receipt: Any) -> dict[str, Any]:
    made: dict[str, Any] = orjson.loads(receipt.record.value or b"")
    assert receipt.status == "accepted", made
    EVENT.validate_python(made)
    return made


def taken(*messages: Any, **body: Any) -> list[Any]:
    parsed = parsed_of("/tw/e", json.dumps({"batch": messages} | body).encode(), settings=SETTINGS)
    return intake(parsed, context(cookie_id=None, gpc=False)).receipts


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(events, numbered, st.sampled_from(("", "Similar")))
def test_a_call_has_the_facts_of_the_pixel(event: str, params: dict[str, str], module: str) -> None:
    query = {"p1": event, **params} | ({"am": module} if module else {})
    pixel = parsed_of("/12345.rsa", method="GET", query=urlencode(query).encode(), settings=SETTINGS)
    (original,) = intake(pixel, context("raptor", required_consent=False, cookie_id=None, gpc=False)).receipts
    options = {"moduleName": module} if module else {}
    (receipt,) = taken(call({"p1": event, **params}, options=options))
    if original.status == "rejected":
        assert (receipt.status, receipt.reason) == ("rejected", original.reason)
        assert receipt.path == f"batch[0].{original.path}"
        return
    ours, theirs = event_of(receipt), event_of(original)
    assert {name: ours.get(name) for name in FACTS} == {name: theirs.get(name) for name in FACTS}
    is_line = theirs["id"].startswith(("buy-", "return-"))
    assert ours["id"] == (theirs["id"] if is_line else "page-1")


def test_what_the_tracker_knows_stands_beside_it() -> None:
    shared = GRANTED | {
        "library": {"name": "trackway.js", "version": "1"}, "locale": "nb-NO", "sessionId": "s-1",
        "page": {"url": "https://shop.example/zelte?utm_source=news", "title": "Zelte"},
    }  # fmt: skip
    message = call(
        {"p1": "visit", "p2": "S-1", "p12": "9.90"}, timestamp="2026-11-23T11:00:00.000Z", userId="u-1",
        seq=4, context={"page": {"url": "https://shop.example/s-1", "view_id": "page.2"}},
    )  # fmt: skip
    event = event_of(*taken(message, context=shared, sentAt="2026-11-23T11:00:01.000Z"))
    assert (event["protocol"], event["channel"], event["user_id"]) == ("trackway", "web", "u-1")
    assert (event["anonymous_id"], event["client_session_id"]) == ("v-1", "s-1")
    assert (event["page"]["url"], event["page"]["view_id"]) == ("https://shop.example/s-1", "page.2")
    assert (event["client"]["seq"], event["client"]["locale"]) == (4, "nb-NO")
    assert event["library"] == {"name": "trackway.js", "version": "1"}
    assert event["items"] == [{"product_id": "S-1", "price": "9.90"}]
    assert event["consent"]["analytics"] is True
    assert event["client_time"] == "2026-11-23T11:00:00.000Z"


@pytest.mark.parametrize(
    ("properties", "wanted"),
    [
        ({"event": "setRuid", "params": MAIL}, ("identify", None, {"email": "ada@example.com"})),
        ({"event": "setruid", "params": "r-1"}, ("identify", None, {"ruid": "r-1"})),
        ({"event": "setEmailMarketingId", "params": MAIL}, ("identify", None, {"email": "ada@example.com"})),
        ({"event": "setUser", "params": 4711}, ("identify", "4711", None)),
        ({"event": "trackevent", "params": {"p1": "visit", "p7": "u-2", "p2": "S"}}, ("visit", "u-2", None)),
        ({"event": "visit", "params": {"p2": "S", "reaid": "e-1"}}, ("visit", "u-1", {"reaid": "e-1"})),
        ({"event": "trackevent", "params": ["visit", "S", None, None, None, None, "u-3"]}, ("visit", "u-3", None)),
        ({"p1": "visit", "p2": "S", "p7": "u-4"}, ("visit", "u-4", None)),
        ({"event": "trackEvent", "params": {"p1": "newsletterclick"}}, ("newsletterclick", "u-1", None)),
    ],
)
def test_who_is_meant(properties: dict[str, Any], wanted: tuple[str, str | None, Any]) -> None:
    identified = {"userId": "u-1"} if wanted[1] == "u-1" else {}
    event = event_of(*taken(call(None) | {"properties": properties} | identified))
    assert (event["name"], event.get("user_id"), event.get("identifiers")) == wanted


def test_a_line_of_an_order_is_the_same_from_call_and_pixel_and_counts_once(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        buy = {"p1": "buy", "p2": "S-1", "p12": "9.90", "p13": "2", "p21": "A-1"}
        for number in (1, 2):
            await send(collector, call(buy, messageId=f"page-{number}"), call(buy | {"p2": "T"}))
        await collector.http.get("/12345.rsa", params=buy, headers={"referer": f"{ORIGIN}/"})
        bought = [event["items"][0]["product_id"] for event in await collector.stored() if event["name"] == "buy"]
        assert sorted(bought) == ["S-1", "T"]

    serve(tmp_path, scenario)


def test_a_refused_call_is_kept_under_its_names_repaired_and_replayed() -> None:
    replay = Replay(SETTINGS)
    right, wrong = ({"p1": "visit", "p2": "S-1", "p12": price} for price in ("9.90", "cheap"))
    shared = {"context": GRANTED | {"locale": "nb-NO", "sessionId": "s"}, "sentAt": "2026-11-23T11:56:50Z"}
    (receipt,) = taken(call(wrong), **shared)
    assert (receipt.status, receipt.path) == ("rejected", "batch[0].properties.price")
    outcome = outcome_of(receipt)
    event = kept_event(outcome)
    assert event["properties"] == {"product_id": "S-1", "price": "cheap"}
    assert replay.again(event, outcome, "2/7").reason == receipt.reason
    event["properties"]["price"] = "9.90"
    made = replay.again(event, outcome, "2/7")
    assert made.record is not None
    (wanted,) = taken(call(right), **shared)
    assert orjson.loads(made.record.value or b"") == event_of(wanted)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(
        st.sampled_from(("event", "params", "options", "p1", "p2", "p12", "coid", "sid", "ruid", "v", "url")),
        values | scalars | numbered,
        max_size=6,
    )
    | values,
    st.dictionaries(
        st.sampled_from(("anonymousId", "userId", "messageId", "timestamp", "context")), values, max_size=4
    ),
)
def test_whatever_is_called_is_a_canonical_event_or_refused(properties: Any, around: dict[str, Any]) -> None:
    replay = Replay(SETTINGS)
    (receipt,) = taken({"type": "raptor", "properties": properties, **around}, context=GRANTED)
    if receipt.status == "accepted":
        event_of(receipt)
    elif receipt.status == "rejected" and "event" in (outcome := outcome_of(receipt)):
        again = replay.again(kept_event(outcome), outcome, "2/7")
        assert (again.status, again.reason) == ("rejected", receipt.reason)


def serve(folder: Path, scenario: Callable[[Running], Awaitable[None]], **changes: Any) -> None:
    source = Source(browser_key=BROWSER_KEY, origins=[ORIGIN], aliases=["12345"], consent="implied")

    async def serving() -> None:
        async with running(settings_in(folder, sources={"shop": source}, **changes)) as collector:
            await scenario(collector)

    asyncio.run(serving())


async def send(collector: Running, *messages: Mapping[str, Any], cookie: str = "") -> dict[str, tuple[str, str]]:
    """The cookies of the answer: value and lifetime."""
    collector.http.cookies.clear()
    headers = {"origin": ORIGIN} | ({"cookie": cookie} if cookie else {})
    answer = await collector.post("/tw/e", {"writeKey": BROWSER_KEY, "batch": list(messages)}, headers)
    assert {one["status"] for one in answer.json()["receipts"]} <= {"accepted", "duplicate"}, answer.text
    lines = answer.headers.get_list("set-cookie")
    return {name: (one.value, one["max-age"]) for line in lines for name, one in SimpleCookie(line).items()}


VISIT: Final = {"p1": "visit", "p2": "S-1"}
COOKIES: Final = {"raptor": {"cookies": True}}


def test_raptors_cookies_are_kept_where_the_site_runs_them(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        first = await send(collector, call(VISIT))
        assert set(first) == {"tw_id", "rsa", "rsaSession"}
        assert (first["rsa"], first["rsaSession"][1]) == (("v-1", str(365 * 86_400)), "1296")
        cookie = "; ".join(f"{name}={value}" for name, (value, _) in first.items())
        again = await send(collector, call(VISIT, messageId="2"), cookie=cookie)
        assert again == {name: first[name] for name in ("rsa", "rsaSession")}
        # Only calls renew them.
        assert await send(collector, {"type": "page", "anonymousId": "v-1"}, cookie=cookie) == {}
        said = await send(collector, call(MAIL, "setRuid", messageId="3"), cookie=cookie)
        assert said["rsaRuid"] == (MAIL, str(365 * 86_400))
        later = await send(collector, call(VISIT, messageId="4"), cookie=f"{cookie}; rsaRuid={MAIL}")
        assert "rsaRuid" not in later
        *_, last = await collector.stored()
        assert last["identifiers"] == {"email": "ada@example.com"}
        assert last["client_session_id"] == first["rsaSession"][0].lower()
        # Who is named by the page is not joined to the last one's mail.
        await send(collector, call(VISIT, messageId="5", userId="u-2"), cookie=f"{cookie}; rsaRuid={MAIL}")
        *_, named = await collector.stored()
        assert (named["user_id"], "identifiers" in named) == ("u-2", False)

    serve(tmp_path, scenario, **COOKIES)


@pytest.mark.parametrize("name", ["rsa", "12345rsa"])
def test_who_came_before_by_raptors_script_is_the_same_visitor(name: str, tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        page = {"type": "page", "anonymousId": "proposed", "messageId": "p"}
        first = await send(collector, page, cookie=f"{name}={RSA}; rsaSession={SID}")
        assert set(first) == {"tw_id"}
        assert first["tw_id"][0].startswith(RSA.lower() + ".")
        cookie = f"tw_id={first['tw_id'][0]}; {name}={RSA}; rsaSession={SID}"
        second = await send(collector, call(VISIT), cookie=cookie)
        assert {one: value for one, (value, _) in second.items()} == {"rsa": RSA, "rsaSession": SID}
        assert {event["anonymous_id"] for event in await collector.stored()} == {RSA.lower()}

    serve(tmp_path, scenario, **COOKIES)


def test_after_a_reset_the_browser_is_somebody_elses(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        held = f"tw_id=v-1.1; rsa={RSA}; 12345rsa={RSA}; rsaSession={SID}; rsaRuid={MAIL}"
        reset = {"type": "track", "event": "reset", "anonymousId": "v-1", "messageId": "r"}
        gone = await send(collector, reset, cookie=held)
        assert gone == dict.fromkeys(("tw_id", "rsa", "12345rsa", "rsaSession", "rsaRuid"), ("", "0"))
        # What follows in the same batch is the new visitor's, whom the next call's cookies name.
        both = await send(
            collector, reset | {"messageId": "r2"}, call(VISIT, anonymousId="v-2", messageId="2"), cookie=held
        )
        assert both["tw_id"][0].startswith("v-2.")
        assert {name for name, kept in both.items() if kept == ("", "0")} == set(gone) - {"tw_id"}
        after = await send(collector, call(VISIT, messageId="3"), cookie=f"tw_id={both['tw_id'][0]}")
        assert after["rsa"][0] == "v-2"
        ids = {event["id"]: event["anonymous_id"] for event in await collector.stored()}
        assert ids == {"r": "v-1", "r2": "v-1", "2": "v-2", "3": "v-2"}
        assert not any("identifiers" in event for event in await collector.stored())

    serve(tmp_path, scenario, **COOKIES)


def test_else_they_are_neither_read_nor_set(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        assert set(await send(collector, call(VISIT), cookie=f"rsa={RSA}; rsaRuid={MAIL}")) == {"tw_id"}
        (event,) = await collector.stored()
        assert (event["anonymous_id"], "identifiers" in event) == ("v-1", False)

    serve(tmp_path, scenario)
