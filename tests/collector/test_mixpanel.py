"""Mixpanel's requests: what its SDKs put on the wire, and what others may."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.decode import BadBody
from collector.event_time import from_epoch
from collector.intake import intake
from collector.sent import Parsed, Refused, Sent
from eventlog.event import EVENT
from eventlog.outcome import OUTCOME
from tests.collector.parsing import parsed_of
from tests.collector.running import BROWSER_KEY, ORIGIN, SERVER_KEY, running, settings_in
from tests.collector.test_canonical import context, scalars, values
from tests.collector.test_replay import REPLAY, outcome_of
from tests.collector.test_replay import context as replay_context

CHROME = {b"user-agent": b"Mozilla/5.0 Chrome/140"}
# As the browser's SDK writes it.
BOUGHT: dict[str, Any] = {
    "event": "Order Completed",
    "properties": {
        "$os": "Linux", "$browser": "Chrome", "$current_url": "https://shop.example/done?utm_source=news&token=s3cret",
        "$referrer": "https://search.example/", "$screen_height": 720, "$screen_width": 1280, "mp_lib": "web",
        "$lib_version": "2.83.0", "$insert_id": "tthuddkcdtypxwiu", "time": 1795435018.034, "distinct_id": "user-1",
        "$device_id": "ddaf9b41-0000-4000-8000-000000000001", "$user_id": "user-1", "token": "wk_shop",
        "order_id": "A-1", "total": 20, "currency": "CHF",
        "products": [{"product_id": "S-1", "name": "Zelt 🚲", "price": 10, "quantity": 2}],
        "utm_source": "news", "utm_campaign": "winter", "gclid": "g-1",
    },
}  # fmt: skip


def form(data: bytes, **fields: Any) -> bytes:
    return urlencode({"data": data, **fields}).encode()


def sent_of(parsed: Parsed) -> Sent:
    (sent,) = parsed.events
    assert isinstance(sent, Sent), sent
    return sent


def event(properties: dict[str, Any], name: str = "Read", path: str = "/track", **request: Any) -> Sent:
    return sent_of(parsed_of(path, orjson.dumps({"event": name, "properties": properties}), **request))


def refusal(message: Any, path: str = "/track", **request: Any) -> tuple[str, str]:
    (refused,) = parsed_of(path, orjson.dumps(message), **request).events
    assert isinstance(refused, Refused)
    return refused.error.reason, refused.error.path


def test_a_browsers_event_is_read_whole() -> None:
    body = form(base64.b64encode(json.dumps([BOUGHT], ensure_ascii=False).encode()))
    parsed = parsed_of("/track/", body, query=b"verbose=1&ip=1&_=1795435018500", headers=CHROME)
    sent = sent_of(parsed)
    assert (parsed.write_keys, parsed.list_name, parsed.fingerprint, parsed.address) == (
        ("wk_shop",),
        "data",
        b"",
        None,
    )
    assert (sent.client_time, parsed.sent_at) == ("2026-11-23T11:56:58.034Z", "2026-11-23T11:56:58.500Z")
    assert not sent.server_side
    wanted = {
        "name": "buy", "kind": "track", "user_id": "user-1", "anonymous_id": "ddaf9b41-0000-4000-8000-000000000001",
        "library": {"name": "web", "version": "2.83.0"},
        "campaign": {"source": "news", "name": "winter", "click_id": "gclid:g-1"},
        "client": {"os": "Linux", "browser": "Chrome", "screen": "1280x720"},
    }  # fmt: skip
    assert {name: sent.event.get(name) for name in wanted} == wanted
    assert sent.event["id"].startswith("tthuddkcdtypxwiu-")
    assert set(sent.event["properties"]) == {"order_id", "total", "currency", "products", "$os", "$browser", "gclid"}
    (receipt,) = intake(parsed, context(False, "mixpanel")).receipts
    stored = orjson.loads(receipt.record.value or b"")
    assert (stored["time_source"], stored["occurred_at"]) == ("client", "2026-11-23T11:56:58.034Z")
    assert stored["items"] == [
        {"product_id": "S-1", "name": "Zelt 🚲", "price": "10", "quantity": 2, "currency": "CHF"}
    ]
    assert stored["page"]["url"] == "https://shop.example/done?utm_source=news&token=***"
    assert b"s3cret" not in (receipt.record.value or b"")


def cesu(text: str) -> bytes:
    """UTF-8 of each UTF-16 unit by itself, as older SDKs for browsers encode emoji."""
    units = text.encode("utf-16-le", "surrogatepass")
    return b"".join(
        chr(int.from_bytes(units[at : at + 2], "little")).encode("utf-8", "surrogatepass")
        for at in range(0, len(units), 2)
    )


MESSAGE = json.dumps({"event": "Gelesen 📚", "properties": {"token": "k", "n": 2**63 + 1}}, ensure_ascii=False)
BASE64 = base64.b64encode(MESSAGE.encode())


@pytest.mark.parametrize(
    ("body", "query", "method"),
    [
        (MESSAGE.encode(), b"", "POST"),
        (b"\xef\xbb\xbf " + MESSAGE.encode(), b"", "POST"),
        (form(MESSAGE.encode()), b"", "POST"),
        (form(BASE64), b"", "POST"),
        (b"data=" + BASE64, b"", "POST"),
        (b"data=" + base64.urlsafe_b64encode(MESSAGE.encode()).rstrip(b"="), b"", "POST"),
        (form(base64.b64encode(cesu(MESSAGE))), b"", "POST"),
        (BASE64, b"", "POST"),
        (b"", b"ip=0&data=" + quote(BASE64).encode(), "GET"),
        (b"", b"data=" + quote(MESSAGE).encode(), "GET"),
    ],
    ids=["json", "bom", "form-json", "form-base64", "unescaped", "url-safe", "cesu-8", "bare", "get", "get-json"],
)
def test_every_way_to_pack_an_event_gives_the_same(body: bytes, query: bytes, method: str) -> None:
    sent = sent_of(parsed_of("/track", body, query=query, method=method))
    assert (sent.event["name"], sent.event["properties"]) == ("Gelesen 📚", {"n": str(2**63 + 1)})


@pytest.mark.parametrize(
    ("body", "query", "method"),
    [(b"", b"", "POST"), (b"", b"", "GET"), (b"data=%%%", b"", "POST"), (b"7", b"", "POST"), (b'"x"', b"", "POST"),
     (b"data=null", b"", "POST"), (b"[{]", b"", "POST"), (b"", b"data=e30&" + b"&".join([b"x=1"] * 2000), "GET")],
)  # fmt: skip
def test_what_nothing_can_be_read_of_is_refused_whole(body: bytes, query: bytes, method: str) -> None:
    with pytest.raises(BadBody):
        parsed_of("/track", body, query=query, method=method)


def test_a_batch_has_so_many_events_at_most() -> None:
    for path, body in (("/track", b"[" + b"{}," * 5000 + b"{}]"), ("/import", b"{}\n" * 5001)):
        with pytest.raises(BadBody) as caught:
            parsed_of(path, body)
        assert caught.value.code == "too_many_events"


def test_pages_and_leaving_have_names_of_their_own() -> None:
    sent = event({"current_page_title": "Zelte", "$current_url": "https://shop.example/"}, "$mp_web_page_view")
    assert (sent.event["name"], sent.event["kind"]) == ("pageview", "page")
    assert sent.event["page"] == {"url": "https://shop.example/", "title": "Zelte"}
    assert event({}, "Signed Out").event["name"] == "reset"


def test_the_same_event_counts_once_and_what_mixpanel_tells_apart_does_not() -> None:
    one = {"$insert_id": "i", "distinct_id": "u", "time": 1795435018}
    ids = [event(one | more, name).event["id"] for name in ("A", "B") for more in ({}, {"time": 1}, {"distinct_id": 2})]
    assert len(set(ids)) == 6
    assert event(one, "A").event["id"] == ids[0]
    assert event(one | {"n": 7}, "A").event["id"] == ids[0]
    assert refusal({"event": "A", "properties": {"$insert_id": "x" * 201}}) == ("too_long", "properties.$insert_id")


def test_browsers_repeat_requests_and_servers_do_not() -> None:
    body = orjson.dumps({"event": "x", "properties": {"token": "k"}})
    assert parsed_of("/track", body, headers=CHROME).fingerprint
    assert not parsed_of("/track", body).fingerprint
    assert not parsed_of("/track", body, headers={b"user-agent": b"python-requests/2.34.2"}).fingerprint


@pytest.mark.parametrize(
    ("library", "agent", "is_server"),
    [("python", "Mozilla/5.0", True), ("web", "Mozilla/5.0", False), ("android", "Dalvik/2.1.0", False),
     (None, "Mozilla/5.0", False), (None, "python-requests/2", True), ("elixir", None, True), ("web", None, False)],
)  # fmt: skip
def test_a_server_is_known_by_its_library_or_agent(library: str | None, agent: str | None, is_server: bool) -> None:
    headers = {b"user-agent": agent.encode()} if agent else {}
    assert event({"mp_lib": library}, headers=headers).server_side is is_server
    imported = event({"mp_lib": library, "time": 1}, path="/import", headers=headers)
    assert (imported.server_side, imported.event["channel"]) == (True, "import")


def test_ip_0_keeps_no_address() -> None:
    body = form(MESSAGE.encode(), ip=0, verbose=1)
    assert (parsed_of("/track", body).address, parsed_of("/track", body).reply[1]) == ("drop", True)
    assert parsed_of("/track", MESSAGE.encode(), query=b"ip=0").address == "drop"
    assert parsed_of("/track", MESSAGE.encode(), query=b"ip=1").address is None


@pytest.mark.parametrize(
    ("message", "path", "wanted"),
    [
        (7, "/track", None),
        ({"event": "x"}, "/track", "accepted"),
        ({"properties": {}}, "/track", ("missing_field", "event")),
        ({"event": ["x"]}, "/track", ("missing_field", "event")),
        ({"event": "x", "properties": []}, "/track", ("wrong_type", "properties")),
        ({"event": "$identify", "properties": {}}, "/track", ("missing_field", "properties.distinct_id")),
        ({"event": "$create_alias", "properties": {"distinct_id": "$device:", "alias": "u"}}, "/track",
         ("missing_field", "properties.alias")),
        ({"event": "$merge", "properties": {"$distinct_ids": ["a"]}}, "/track",
         ("wrong_type", "properties.$distinct_ids")),
        ({"$set": {}}, "/engage", ("missing_field", "$distinct_id")),
        ({"$distinct_id": "u"}, "/engage", ("missing_field", "$set")),
        ({"$distinct_id": "u", "$set": ["a"]}, "/engage", ("wrong_type", "$set")),
        ({"$distinct_id": "u", "$unset": [7]}, "/engage", ("wrong_type", "$unset")),
        ({"$distinct_id": "u", "$delete": ""}, "/engage", ("bad_value", "$delete")),
        ({"$set": {"a": 1}}, "/groups", ("missing_field", "$group_id")),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_place(message: Any, path: str, wanted: Any) -> None:
    if wanted == "accepted":
        assert sent_of(parsed_of(path, orjson.dumps(message)))
    elif wanted:
        assert refusal(message, path) == wanted
    else:
        with pytest.raises(BadBody):
            parsed_of(path, orjson.dumps(message))


def test_a_bad_event_of_a_batch_is_refused_alone() -> None:
    batch = [BOUGHT, {"event": "x", "properties": {"token": "other"}}, 7, {"$token": "other", "event": "y"}, BOUGHT]
    for body, name in ((orjson.dumps(batch), ""), (form(orjson.dumps(batch)), "data")):
        parsed = parsed_of("/track", body)
        assert parsed.write_keys == ("wk_shop",)
        refused = [(one.error.reason, one.error.path) for one in parsed.events if isinstance(one, Refused)]
        assert refused == [
            ("bad_value", f"{name}[1].properties.token"), ("not_an_object", f"{name}[2]"),
            ("bad_value", f"{name}[3].$token"),
        ]  # fmt: skip
        assert sum(isinstance(one, Sent) for one in parsed.events) == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1795435018, "2026-11-23T11:56:58.000Z"),
        (1795435018.0349998, "2026-11-23T11:56:58.035Z"),
        (1795435018034, "2026-11-23T11:56:58.034Z"),
        (1795435018034999, "2026-11-23T11:56:58.034Z"),
        ("1795435018034", "2026-11-23T11:56:58.034Z"),
        ("2026-11-23", "2026-11-23"),
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, None), (1e300, None), ("nan", None), ("1e999", None), (True, None), (None, None), ([], None), (" ", None),
        ("9" * 100, None),
    ],
)  # fmt: skip
def test_times_are_seconds_or_less(value: object, text: str | None) -> None:
    assert from_epoch(value) == text


def test_lines_of_an_import() -> None:
    body = orjson.dumps(BOUGHT) + b'\r\n\r\n{"event":"x"\n' + b'{"event":"y","properties":{"n":NaN}}\n'
    parsed = parsed_of("/import", body, query=b"strict=1")
    first, second, third = parsed.events
    assert isinstance(first, Sent)
    assert first.server_side
    assert isinstance(second, Refused)
    assert (second.error.reason, second.error.path) == ("not_an_object", "[1]")
    assert isinstance(third, Sent)
    for whole in (b'{"event":\n"x"}', b'\n{"event":"x"}\n'):
        assert parsed_of("/import", whole).list_name is None
    with pytest.raises(BadBody):
        parsed_of("/import", b"{a\n{b")


def test_the_answers_are_mixpanels(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(settings_in(tmp_path)) as collector:
            body = orjson.dumps({"event": "x", "properties": {"token": BROWSER_KEY}})
            web = {"origin": ORIGIN, "user-agent": "Mozilla/5.0"}
            plain = await collector.post("/track/?ip=1", body, web)
            assert (plain.status_code, plain.text) == (200, "1")
            assert plain.headers["access-control-allow-origin"] == ORIGIN
            assert (await collector.post("/track?verbose=1", body, web)).json() == {"status": 1, "error": None}
            in_form = await collector.post("/import", form(body, verbose="1"))
            assert in_form.json() == {"status": 1, "error": None}
            got = await collector.http.get(f"/engage/?data={BASE64.decode()}")
            assert (got.status_code, got.json()["status"]) == (401, 401)
            assert {"code", "message", "error"} <= got.json().keys()
            packed_once = base64.b64encode(body).decode()
            assert (await collector.http.get("/track", params={"data": packed_once})).text == "1"
            mail = await collector.http.get("/track", params={"data": packed_once, "img": 1})
            assert (mail.headers["content-type"], mail.content[:6]) == ("image/gif", b"GIF89a")

            good = {"event": "Old", "properties": {"time": 1600000000, "distinct_id": "u", "$insert_id": "i-1"}}
            bad = {"event": "Order Completed", "properties": {"$insert_id": "i-2", "total": "cheap"}}
            auth = {"authorization": "Basic " + base64.b64encode(f"{SERVER_KEY}:".encode()).decode()}
            packed = gzip.compress(orjson.dumps([good, good, bad]))
            taken = await collector.post("/import", packed, auth | {"content-encoding": "gzip"})
            assert (taken.status_code, taken.json()) == (200, {"code": 200, "num_records_imported": 2, "status": "OK"})
            strict = await collector.post("/import?strict=1&project_id=7", packed, auth)
            assert strict.status_code == 400
            assert strict.json() == {
                "code": 400, "error": "some data points in the request failed validation", "num_records_imported": 2,
                "status": "Bad Request", "failed_records": [{
                    "index": 2, "insert_id": "i-2", "field": "[2].properties.total",
                    "message": 'a number is needed, such as 9.9 or "9.90"',
                }],
            }  # fmt: skip
            stored = await collector.stored()
            (old,) = [one for one in stored if one["name"] == "Old"]
            assert (old["occurred_at"], old["time_source"]) == ("2020-09-13T12:26:40.000Z", "exact")

    asyncio.run(scenario())


def test_two_updates_in_one_second_are_two_and_a_repeated_request_is_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(settings_in(tmp_path)) as collector:
            web = {"origin": ORIGIN, "user-agent": "Mozilla/5.0"}
            body = orjson.dumps({"$token": BROWSER_KEY, "$distinct_id": "u", "$add": {"n": 1}})
            for query in ("?_=1", "?_=1", "?_=2"):
                assert (await collector.post("/engage/" + query, body, web)).text == "1"
            assert len(await collector.stored()) == 2

    asyncio.run(scenario())


MESSAGE_NAMES = ("event", "$token", "$distinct_id", "$device_id", "$user_id", "$set", "$set_once", "$unset", "$add",
                 "$append", "$union", "$remove", "$delete", "$group_key", "$group_id", "$time", "$ip")  # fmt: skip
PROPERTY_NAMES = ("token", "distinct_id", "time", "$insert_id", "$device_id", "$user_id", "mp_lib", "$lib_version",
                  "ip", "$current_url", "$referrer", "$screen_width", "$screen_height", "utm_source", "gclid", "alias",
                  "$anon_distinct_id", "$identified_id", "$distinct_ids", "current_page_title", "$os", "total",
                  "products", "product_id", "price", "order_id", "own")  # fmt: skip
NAMES = (
    "Order Completed",
    "Product Viewed",
    "$identify",
    "$create_alias",
    "$merge",
    "$mp_web_page_view",
    "Own",
    "consent",
)


@st.composite
def messages(draw: st.DrawFn) -> Any:
    message = draw(st.dictionaries(st.sampled_from(MESSAGE_NAMES), values, max_size=5))
    if draw(st.booleans()):
        message["event"] = draw(st.sampled_from(NAMES))
    if draw(st.booleans()):
        message["properties"] = draw(st.dictionaries(st.sampled_from(PROPERTY_NAMES), values, max_size=8) | values)
    if draw(st.booleans()):
        message |= {"$distinct_id": "u", "$group_id": "g"}
    return message


def written(value: Any) -> bytes:
    # NaN too, and integers beyond 64 bits, as Python's encoder writes them.
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(messages() | values | st.just({"$distinct_id": "u", "$set_once": {"x": float("nan")}}), max_size=4),
    st.sampled_from(("/track", "/engage", "/groups", "/import")),
    st.sampled_from((b"", b"_=1795435018000&ip=0", b"strict=1&verbose=1", b"_=nan&data=e30")),
    st.booleans(),
)
def test_whatever_is_accepted_is_a_canonical_event(batch: list[Any], path: str, query: bytes, server: bool) -> None:
    parsed = parsed_of(path, written(batch), query=query, headers={} if server else CHROME)
    receipts = intake(parsed, context(server, "mixpanel")).receipts
    assert len(receipts) == len(batch)
    for receipt in receipts:
        record = orjson.loads(receipt.record.value or b"")
        (EVENT if receipt.status == "accepted" else OUTCOME).validate_python(record)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.binary(max_size=60) | st.text(max_size=40).map(str.encode) | scalars.map(written),
    st.binary(max_size=40) | st.binary(max_size=30).map(lambda text: b"data=" + base64.b64encode(text)),
    st.sampled_from(("/track", "/engage", "/import")),
    st.sampled_from(("GET", "POST")),
)
def test_no_bytes_raise_anything_but_bad_body(body: bytes, query: bytes, path: str, method: str) -> None:
    try:
        parsed = parsed_of(path, body, query=query, method=method)
    except BadBody:
        return
    assert len(parsed.events) == len(parsed.messages)


def test_a_refused_event_put_right_is_the_event_it_would_have_been() -> None:
    wrong = {**BOUGHT, "properties": {**BOUGHT["properties"], "total": "cheap"}}

    def record(message: Any) -> Any:
        body = form(orjson.dumps([message]), ip=0)
        return intake(parsed_of("/track", body, query=b"_=1795435018500"), replay_context("mixpanel")).receipts[0]

    outcome = outcome_of(record(wrong))
    assert outcome["path"] == "data[0].properties.total"
    made = REPLAY.again(BOUGHT, outcome, "2/1047")
    assert made.record
    assert made.record.value == record(BOUGHT).record.value
