"""What becomes of what is posted: over real HTTP, into a real log."""

from __future__ import annotations

import asyncio
import gzip
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from collector.settings import Limits, Source
from eventlog.event import EVENT
from eventlog.outcome import OUTCOME
from tests.collector.running import BROWSER_KEY, ORIGIN, SERVER_KEY, running, settings_in

TRACK = {"type": "track", "event": "Signed Up", "userId": "4711"}


def test_a_batch_becomes_canonical_events_with_a_receipt_each(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(settings_in(tmp_path)) as collector:
            receipts = await collector.batch(
                {"type": "identify", "messageId": "1", "userId": 4711,
                 "traits": {"email": "Ada@Example.com ", "plan": None}},
                {
                    "type": "track", "messageId": "2", "event": "Order Completed", "userId": "4711",
                    "anonymousId": "a-1",
                    "timestamp": "2026-11-20T10:00:00.5+01:00",
                    "properties": {
                        "order_id": 1001, "total": 19.99, "currency": "EUR",
                        "products": [{"product_id": "S1", "price": "9.90", "quantity": "2",
                                      "category": "25#Shoes;402#Running"}],
                    },
                },
                {"type": "page", "messageId": "3", "anonymousId": "a-1", "name": "Home",
                 "properties": {"url": "https://shop.example/?utm_source=news&email=ada@example.com"}},
                {"type": "alias", "messageId": "4", "userId": "4711", "previousId": "a-1"},
            )  # fmt: skip
            assert [(one["id"], one["status"]) for one in receipts] == [(str(n), "accepted") for n in range(1, 5)]
            events = {event["id"]: event for event in await collector.stored()}
            for event in events.values():
                assert EVENT.validate_python(event) == {
                    **event,
                    **({"items": _pairs(event)} if "items" in event else {}),
                }
                assert (event["source"], event["channel"], event["protocol"]) == ("shop", "server", "segment")
            assert events["1"]["identifiers"] == {"email": "ada@example.com"}
            assert events["1"]["traits"] == {"email": "Ada@Example.com ", "plan": None}
            buy = events["2"]
            assert (buy["name"], buy["occurred_at"], buy["time_source"]) == ("buy", "2026-11-20T09:00:00.500Z", "exact")
            assert buy["order"] == {"order_id": "1001", "total": "19.99", "currency": "EUR"}
            assert buy["items"] == [
                {"product_id": "S1", "price": "9.90", "quantity": 2, "currency": "EUR",
                 "category_path": [["25", "Shoes"], ["402", "Running"]]}
            ]  # fmt: skip
            assert events["3"]["name"] == "pageview"
            assert events["3"]["page"] == {"url": "https://shop.example/?utm_source=news&email=***", "path": "/"}
            assert events["3"]["campaign"] == {"source": "news"}
            assert (events["4"]["kind"], events["4"]["previous_id"]) == ("alias", "a-1")

    asyncio.run(scenario())


def _pairs(event: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {**item, "category_path": [tuple(pair) for pair in item["category_path"]]} if "category_path" in item else item
        for item in event["items"]
    ]


@pytest.mark.parametrize(
    ("message", "reason", "path"),
    [
        (7, "not_an_object", "batch[1]"),
        ({"type": "track"}, "missing_field", "batch[1].event"),
        ({"event": "x"}, "missing_field", "batch[1].type"),
        ({"type": "click", "event": "x"}, "unknown_type", "batch[1].type"),
        ({"type": "track", "event": "x", "userId": ["a"]}, "wrong_type", "batch[1].userId"),
        ({"type": "track", "event": "x", "messageId": "i" * 257}, "too_long", "batch[1].messageId"),
        (
            {"type": "track", "event": "Product Viewed", "properties": {"product_id": "S", "price": "cheap"}},
            "wrong_type",
            "batch[1].properties.price",
        ),
        (
            {
                "type": "track",
                "event": "Order Completed",
                "properties": {"products": [{"sku": "S"}, {"sku": "T", "price": []}]},
            },
            "wrong_type",
            "batch[1].properties.products[1].price",
        ),
    ],
)
def test_a_bad_event_is_refused_alone_with_reason_and_path(
    tmp_path: Path, message: Any, reason: str, path: str
) -> None:
    async def scenario() -> None:
        async with running(settings_in(tmp_path)) as collector:
            receipts = await collector.batch(TRACK, message, TRACK)
            assert [receipt["status"] for receipt in receipts] == ["accepted", "rejected", "accepted"]
            assert (receipts[1]["reason"], receipts[1]["path"]) == (reason, path)
            assert len(await collector.stored()) == 2
            (outcome,) = await collector.stored("rejected.v1")
            assert OUTCOME.validate_python(outcome)
            assert (outcome["reason"], outcome["path"], outcome["source"]) == (reason, path, "shop")

    asyncio.run(scenario())


def test_numbers_and_texts_json_parsers_fight_over_lose_no_neighbour(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(settings_in(tmp_path)) as collector:
            body = (
                b'{"writeKey":"sk_shop","batch":['
                b'{"type":"track","event":"a","userId":"u","properties":{"n":NaN}},'
                b'{"type":"track","event":"b","userId":"u","properties":{"n":1e400}},'
                b'{"type":"track","event":"c","userId":"u","properties":{"n":123456789012345678901234567890}},'
                b'{"type":"track","event":"d","userId":"u","properties":{"n":9007199254740993}},'
                b'{"type":"track","event":"e","userId":"u","properties":{"n":"\\ud83d x \\ud83d\\ude00"}}]}'
            )
            receipts = (await collector.post("/v1/batch", body)).json()["receipts"]
            assert [one["status"] for one in receipts] == ["rejected"] * 2 + ["accepted"] * 3
            assert [one["path"] for one in receipts[:2]] == ["batch[0].properties.n", "batch[1].properties.n"]
            values = {event["name"]: event["properties"]["n"] for event in await collector.stored()}
            assert values == {"c": "123456789012345678901234567890", "d": 9007199254740993, "e": "\ufffd x \U0001f600"}

    asyncio.run(scenario())


def test_copies_are_counted_once_whenever_they_come(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(settings_in(tmp_path)) as collector:
            one = {**TRACK, "messageId": "same"}
            receipts = await collector.batch(one, one)
            assert [receipt["status"] for receipt in receipts] == ["accepted", "duplicate"]
            answers = await asyncio.gather(*(collector.batch({**TRACK, "messageId": "race"}) for _ in range(8)))
            assert sorted(answer[0]["status"] for answer in answers) == ["accepted"] + ["duplicate"] * 7
            assert (await collector.batch(one))[0]["status"] == "duplicate"
            assert len(await collector.stored()) == 2
            outcomes = await collector.stored("rejected.v1")
            assert [outcome["status"] for outcome in outcomes] == ["duplicate"] * 9
            assert all("userId" not in str(outcome) and "4711" not in str(outcome) for outcome in outcomes)

    asyncio.run(scenario())


def test_write_keys_are_taken_from_wherever_sdks_put_them(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(settings_in(tmp_path)) as collector:
            body = {"batch": [TRACK]}
            basic = b64encode(f"{SERVER_KEY}:".encode()).decode()
            for headers, query in (
                ({"Authorization": f"Basic {basic}"}, ""),
                ({"Authorization": f"Bearer {SERVER_KEY}"}, ""),
                ({"X-Write-Key": f"{SERVER_KEY}:secret"}, ""),
                ({}, f"?writeKey={SERVER_KEY}"),
            ):
                assert (await collector.post(f"/v1/batch{query}", body, headers)).status_code == 200
            assert (await collector.post("/v1/t/", {**TRACK, "writeKey": SERVER_KEY})).status_code == 200
            assert (
                await collector.post("/v1/batch", {"batch": [{**TRACK, "writeKey": SERVER_KEY}]})
            ).status_code == 200
            packed = gzip.compress(b'{"writeKey":"sk_shop","batch":[{"type":"track","event":"x"}]}')
            for headers in ({}, {"Content-Encoding": "gzip", "Content-Type": "application/x-www-form-urlencoded"}):
                assert (await collector.post("/v1/b", packed, headers)).status_code == 200

    asyncio.run(scenario())


def test_whole_requests_are_refused_with_a_status_and_a_body_sdks_understand(tmp_path: Path) -> None:
    small = Limits(body_bytes=2000, batch_events=3)
    browser = {"Origin": ORIGIN}

    async def scenario() -> None:
        async with running(settings_in(tmp_path, limits=small)) as collector:
            for status, code, path, body, headers in (
                (400, "invalid_json", "/v1/batch", b"{", {}),
                (400, "not_utf8", "/v1/batch", b'{"a":"\xff"}', {}),
                (400, "bad_compression", "/v1/batch", b"\x1f\x8bnot", {}),
                (401, "unknown_key", "/v1/batch", {"batch": [TRACK]}, {}),
                (401, "unknown_key", "/v1/batch", {"batch": [TRACK], "writeKey": "wrong"}, {}),
                (
                    403,
                    "origin_not_allowed",
                    "/v1/t",
                    {**TRACK, "writeKey": BROWSER_KEY},
                    {"Origin": "https://other.example"},
                ),
                (403, "server_key_in_browser", "/v1/t", {**TRACK, "writeKey": SERVER_KEY}, browser),
                (413, "body_too_large", "/v1/t", {**TRACK, "x": "y" * 2000}, {}),
                (413, "body_too_large", "/v1/t", gzip.compress(b" " * 3000), {}),
                (413, "too_many_events", "/v1/batch", {"writeKey": SERVER_KEY, "batch": [TRACK] * 4}, {}),
            ):
                answer = await collector.post(path, body, headers)
                shown = answer.json()
                assert (answer.status_code, shown["code"], shown["status"]) == (status, code, status)
                assert shown["message"] == shown["error"]
            assert (await collector.http.get("/v1/batch")).status_code == 405
            assert (await collector.http.get("/nothing")).status_code == 404
            assert await collector.stored() == []
            reasons = {outcome["reason"] for outcome in await collector.stored("rejected.v1")}
            assert reasons == {"unknown_key", "origin_not_allowed", "server_key_in_browser"}

    asyncio.run(scenario())


def test_browsers_of_an_allowed_site_may_read_the_answer_and_get_their_cookie(tmp_path: Path) -> None:
    grant = {"consent": {"categoryPreferences": {"analytics": True}}}

    async def scenario() -> None:
        async with running(settings_in(tmp_path)) as collector:
            asked = {"Origin": ORIGIN, "Access-Control-Request-Headers": "content-type,x-retry-count"}
            preflight = await collector.http.options("/v1/t", headers=asked)
            assert preflight.headers["access-control-allow-origin"] == ORIGIN
            assert preflight.headers["access-control-allow-headers"] == "content-type,x-retry-count"
            other = await collector.http.options("/v1/t", headers={**asked, "Origin": "https://other.example"})
            assert "access-control-allow-origin" not in other.headers

            def body(context: dict[str, Any], anonymous_id: str = "proposed-1") -> dict[str, Any]:
                message = {"type": "page", "anonymousId": anonymous_id}
                return {"writeKey": BROWSER_KEY, "context": context, "batch": [message]}

            before = await collector.post("/tw/e", body({}), {"Origin": ORIGIN})
            assert before.json()["receipts"][0] | {"id": ""} == {"id": "", "status": "filtered", "reason": "consent"}
            assert "set-cookie" not in before.headers
            first = await collector.post("/tw/e", body(grant), {"Origin": ORIGIN, "X-Forwarded-Proto": "https"})
            cookie = first.headers["set-cookie"]
            assert cookie.startswith("tw_id=proposed-1.")
            assert "HttpOnly" in cookie
            assert "Secure" not in cookie  # nobody trusted said https
            # The id of the cookie wins over what the script proposes, and is not set again the same day.
            second = await collector.post(
                "/tw/e", body(grant, "proposed-2"), {"Origin": ORIGIN, "Cookie": cookie.split(";")[0]}
            )
            assert "set-cookie" not in second.headers
            events = await collector.stored()
            assert [event["anonymous_id"] for event in events] == ["proposed-1", "proposed-1"]
            assert {event["channel"] for event in events} == {"web"}
            assert {event["client"]["ip"] for event in events} == {"127.0.0.0"}
            assert events[0]["protocol"] == "trackway"

    asyncio.run(scenario())


def test_what_becomes_no_event_of_the_trackers_says_which_of_its_page_load_it_was(tmp_path: Path) -> None:
    def message(seq: Any, **more: Any) -> dict[str, Any]:
        context = {"page": {"view_id": "p1.2", "url": "https://shop.example/"}}
        buy = {"type": "track", "event": "buy", "messageId": "o", "anonymousId": "a", "seq": seq, "context": context}
        return buy | more

    grant = {"consent": {"categoryPreferences": {"analytics": True}}}

    async def scenario() -> None:
        async with running(settings_in(tmp_path)) as collector:

            async def post(context: dict[str, Any], *messages: dict[str, Any], path: str = "/tw/e") -> None:
                body = {"writeKey": BROWSER_KEY, "context": context, "batch": messages}
                text = json.dumps(body).encode()
                assert (await collector.post(path, text, {"Origin": ORIGIN})).status_code == 200

            far = {"view_id": "x" * 300 + ".1"}
            await post(
                grant, message(1), message(2), message(3, type=7), message(4, event=7), message(5, event="x" * 600)
            )
            # Of each stranger's word only what can be one is taken; nor is it refused for it.
            await post(grant, *(message(seq) for seq in (-1, 2**53, 2**63, 2**70, "7", None, 1.5)))
            await post(grant, message(6, context={"page": far}))
            await post({}, message(7))
            await post(grant, message(8), path="/v1/batch")
            (event,) = await collector.stored()
            assert (event["page"]["view_id"], event["client"]["seq"]) == ("p1.2", 1)
            outcomes = await collector.stored("rejected.v1")
            for one in outcomes:
                OUTCOME.validate_python(one)
            numbered = sorted((one["seq"], one["status"], one["view_id"]) for one in outcomes if "seq" in one)
            assert numbered == [
                (2, "duplicate", "p1.2"), (3, "rejected", "p1.2"), (4, "rejected", "p1.2"), (5, "rejected", "p1.2"),
                (7, "filtered", "p1.2"),
            ]  # fmt: skip
            assert len(outcomes) == len(numbered) + 7 + 1 + 1

    asyncio.run(scenario())


def test_after_a_reset_the_new_id_counts_and_a_withdrawal_takes_the_cookie_away(tmp_path: Path) -> None:
    context = {"consent": {"categoryPreferences": {"analytics": True}}}
    withdrawn = {"consent": {"categoryPreferences": {"analytics": False}}}

    async def scenario() -> None:
        async with running(settings_in(tmp_path)) as collector:
            headers = {"Origin": ORIGIN, "Cookie": "tw_id=old.1"}
            messages = [
                {"type": "track", "event": "reset", "anonymousId": "old", "messageId": "r"},
                {"type": "page", "anonymousId": "new", "messageId": "p"},
            ]
            answer = await collector.post(
                "/tw/e", {"writeKey": BROWSER_KEY, "context": context, "batch": messages}, headers
            )
            assert answer.headers["set-cookie"].startswith("tw_id=new.")
            ids = {event["id"]: event["anonymous_id"] for event in await collector.stored()}
            assert ids == {"r": "old", "p": "new"}
            said = {"type": "track", "event": "consent", "anonymousId": "new"}
            body = {"writeKey": BROWSER_KEY, "context": withdrawn, "batch": [said]}
            answer = await collector.post("/tw/e", body, {"Origin": ORIGIN, "Cookie": "tw_id=new.1"})
            assert answer.json()["receipts"][0]["status"] == "accepted"
            assert "Max-Age=0" in answer.headers["set-cookie"]

    asyncio.run(scenario())


def test_bots_are_marked_and_filtered_only_where_the_source_says_so(tmp_path: Path) -> None:
    strict = Source(browser_key="wk_strict", origins=[ORIGIN], server_key=SecretStr("sk_strict"), bots="filter")
    source = Source(browser_key=BROWSER_KEY, origins=[ORIGIN])

    async def scenario() -> None:
        async with running(settings_in(tmp_path, sources={"shop": source, "strict": strict})) as collector:
            agent = {
                "User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                "Origin": ORIGIN,
            }
            kept = await collector.post("/v1/p", {"writeKey": BROWSER_KEY, "anonymousId": "a"}, agent)
            assert kept.json()["receipts"][0]["status"] == "accepted"
            gone = await collector.post("/v1/p", {"writeKey": "wk_strict", "anonymousId": "a"}, agent)
            assert gone.json()["receipts"][0]["reason"] == "bot"
            assert (await collector.stored())[0]["client"]["bot"] == "Googlebot"

    asyncio.run(scenario())
