"""CloudEvents in their three modes, at their own path and at others."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.decode import BadBody
from collector.intake import Receipt, intake
from collector.protocols.cloudevents import are_meant, event_id
from collector.replay import kept_event
from collector.sent import Refused, Sent
from eventlog.event import EVENT
from eventlog.outcome import OUTCOME
from tests.collector import test_replay as replay
from tests.collector.parsing import parsed_of
from tests.collector.running import BROWSER_KEY, ORIGIN, SERVER_KEY, running, settings_in
from tests.collector.test_canonical import context, scalars, times, values

# As the SDKs write them.
STRUCTURED: dict[str, Any] = {
    "id": "run-s1", "source": "/drivers/cloudevents Ü", "type": "com.acme.order.completed", "specversion": "1.0",
    "time": "2026-11-23T11:56:45.225811Z", "subject": "user-1", "datacontenttype": "application/json",
    "dataschema": "https://acme.example/schema", "myextension": "ext Ü", "data": {"text": "Zelte 🚲", "n": 2**53 + 1},
}  # fmt: skip
BINARY = {
    b"ce-id": b"run-b1", b"ce-source": b"/drivers/cloudevents%20%C3%9C", b"ce-type": b"com.acme.order.completed",
    b"ce-specversion": b"1.0", b"ce-time": b"2026-11-23T11:56:45.225811Z", b"ce-subject": b"user-1",
    b"ce-myextension": b"ext%20%C3%9C", b"content-type": b"application/json",
}  # fmt: skip
JSON = {b"content-type": b"application/cloudevents+json; charset=utf-8"}


def read(event: Any, **more: Any) -> Sent | Refused:
    (one,) = parsed_of("/cloudevents", orjson.dumps(event), headers=JSON, **more).events
    return one


def sent(event: Any) -> Sent:
    one = read(event)
    assert isinstance(one, Sent), one
    return one


def binary(body: bytes, **headers: bytes) -> Sent:
    changed = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    (one,) = parsed_of("/cloudevents", body, headers=BINARY | changed).events
    assert isinstance(one, Sent), one
    return one


def refused(event: Any) -> tuple[str, str]:
    one = read(event)
    assert isinstance(one, Refused), one
    return one.error.reason, one.error.path


def receipts(event: Any) -> list[Receipt]:
    parsed = parsed_of("/cloudevents", orjson.dumps(event), headers=JSON)
    return intake(parsed, context(True, parsed.protocol)).receipts


def test_an_event_is_the_same_in_structured_and_binary_mode() -> None:
    structured = sent(STRUCTURED | {"id": "run-b1"})
    assert structured.event == {
        "id": "/drivers/cloudevents Ü|run-b1", "name": "com.acme.order.completed", "kind": "track", "user_id": "user-1",
        "properties": {
            "source": "/drivers/cloudevents Ü", "dataschema": "https://acme.example/schema", "myextension": "ext Ü",
            "text": "Zelte 🚲", "n": 2**53 + 1,
        },
    }  # fmt: skip
    assert (structured.client_time, structured.exact_time) == ("2026-11-23T11:56:45.225811Z", True)
    sent_binary = binary(orjson.dumps(STRUCTURED["data"]), ce_dataschema=b"https://acme.example/schema")
    assert sent_binary == structured


def test_times_are_taken_as_they_are() -> None:
    for written, stored in (
        ("2026-11-23T11:56:45.225811Z", "2026-11-23T11:56:45.225Z"),
        ("2026-11-23T11:56:45.123456789Z", "2026-11-23T11:56:45.123Z"),
        ("2026-11-23T12:56:45+01:00", "2026-11-23T11:56:45.000Z"),
        ("2016-02-29T23:59:59Z", "2016-02-29T23:59:59.000Z"),
    ):
        (receipt,) = receipts(STRUCTURED | {"time": written})
        event = orjson.loads(receipt.record.value or b"")
        assert (event["occurred_at"], event["time_source"]) == (stored, "exact")


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (b"caf%C3%A9%20%F0%9F%9A%B2", "café 🚲"),
        ("roh 🚲".encode(), "roh 🚲"),
        ("Ü".encode("latin-1"), "Ü"),
        (b'"a \\"quoted\\" %E2%82%AC"', 'a "quoted" €'),
        (b"100%", "100%"),
        (b"%FF", "ÿ"),
    ],
)
def test_headers_are_decoded(value: bytes, meant: str) -> None:
    assert binary(b"", ce_note=value).event["properties"]["note"] == meant


@pytest.mark.parametrize(
    ("content_type", "body", "properties"),
    [
        (b"application/json", b'{"a": 1}', {"a": 1}),
        (b"text/plain", b'{"a": 1}', {"a": 1}),
        (b"application/vnd.acme+json", b"[1, 2]", {"data": [1, 2]}),
        (b"application/json", b'"text"', {"data": "text"}),
        (b"text/xml", "<a>Ü</a>".encode(), {"data": "<a>Ü</a>"}),
        (
            b"image/png",
            b"\0\xff",
            {"data_base64": "AP8=", "datacontenttype": "image/png"},
        ),
        (b"application/json", b"", {}),
    ],
)
def test_data_of_any_type_is_kept(content_type: bytes, body: bytes, properties: dict[str, Any]) -> None:
    of_binary = binary(body, content_type=content_type).event["properties"]
    assert {name: of_binary[name] for name in of_binary if name not in ("source", "myextension")} == properties
    if body:
        packed = {"data_base64": base64.b64encode(body).decode(), "datacontenttype": content_type.decode()}
        event = {name: value for name, value in STRUCTURED.items() if name not in ("data", "dataschema")} | packed
        assert sent(event).event["properties"] == of_binary
        old = event | {"specversion": "0.3", "datacontentencoding": "base64", "data": packed["data_base64"]}
        assert sent({name: old[name] for name in old if name != "data_base64"}).event["properties"] == of_binary


def test_who_it_is_about() -> None:
    event = sent(STRUCTURED | {"userid": "u-7", "anonymousid": "a-1", "sessionid": "s-1", "subject": "/basket/4"}).event
    assert (event["user_id"], event["anonymous_id"], event["client_session_id"]) == ("u-7", "a-1", "s-1")
    assert event["properties"]["subject"] == "/basket/4"
    assert "userid" not in event["properties"]
    alias = sent(STRUCTURED | {"type": "alias", "userid": "u-7", "previousid": "a-1"}).event
    assert (alias["kind"], alias["user_id"], alias["previous_id"]) == ("alias", "u-7", "a-1")
    group = sent(STRUCTURED | {"type": "group", "groupid": "g-1", "data": {"plan": "pro"}}).event
    assert (group["group_id"], group["traits"]) == ("g-1", {"plan": "pro"})
    for data in ({"email": "a@b.example"}, {"traits": {"email": "a@b.example"}}):
        one = sent(STRUCTURED | {"type": "identify", "data": data})
        assert (one.event["kind"], one.event["traits"], one.email) == (
            "identify", {"email": "a@b.example"}, "a@b.example"
        )  # fmt: skip


def test_names() -> None:
    for type_, name, kind in (
        ("Order Completed", "buy", "track"), ("buy", "buy", "track"), ("PageView", "pageview", "page"),
        ("page", "pageview", "page"), ("com.acme.buy", "com.acme.buy", "track"), ("Eigen Ü", "Eigen Ü", "track"),
    ):  # fmt: skip
        event = sent(STRUCTURED | {"type": type_}).event
        assert (event["name"], event["kind"]) == (name, kind)
    page = sent(STRUCTURED | {"type": "page", "data": {"url": "https://a.example/x?utm_source=n", "title": " "}}).event
    assert page["page"] == {"url": "https://a.example/x?utm_source=n"}
    (receipt,) = receipts(
        STRUCTURED | {"type": "buy", "data": {"order_id": 7, "products": [{"product_id": "S", "price": "9.90"}]}}
    )
    event = orjson.loads(receipt.record.value or b"")
    assert (event["order"], event["items"]) == ({"order_id": "7"}, [{"product_id": "S", "price": "9.90"}])


def test_two_sources_may_use_one_id() -> None:
    assert event_id("/a", "1") != event_id("/b", "1")
    assert event_id("/a|b", "c") != event_id("/a", "b|c")
    assert event_id("/a", "x" * 300) != event_id("/b", "x" * 300)
    assert len(event_id("/a" * 300, "1")) <= 256


def test_what_is_missing_or_wrong_is_said_event_by_event() -> None:
    for name in ("id", "source", "type", "specversion"):
        for value in ("", None):
            assert refused(STRUCTURED | {name: value}) == ("missing_field", name)
        assert refused(STRUCTURED | {name: [1]}) == ("wrong_type", name)
    assert refused(STRUCTURED | {"specversion": "2.0"}) == ("bad_value", "specversion")
    assert refused({name: STRUCTURED[name] for name in STRUCTURED if name != "data"} | {"data_base64": "%"}) == (
        "bad_value", "data_base64",
    )  # fmt: skip
    assert refused(7)[0] == "not_an_object"
    batch = [STRUCTURED, STRUCTURED | {"id": None}, 7, STRUCTURED | {"id": 4, "data": {"products": [{"price": "x"}]}}]
    events = parsed_of("/cloudevents", orjson.dumps(batch), headers=JSON).events
    assert [type(one) for one in events] == [Sent, Refused, Refused, Sent]
    assert [one.error.path for one in events if isinstance(one, Refused)] == ["[1].id", "[2]"]


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({b"content-type": b"application/cloudevents+avro"}, b"{}", 415),
        ({b"content-type": b"application/cloudevents-batch+protobuf"}, b"[]", 415),
        ({b"content-type": b"text/plain"}, b"hello", 415),
        ({}, b"", 415),
        (JSON, b"{", 400),
        (BINARY, b"{", 400),
        (JSON, b"[" + b",".join([b"{}"] * 5001) + b"]", 413),
    ],
)
def test_what_cannot_be_read_at_all(headers: Mapping[bytes, bytes], body: bytes, status: int) -> None:
    with pytest.raises(BadBody) as raised:
        parsed_of("/cloudevents", body, headers=headers)
    assert raised.value.status == status


def test_data_in_base64_holds_no_more_values_than_a_body() -> None:
    packed = base64.b64encode(b'{"a":[' + b"[]," * 15_000 + b"1]}").decode()
    batch = [STRUCTURED | {"id": str(n), "data_base64": packed, "data": None} for n in range(20)]
    with pytest.raises(BadBody) as raised:
        parsed_of("/cloudevents", orjson.dumps(batch), headers=JSON)
    assert raised.value.code == "too_many_values"


def test_only_headers_make_an_event_of_another_path_one_of_these() -> None:
    assert are_meant({b"content-type": b"Application/CloudEvents-batch+json"})
    assert are_meant({b"ce-id": b"1"})
    assert not are_meant({b"content-type": b"application/json"})
    assert not are_meant({})


attributes = st.fixed_dictionaries(
    {},
    optional={
        name: values | st.sampled_from(("1.0", "0.3", "buy", "identify", "page", "basket", "/s", "base64", "e30="))
        for name in ("id", "source", "type", "specversion", "subject", "data", "data_base64", "datacontentencoding",
                     "datacontenttype", "userid", "anonymousid", "groupid", "products", "price")
    }
    | {"time": times | scalars},
)  # fmt: skip
whole = st.builds(lambda event, most: {**STRUCTURED, **event} if most else event, attributes, st.booleans())


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(whole | values, min_size=1, max_size=3), st.booleans())
def test_whatever_comes_is_an_event_or_has_a_reason(batch: list[Any], server_key: bool) -> None:
    try:
        body = orjson.dumps(batch)
    except TypeError:
        return
    parsed = parsed_of("/cloudevents", body, headers=JSON)
    taken = intake(parsed, context(server_key, parsed.protocol)).receipts
    assert len(taken) == len(batch)
    for receipt in taken:
        record = orjson.loads(receipt.record.value or b"")
        (EVENT if receipt.status == "accepted" else OUTCOME).validate_python(record)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(st.sampled_from((*BINARY, b"ce-data", b"ce-data_base64", b"ce-x")), st.binary(max_size=12)),
    st.binary(max_size=24) | st.sampled_from((b'{"a":NaN}', b"[[", b'"\\ud800"', b"\xed\xa0\xbd")),
)
def test_no_headers_or_body_break_the_binary_mode(headers: dict[bytes, bytes], body: bytes) -> None:
    try:
        parsed = parsed_of("/cloudevents", body, headers=BINARY | headers)
    except BadBody:
        return
    for receipt in intake(parsed, context(True, parsed.protocol)).receipts:
        record = orjson.loads(receipt.record.value or b"")
        (EVENT if receipt.status == "accepted" else OUTCOME).validate_python(record)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=40) | st.sampled_from((b'{"id":NaN}', b'[{"id":"\\ud800"}]', b"[" * 900, b"\xef\xbb\xbf[]")))
def test_no_body_breaks_the_structured_mode(body: bytes) -> None:
    for headers in (JSON, {}):
        try:
            parsed = parsed_of("/cloudevents", body, headers=headers)
        except BadBody:
            continue
        assert len(parsed.events) == len(parsed.messages)


def test_a_refused_one_is_replayed_from_what_was_kept() -> None:
    body = orjson.dumps({"products": [{"product_id": "S", "price": "cheap"}]})
    parsed = parsed_of("/cloudevents", body, headers=BINARY | {b"ce-type": b"buy"})
    (receipt,) = intake(parsed, replay.context("cloudevents")).receipts
    outcome = replay.outcome_of(receipt)
    assert (outcome["path"], outcome["id"]) == ("data.products[0].price", "/drivers/cloudevents Ü|run-b1")
    event = kept_event(outcome)
    event["data"]["products"][0]["price"] = "9.90"
    made = replay.again(event, outcome)
    assert made.status == "accepted"
    assert made.record
    stored = orjson.loads(made.record.value or b"")
    assert (stored["name"], stored["items"][0]["price"], stored["user_id"]) == ("buy", "9.90", "user-1")


def test_what_senders_are_answered(tmp_path: Path) -> None:
    structured = {"content-type": "application/cloudevents+json"}
    key = {"authorization": f"Bearer {SERVER_KEY}"}
    headers = {name.decode(): value.decode() for name, value in BINARY.items()}

    async def scenario() -> None:
        async with running(settings_in(tmp_path)) as collector:
            for path in ("/cloudevents", "/cloudevents/", "/v1/batch", "/v1/t"):
                event = STRUCTURED | {"id": path}
                answer = await collector.post(path, event, structured | key)
                assert (answer.status_code, answer.json()["success"]) == (200, True), answer.text
            answer = await collector.post("/v1/batch", b"{}", headers | {"x-write-key": SERVER_KEY})
            assert answer.status_code == 200
            batched = {"content-type": "application/cloudevents-batch+json"}
            for query in (f"access_token={SERVER_KEY}", f"writeKey={SERVER_KEY}"):
                answer = await collector.post(f"/v1/i?{query}", [STRUCTURED, STRUCTURED | {"type": None}], batched)
                assert answer.status_code == 200
                assert answer.json()["receipts"][1]["path"] == "[1].type"
            answer = await collector.post("/cloudevents", [], batched | key)
            assert (answer.status_code, answer.json()) == (200, {"success": True, "receipts": []})
            answer = await collector.post("/cloudevents", STRUCTURED | {"type": None}, structured | key)
            assert (answer.status_code, answer.json()["message"]) == (400, "type: `type` is needed, as text")
            answer = await collector.post("/v1/t", b"", {"content-type": "application/cloudevents+avro"} | key)
            assert (answer.status_code, answer.json()["code"]) == (415, "unknown_format")
            answer = await collector.post("/cloudevents", STRUCTURED, structured)
            assert answer.status_code == 401
            page = {"origin": ORIGIN, "x-write-key": BROWSER_KEY}
            answer = await collector.post("/cloudevents", STRUCTURED | {"id": "b"}, structured | page)
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, ORIGIN)
            stored = await collector.stored()
            # One came twice with each of the two keys in the query.
            assert len(stored) == 4 + 1 + 1 + 1
            assert {event["protocol"] for event in stored} == {"cloudevents"}
            assert len(await collector.stored("rejected.v1")) == 2 + 1 + 1 + 1

    asyncio.run(scenario())


@pytest.mark.parametrize(("limit", "rate"), [(0.0, "*"), (50.0, "3000")])
def test_a_sender_of_webhooks_is_let_in(limit: float, rate: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(settings_in(tmp_path, limits={"key_events_per_second": limit})) as collector:
            asked = {"webhook-request-origin": "eventemitter.example.com", "webhook-request-rate": "120"}
            for path in ("/cloudevents", "/v1/batch"):
                answer = await collector.http.request("OPTIONS", path, headers=asked)
                assert answer.status_code == 200
                assert answer.headers["webhook-allowed-origin"] == "eventemitter.example.com"
                assert (answer.headers["webhook-allowed-rate"], answer.headers["allow"]) == (rate, "POST, OPTIONS")
            assert (await collector.http.request("OPTIONS", "/nowhere", headers=asked)).status_code == 404
            plain = await collector.http.request("OPTIONS", "/cloudevents")
            assert (plain.status_code, "webhook-allowed-origin" in plain.headers) == (204, False)

    asyncio.run(scenario())
