"""PostHog's requests: envelopes, encodings, keys, answers, and what its SDKs ask before they send."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.decode import BadBody
from collector.protocols import posthog
from collector.request import Request
from collector.route import Reply
from collector.routes import Routes
from collector.sent import Refused, Sent
from tests.collector.parsing import SETTINGS, parsed_of
from tests.collector.running import BROWSER_KEY, ORIGIN, SERVER_KEY, running, settings_in
from tests.collector.test_canonical import values
from tests.collector.test_posthog import SERVER, TEXT, V1, V1_HEADERS, WEB, messages

# --- Envelopes and encodings ------------------------------------------------------------------------------------------


def as_cesu8(text: str) -> bytes:
    """base64 of text whose astral characters are two encoded surrogates, as browsers' SDKs write it."""
    units = text.encode("utf-16-be")
    parts = [chr(int.from_bytes(units[at : at + 2], "big")) for at in range(0, len(units), 2)]
    return base64.b64encode("".join(parts).encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(
    ("query", "encode"),
    [
        pytest.param(b"", orjson.dumps, id="json"),
        pytest.param(
            b"compression=base64&ip=1&_=1795435018747&ver=1.116.0",
            lambda value: b"data=" + quote(as_cesu8(json.dumps(value, ensure_ascii=False))).encode(),
            id="base64 in a form",
        ),
        pytest.param(
            b"compression=base64", lambda value: as_cesu8(json.dumps(value, ensure_ascii=False)), id="base64 alone"
        ),
        pytest.param(b"", lambda value: b"data=" + quote(orjson.dumps(value)).encode(), id="json in a form"),
    ],
)
@pytest.mark.parametrize("path", ["/e/", "/i/v0/e/", "/capture/", "/batch/", "/e", "/capture"])
@pytest.mark.parametrize(
    "wrap", [lambda one: one, lambda one: [one], lambda one: {"api_key": BROWSER_KEY, "batch": [one]}]
)
def test_events_are_read_from_every_envelope(path: str, query: bytes, encode: Any, wrap: Any) -> None:
    parsed = parsed_of(path, encode(wrap(WEB)), query=query)
    (sent,) = parsed.events
    assert isinstance(sent, Sent)
    assert sent.event["id"] == WEB["uuid"]
    assert sent.event["properties"]["products"][0]["name"] == TEXT
    assert parsed.write_keys == (BROWSER_KEY,)
    if b"_=" in query:
        assert parsed.sent_at == "2026-11-23T11:56:58.747Z"


@pytest.mark.parametrize("body", [b"", b"7", b"[", b'"x"', b"data=7", b"data=%7B", b'{"batch":7}', b"\xff\xfe"])
def test_what_is_no_event_is_refused_whole(body: bytes) -> None:
    with pytest.raises(BadBody) as caught:
        parsed_of("/batch/", body)
    assert caught.value.status == 400


def test_too_many_events_are_told_to_send_fewer() -> None:
    with pytest.raises(BadBody) as caught:
        parsed_of("/batch/", orjson.dumps({"batch": [{}] * 5001}))
    assert (caught.value.code, caught.value.status) == ("too_many_events", 413)


def test_a_path_tells_where_in_the_body_an_event_stands() -> None:
    cases: list[tuple[Any, str]] = [({"batch": [{"event": 7}]}, "batch[0].event"), ([{"event": 7}], "[0].event")]
    for body, path in [*cases, ({"event": 7}, "event")]:
        (refused,) = parsed_of("/e/", orjson.dumps(body)).events
        assert isinstance(refused, Refused)
        assert (refused.error.reason, refused.error.path) == ("wrong_type", path)


def test_a_bad_event_is_refused_alone() -> None:
    batch = [
        {"event": "x", "properties": 7}, {"event": "x", "distinct_id": {}}, {"event": " "}, 7,
        {"event": "x", "properties": {"$set": []}}, SERVER,
    ]  # fmt: skip
    events = parsed_of("/batch", orjson.dumps({"api_key": "k", "batch": batch})).events
    told = [(one.error.reason, one.error.path) for one in events if isinstance(one, Refused)]
    assert told == [
        ("wrong_type", "batch[0].properties"), ("wrong_type", "batch[1].distinct_id"),
        ("missing_field", "batch[2].event"), ("not_an_object", "batch[3]"), ("wrong_type", "batch[4].properties.$set"),
    ]  # fmt: skip
    assert isinstance(events[-1], Sent)


def test_events_of_another_key_than_the_request_s_are_refused_alone() -> None:
    others = [{"event": "a", "properties": {"token": key}} for key in ("one", "one", "two", "***")]
    parsed = parsed_of("/e/", orjson.dumps(others))
    assert parsed.write_keys == ("one",)
    assert [isinstance(event, Refused) for event in parsed.events] == [False, False, True, False]
    (refused,) = (event for event in parsed.events if isinstance(event, Refused))
    assert (refused.error.reason, refused.error.path) == ("bad_value", "[2].properties.token")
    assert "one" not in str(parsed.shared)
    assert parsed_of("/batch/", orjson.dumps({"api_key": "***", "batch": []})).write_keys == ()
    assert parsed_of("/e/", b'{"event":"x"}', query=b"token=q").write_keys == ("q",)


# --- v1 ---------------------------------------------------------------------------------------------------------------


def test_v1_says_in_its_headers_what_v0_says_in_the_body() -> None:
    body = orjson.dumps({"created_at": "2026-11-25T07:18:29.057Z", "batch": [V1]})
    parsed = parsed_of("/i/v1/analytics/events", body, headers=V1_HEADERS)
    (sent,) = parsed.events
    assert isinstance(sent, Sent)
    assert parsed.sent_at == "2026-11-25T07:18:29.057Z"
    assert sent.event["library"] == {"name": "posthog-python", "version": "7.91.1"}
    assert (sent.event["client_session_id"], sent.server_side) == ("s-1", True)


async def verdicts(folder: Path) -> dict[str, Any]:
    batch = [
        V1, V1 | {"uuid": "bad", "event": "Order Completed", "properties": {"total": "x"}},
        V1 | {"uuid": "also bad", "event": 7}, V1,
    ]  # fmt: skip
    async with running(settings_in(folder)) as collector:
        headers = {"authorization": f"Bearer {SERVER_KEY}", "posthog-sdk-info": "posthog-python/7.91.1"}
        answers = [await collector.post("/i/v1/analytics/events", {"batch": batch}, headers) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200]
        (stored,) = await collector.stored()
        assert stored["protocol"] == "posthog"
        v0 = await collector.post("/e/", [WEB], {"origin": ORIGIN})
        assert (v0.status_code, v0.content) == (200, b'{"status":1}')
        lost = await collector.post("/e/", {"event": "x", "api_key": "unknown"})
        assert (lost.status_code, lost.json()["code"]) == (401, "unknown_key")
        return {"first": answers[0].json()["results"], "second": answers[1].json()["results"]}


def test_v1_is_told_what_became_of_each_event(tmp_path: Path) -> None:
    found = asyncio.run(verdicts(tmp_path))
    first = found["first"]
    uuid = str(V1["uuid"])
    assert first[uuid]["result"] == "ok"
    assert (first[uuid]["status"], first[uuid]["offset"]) == ("accepted", 0)
    assert (first["bad"]["result"], first["bad"]["path"]) == ("drop", "batch[1].properties.total")
    assert first["bad"]["details"].startswith("wrong_type at batch[1].properties.total: a number is needed")
    assert (first["also bad"]["result"], first["also bad"]["reason"]) == ("drop", "wrong_type")
    assert (found["second"][uuid]["result"], found["second"][uuid]["status"]) == ("ok", "duplicate")


def test_what_is_not_kept_on_purpose_is_no_failure() -> None:
    filtered = {"status": "filtered", "id": "u", "reason": "consent"}
    assert orjson.loads(posthog.answer([filtered], [None]).body)["results"] == {
        "u": {"result": "warning", "details": "not kept: consent", **filtered}
    }


# --- Start-up ---------------------------------------------------------------------------------------------------------


def asked(path: str, method: str = "GET") -> Reply:
    served = Routes(SETTINGS).find(path)
    assert served
    reply = served[method].route.reply
    assert reply
    return reply(Request(method, path.removesuffix("/"), {}, b"", b"", SETTINGS))


def test_sdks_are_told_what_they_ask_before_they_send() -> None:
    for path in ("/flags/", "/decide/"):
        told = orjson.loads(asked(path, "POST").body)
        assert (told["featureFlags"], told["errorsWhileComputingFlags"]) == ({}, False)
        assert "gzip-js" in told["supportedCompression"]
    assert orjson.loads(asked("/array/wk_shop/config").body)["token"] == "wk_shop"
    script = asked("/array/wk%22</config.js")
    assert script.content_type.startswith(b"text/javascript")
    found = re.fullmatch(rb"window\._POSTHOG_REMOTE_CONFIG=Object\.assign\([^,]+,(\{.*\})\);", script.body)
    assert found
    assert list(orjson.loads(found[1])) == ["wk%22<"]
    assert orjson.loads(asked("/api/surveys/").body) == {"surveys": []}


# --- Paths shared with Mixpanel ---------------------------------------------------------------------------------------


def test_values_decoded_elsewhere_are_read_when_they_are_ours() -> None:
    assert posthog.are_ours(WEB)
    assert posthog.are_ours([WEB])
    assert posthog.are_ours({"batch": []})
    others: tuple[Any, ...] = ({"event": "x", "properties": {"$lib": "web", "mp_lib": "web"}}, {"event": "x"}, [], 7)
    assert not any(map(posthog.are_ours, others))
    for body in (orjson.dumps([WEB]), b"data=" + base64.b64encode(orjson.dumps([WEB])) + b"&ip=0"):
        parsed = parsed_of("/track/", body)
        assert (parsed.protocol, parsed.write_keys) == ("posthog", (BROWSER_KEY,))
        assert parsed.address == ("drop" if b"ip=0" in body else None)
    assert parsed_of("/track", orjson.dumps({"event": "x", "properties": {"token": "t"}})).protocol == "mixpanel"


@settings(max_examples=100, deadline=None)
@given(values | st.lists(messages(), max_size=2), st.sampled_from(("/e/", "/batch/", "/i/v1/analytics/events")))
def test_whatever_body_comes_is_read_or_refused_as_a_whole(body: Any, path: str) -> None:
    encoded = json.dumps(body).encode()
    for sent in (encoded, b"data=" + quote(base64.b64encode(encoded)).encode(), gzip.compress(encoded)):
        try:
            assert len((parsed := parsed_of(path, sent)).events) == len(parsed.messages)
        except BadBody:
            continue
