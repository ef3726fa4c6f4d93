"""Segment's, RudderStack's and Jitsu's own ways to send the same messages, as their SDKs put them on the wire."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.decode import BadBody
from collector.intake import intake
from collector.protocols import jitsu, rudderstack, segment
from collector.sent import Parsed, Refused, Sent
from eventlog.event import EVENT
from tests.collector.parsing import parsed_of
from tests.collector.running import BROWSER_KEY, ORIGIN, SERVER_KEY, running, settings_in
from tests.collector.test_canonical import context, messages, values
from tests.collector.test_replay import REPLAY, outcome_of
from tests.collector.test_replay import context as replay_context

TRACK: dict[str, Any] = {"type": "track", "event": "Gelesen 📚", "userId": "u-1", "messageId": "m-1"}
RUDDER: dict[str, Any] = {
    "type": "identify", "userId": "u-1", "anonymousId": "a-1", "messageId": "m-2", "channel": "server",
    "integrations": {"All": True}, "context": {"traits": {"email": "ada@example.com"}, "sessionId": 1795435018742},
    "originalTimestamp": "2026-11-23T11:56:46.739Z", "sentAt": "2026-11-23T11:56:47.000Z",
}  # fmt: skip


def sent_of(parsed: Parsed) -> Sent:
    (sent,) = parsed.events
    assert isinstance(sent, Sent), sent
    return sent


def posted(path: str, body: Any, **request: Any) -> Parsed:
    return parsed_of(path, orjson.dumps(body), **request)


def test_a_pixel_carries_a_message() -> None:
    data = base64.b64encode(orjson.dumps(TRACK | {"writeKey": "wk_shop"})).decode()
    parsed = parsed_of("/v1/pixel/track", method="GET", query=b"data=" + quote(data).encode())
    event = sent_of(parsed).event
    assert (event["kind"], event["name"], event["user_id"], event["channel"]) == ("track", "Gelesen 📚", "u-1", "pixel")
    assert parsed.write_keys == ("wk_shop",)
    assert parsed.fingerprint
    with pytest.raises(BadBody):
        parsed_of("/v1/pixel/track", method="GET", query=b"data=x")


def test_a_masked_key_is_none_and_two_keys_are_one_too_many() -> None:
    assert posted("/v1/track", TRACK | {"writeKey": "***"}).write_keys == ()
    parsed = posted("/v1/b", {"batch": [TRACK | {"writeKey": "one"}, TRACK | {"writeKey": "two"}, TRACK]})
    assert parsed.write_keys == ("one",)
    first, second, third = parsed.events
    assert isinstance(second, Refused)
    assert (second.error.reason, second.error.path) == ("bad_value", "batch[1].writeKey")
    assert isinstance(first, Sent)
    assert isinstance(third, Sent)


def test_an_alias_of_a_person_with_itself_merges_nothing() -> None:
    alias = {"type": "alias", "userId": "u-1", "previousId": "u-1"}
    assert "previous_id" not in sent_of(posted("/v1/alias", alias)).event
    assert sent_of(posted("/v1/alias", alias | {"previousId": "a-1"})).event["previous_id"] == "a-1"


def test_rudderstacks_messages_are_known_as_its_own() -> None:
    parsed = posted("/v1/batch", {"batch": [RUDDER]})
    assert parsed.protocol == "rudderstack"
    sent = sent_of(parsed)
    assert (sent.server_side, sent.client_time) == (True, "2026-11-23T11:56:46.739Z")
    assert sent.event["traits"] == {"email": "ada@example.com"}
    assert sent.event["client_session_id"] == "1795435018742"
    for message in (TRACK, TRACK | {"channel": "server"}, TRACK | {"integrations": {"All": True}}):
        assert posted("/v1/batch", {"batch": [message]}).protocol == "segment"
    assert posted("/v1/batch", {"batch": []}).protocol == "segment"
    browser = RUDDER | {"channel": "web", "userId": ""}
    event = sent_of(posted("/beacon/v1/batch", {"batch": [browser]}, query=b"writeKey=wk_shop")).event
    assert "user_id" not in event
    assert event["anonymous_id"] == "a-1"


def test_rudderstacks_pixel_nests_names_by_dots() -> None:
    query = urlencode(
        {"writeKey": "wk_shop", "anonymousId": "a-1", "event": "Order Completed", "properties.order_id": "A-1",
         "properties.total": "9.90", "context.page.url": "https://shop.example/?utm_source=mail"}
    )  # fmt: skip
    sent = sent_of(parsed_of("/pixel/v1/track", method="GET", query=query.encode()))
    assert (sent.event["name"], sent.event["channel"], sent.event["anonymous_id"]) == ("buy", "pixel", "a-1")
    assert sent.event["properties"] == {"order_id": "A-1", "total": "9.90"}
    assert sent.event["page"] == {"url": "https://shop.example/?utm_source=mail"}
    page = sent_of(parsed_of("/pixel/v1/page", method="GET", query=b"anonymousId=a-1"))
    assert (page.event["name"], page.event["kind"]) == ("pageview", "page")
    for bad in (b"a=1&a.b=2", b"a.b=2&a=1"):
        with pytest.raises(BadBody):
            parsed_of("/pixel/v1/track", method="GET", query=bad)


@pytest.mark.parametrize(
    ("path", "policy", "address", "server_side", "kind"),
    [
        ("/api/s/track", None, None, False, "track"),
        ("/api/s/s2s/track/", "remove", "drop", True, "track"),
        ("/api/s/event", "StripLastOctet", "truncate", False, "track"),
        ("/api/s/identify", "keep", "keep", False, "identify"),
        ("/api/s/page", "?", None, False, "page"),
    ],
)
def test_jitsus_path_says_the_type(path: str, policy: str | None, address: Any, server_side: bool, kind: str) -> None:
    headers = {b"x-ip-policy": policy.encode()} if policy else {}
    parsed = posted(path, TRACK | {"writeKey": "***", "userId": None}, headers=headers)
    assert (parsed.protocol, parsed.write_keys, parsed.address) == ("jitsu", (), address)
    sent = sent_of(parsed)
    assert (sent.event["kind"], sent.server_side) == (kind, server_side)
    assert "user_id" not in sent.event


def test_a_refused_message_is_replayed_as_its_own_protocol_reads_it() -> None:
    for path, message in (
        ("/v1/batch", {"batch": [RUDDER | {"type": "track", "event": "x", "properties": 7}]}),
        ("/api/s/track", TRACK | {"properties": 7}),
        ("/v1/track", TRACK | {"properties": 7}),
    ):
        parsed = posted(path, message)
        (receipt,) = intake(parsed, replay_context(parsed.protocol, dnt=False, gpc=False)).receipts
        outcome = outcome_of(receipt)
        assert REPLAY.again(outcome["event"], outcome, "1/2").reason == "wrong_type"
        again = REPLAY.again(outcome["event"] | {"properties": {"a": 1}}, outcome, "1/2")
        assert again.record is not None, again
        assert orjson.loads(again.record.value or b"")["protocol"] == parsed.protocol


PATHS = ("/v1/track", "/v1/batch", "/beacon/v1/batch", "/api/s/track", "/api/s/s2s/x", "/v1/pixel/page")


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(PATHS), st.lists(messages() | values, max_size=3), values)
def test_whatever_is_sent_is_an_event_or_refused(path: str, batch: list[Any], other: Any) -> None:
    for body in ({"batch": batch}, *batch, other):
        try:
            raw = orjson.dumps(body)
        except TypeError:
            continue
        request: dict[str, Any] = {"body": raw}
        if "pixel" in path:
            request = {"method": "GET", "query": b"data=" + quote(base64.b64encode(raw)).encode()}
        try:
            parsed = parsed_of(path, **request)
        except BadBody:
            continue
        for receipt in intake(parsed, context(False, parsed.protocol)).receipts:
            if receipt.status == "accepted":
                EVENT.validate_json(receipt.record.value or b"")


def test_what_sdks_ask_for_and_are_answered(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(settings_in(tmp_path)) as collector:
            get = collector.http.get
            told = (await get(f"/v1/projects/{BROWSER_KEY}/settings")).json()
            assert told["integrations"] == {"Segment.io": {"apiKey": BROWSER_KEY}}
            asked = await get("/sourceConfig/", params={"writeKey": BROWSER_KEY}, headers={"origin": ORIGIN})
            source = asked.json()["source"]
            assert (source["writeKey"], source["enabled"], source["destinations"]) == (BROWSER_KEY, True, [])
            assert asked.headers["access-control-allow-origin"] == ORIGIN
            query = {"data": base64.b64encode(orjson.dumps(TRACK | {"writeKey": BROWSER_KEY})).decode()}
            for _ in range(2):
                pixel = await get("/v1/pixel/track", params=query, headers={"referer": "https://mail.example/"})
                assert (pixel.status_code, pixel.headers["content-type"]) == (200, "image/gif")
            assert pixel.content.startswith(b"GIF89a")
            rudder = {"writeKey": BROWSER_KEY, "anonymousId": "a-1", "event": "Opened"}
            for _ in range(2):
                mail = {"referer": "https://mail.example/"}
                assert (await get("/pixel/v1/track", params=rudder, headers=mail)).status_code == 200
            for key in (f"{BROWSER_KEY}:s3cret", f"id:{SERVER_KEY}", f"{SERVER_KEY}:"):
                jitsu = await collector.post(
                    "/api/s/track", TRACK | {"messageId": key, "writeKey": "***"}, {"x-write-key": key}
                )
                assert (jitsu.status_code, jitsu.json()) == (200, {"ok": True})
            assert (await collector.post("/api/s/track", TRACK, {"x-write-key": "a:b"})).status_code == 401
            events = await collector.stored()
            assert sorted(event["protocol"] for event in events) == ["jitsu"] * 3 + ["rudderstack", "segment"]

    asyncio.run(scenario())


def test_each_names_its_protocol() -> None:
    assert (segment.PROTOCOLS, rudderstack.PROTOCOLS, jitsu.PROTOCOLS) == (
        ("segment",),
        ("rudderstack",),
        ("jitsu",),
    )
