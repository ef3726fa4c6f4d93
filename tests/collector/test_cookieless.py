"""Plausible's and Umami's events, as their trackers put them on the wire: without ids, times, cookies or visitors."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from collector.decode import BadBody
from collector.identity import visitor_of_day
from collector.intake import intake
from collector.sent import Parsed, Refused, Sent
from collector.settings import Source
from eventlog.event import EVENT
from eventlog.timestamps import DAY_MS
from tests.collector.parsing import parsed_of
from tests.collector.running import ORIGIN, SERVER_KEY, running, settings_in
from tests.collector.test_canonical import context, values
from tests.collector.test_replay import REPLAY, outcome_of
from tests.collector.test_replay import context as replay_context

PLAUSIBLE, UMAMI = "/api/event", "/api/send"
SITE = "0b8d0a2e-6a4e-4d43-9a25-3f5a3e1c8f10"
CHROME = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0"}
LINES = [{"product_id": "S-1", "price": 9.9, "quantity": 2}]


def sent_of(path: str, body: Any, headers: dict[bytes, bytes] | None = None) -> tuple[Sent, Parsed]:
    parsed = parsed_of(path, orjson.dumps(body), headers=headers)
    (sent,) = parsed.events
    assert isinstance(sent, Sent), sent
    return sent, parsed


def test_plausibles_page_view() -> None:
    body = {"n": "pageview", "v": 36, "u": "https://shop.example/a?utm_source=news", "d": "shop.example,all", "r": None}
    sent, parsed = sent_of(PLAUSIBLE, body)
    assert (sent.event["name"], sent.event["kind"]) == ("pageview", "page")
    assert sent.event["page"] == {"url": "https://shop.example/a?utm_source=news"}
    assert parsed.write_keys == ("shop.example", "all")
    assert parsed.is_cookieless
    assert parsed.fingerprint


@pytest.mark.parametrize("packed", [False, True])
def test_plausibles_purchase_has_its_revenue_and_lines(packed: bool) -> None:
    props: Any = {"order_id": "A-1", "products": LINES}
    body = {
        "n": "Purchase", "d": "shop.example", "p": orjson.dumps(props).decode() if packed else props,
        "$": {"amount": 19.8, "currency": "CHF"},
    }  # fmt: skip
    (receipt,) = intake(parsed_of(PLAUSIBLE, orjson.dumps(body)), context(False, "plausible")).receipts
    event = orjson.loads(receipt.record.value or b"")
    assert event["name"] == "buy"
    assert event["order"] == {"order_id": "A-1", "total": "19.8", "currency": "CHF"}
    assert event["items"] == [{"product_id": "S-1", "price": "9.9", "quantity": 2, "currency": "CHF"}]


def test_plausibles_engagement_tells_what_was_seen() -> None:
    sent, _ = sent_of(PLAUSIBLE, {"n": "engagement", "sd": 100, "e": 820, "u": "https://x.example/", "d": "x.example"})
    assert (sent.event["name"], sent.event["properties"]) == ("engagement", {"scroll_depth": 100, "engagement_ms": 820})


def umami(type: str = "event", **payload: Any) -> dict[str, Any]:
    return {"type": type, "payload": {"website": SITE, "hostname": "shop.example", **payload}}


def test_umamis_page_view_has_its_whole_address() -> None:
    body = umami(url="/zelte?p=2", title="Zelte%20f%C3%BCr", language="de-CH", screen="1280x720", referrer="")
    sent, parsed = sent_of(UMAMI, body)
    event = sent.event
    assert (event["name"], event["kind"]) == ("pageview", "page")
    assert event["page"] == {"url": "https://shop.example/zelte?p=2", "title": "Zelte für"}
    assert event["client"] == {"screen": "1280x720", "locale": "de-CH"}
    assert parsed.write_keys == (SITE,)
    sent, _ = sent_of(UMAMI, body, {b"origin": b"http://shop.example:8080"})
    assert sent.event["page"]["url"] == "http://shop.example:8080/zelte?p=2"
    sent, _ = sent_of(UMAMI, body, {b"origin": b"http://other.example"})
    assert sent.event["page"]["url"] == "https://shop.example/zelte?p=2"
    sent, _ = sent_of(UMAMI, umami(title="100%", url="x"))
    assert sent.event["page"] == {"url": "https://shop.example/x", "title": "100%"}


def test_umamis_events_and_persons() -> None:
    sent, _ = sent_of(UMAMI, umami(name="Gelesen 📚", data={"n": 1}))
    assert (sent.event["name"], sent.event["properties"]) == ("Gelesen 📚", {"n": 1})
    sent, _ = sent_of(UMAMI, umami("identify", data={"userId": 4711, "email": "ada@example.com"}))
    assert (sent.event["kind"], sent.event["user_id"], sent.email) == ("identify", "4711", "ada@example.com")
    assert sent.event["traits"] == {"userId": 4711, "email": "ada@example.com"}


def test_umamis_later_trackers_name_the_person_with_each_event() -> None:
    sent, _ = sent_of(UMAMI, umami("identify", id="4711", data={"plan": "pro", "userId": "other"}))
    assert (sent.event["user_id"], sent.event["traits"]) == ("4711", {"plan": "pro", "userId": "other"})
    sent, _ = sent_of(UMAMI, umami("identify", id="4711"))
    assert (sent.event["kind"], sent.event["user_id"], "traits" in sent.event) == ("identify", "4711", False)
    sent, _ = sent_of(UMAMI, umami(id="4711", name="Read", data={"userId": "a property"}))
    assert (sent.event["user_id"], sent.event["properties"]) == ("4711", {"userId": "a property"})
    for blank in ("", " ", None, True, [1]):
        sent, _ = sent_of(UMAMI, umami("identify", id=blank, data={"userId": "4712"}))
        assert sent.event["user_id"] == "4712"
    sent, _ = sent_of(UMAMI, umami(name="Read", data={"userId": "a property"}))
    assert "user_id" not in sent.event


def test_what_umami_measures_of_a_page_is_no_view_of_it() -> None:
    sent, _ = sent_of(UMAMI, umami("performance", url="/", lcp=812.5, cls=0))
    assert (sent.event["name"], sent.event["kind"]) == ("performance", "track")
    assert sent.event["properties"] == {"lcp": 812.5, "cls": 0}
    sent, _ = sent_of(UMAMI, umami("engagement", url="/", engagement=4200))
    assert (sent.event["name"], sent.event["properties"]) == ("engagement", {"engagement": 4200})


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        (PLAUSIBLE, {"d": "x"}, "n"),
        (PLAUSIBLE, {"n": "x", "p": "{"}, "p"),
        (PLAUSIBLE, {"n": "x", "p": [1]}, "p"),
        (UMAMI, {"type": "event"}, "payload"),
        (UMAMI, umami("error", url="/"), "type"),
        (UMAMI, umami(name="x", data=[1]), "payload.data"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(path: str, body: Any, where: str) -> None:
    (refused,) = parsed_of(path, orjson.dumps(body)).events
    assert isinstance(refused, Refused)
    assert refused.error.path == where


def test_a_refused_event_is_replayed_with_its_visitor() -> None:
    parsed = parsed_of(
        UMAMI, orjson.dumps(umami(name="x", data=[1], url="/a")), headers={b"origin": b"http://shop.example"}
    )
    (receipt,) = intake(parsed, replay_context("umami", cookie_id="day-1", gpc=False)).receipts
    outcome = outcome_of(receipt)
    mended = umami(name="x", data={"n": 1}, url="/a")
    again = REPLAY.again(mended, outcome, "1/2")
    assert again.record is not None
    event = orjson.loads(again.record.value or b"")
    assert (event["anonymous_id"], event["page"]["url"]) == ("day-1", "http://shop.example/a")


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from((PLAUSIBLE, UMAMI)),
    st.dictionaries(st.sampled_from(("n", "p", "u", "r", "d", "$", "sd", "type", "payload")), values, max_size=6),
    st.dictionaries(st.sampled_from(("name", "data", "url", "title", "hostname", "id", "lcp", "website")), values),
    st.sampled_from(("event", "identify", "performance", "engagement")),
)
def test_whatever_is_sent_is_an_event_or_refused(
    path: str, body: dict[str, Any], payload: dict[str, Any], type: str
) -> None:
    for one in (body, body | {"n": "Purchase", "payload": payload, "type": type}):
        try:
            parsed = parsed_of(path, orjson.dumps(one), headers={b"origin": b"http://[x"})
        except (BadBody, TypeError):
            continue
        for receipt in intake(parsed, context(False, parsed.protocol)).receipts:
            if receipt.status == "accepted":
                EVENT.validate_json(receipt.record.value or b"")


def test_a_visitor_is_one_for_a_day() -> None:
    who, secret = ("shop", "192.0.2.1", "agent"), b"s"
    first = visitor_of_day(who, 5 * DAY_MS, secret)
    assert visitor_of_day(who, 6 * DAY_MS - 1, secret) == first
    others = {
        visitor_of_day(who, 6 * DAY_MS, secret),
        visitor_of_day(("blog", *who[1:]), 5 * DAY_MS, secret),
        visitor_of_day(("shop", "192.0.2.2", "agent"), 5 * DAY_MS, secret),
        visitor_of_day(("shop", "192.0.2.1", "other"), 5 * DAY_MS, secret),
        visitor_of_day(who, 5 * DAY_MS, b"t"),
    }
    assert len(others | {first}) == 6


def test_no_cookie_is_read_or_set_and_a_repeated_request_counts_once(tmp_path: Path) -> None:
    source = Source(
        browser_key="wk_shop", origins=[ORIGIN], server_key=SecretStr(SERVER_KEY), aliases=["shop.example", SITE]
    )
    bodies = (
        (PLAUSIBLE, {"n": "Signup", "u": f"{ORIGIN}/", "d": "shop.example"}, b"ok"),
        (UMAMI, umami(name="Signup", url="/"), b'{"cache":"trackway"}'),
    )

    async def scenario() -> None:
        async with running(settings_in(tmp_path, sources={"shop": source})) as collector:
            headers = CHROME | {"origin": ORIGIN, "cookie": "tw_id=a-1.1"}
            for path, body, told in bodies:
                for _ in range(2):
                    answer = await collector.post(path, body, headers)
                    assert (answer.status_code, answer.content) == (200, told)
                    assert "set-cookie" not in answer.headers
            events = await collector.stored()
            assert sorted(event["protocol"] for event in events) == ["plausible", "umami"]
            (visitor,) = {event["anonymous_id"] for event in events}
            assert visitor.startswith("day-")
            assert {event["client"]["ip"] for event in events} == {"127.0.0.0"}
            unknown = await collector.post(PLAUSIBLE, {"n": "x", "d": "other.example"}, CHROME)
            assert (unknown.status_code, unknown.json()["code"]) == (401, "unknown_key")

    asyncio.run(scenario())
