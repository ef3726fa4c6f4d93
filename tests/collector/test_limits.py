"""Each limit of a body and of an event: the whole body refused where nothing can be read, else the event alone."""

from __future__ import annotations

import asyncio
import gc
import gzip
import time
from pathlib import Path
from typing import Any

import brotli
import orjson
import pytest
from starlette.types import Message

from collector.body import Flight, Held, read_body
from collector.decode import BadBody, NotANumber, decode
from collector.identity import read_cookie
from collector.intake import intake
from collector.settings import Cookie, Limits
from collector.sources import Refusal, Sources, keys_of
from collector.statuses import Overload
from tests.collector.parsing import parsed_of
from tests.collector.running import BROWSER_KEY, SERVER_KEY, running, settings_in
from tests.collector.test_canonical import context

TRACK = {"type": "track", "event": "x", "userId": "u"}
SMALL = Limits(event_keys=20, text_characters=400, event_bytes=4000, depth=5)


def nested(depth: int, inner: str = "1") -> str:
    return "[" * depth + inner + "]" * depth


def of(properties: str) -> bytes:
    good = '{"type":"track","event":"good","userId":"u"}'
    bad = f'{{"type":"track","event":"bad","userId":"u","properties":{properties}}}'
    return f'{{"batch":[{good},{bad},{good}]}}'.encode()


MANY = ",".join(f'"k{number}":{{"a":1}}' for number in range(30))
LONG_KEY = "k" * 100_000


@pytest.mark.parametrize(
    ("properties", "reason", "path"),
    [
        ('{"a":NaN}', "not_a_number", "batch[1].properties.a"),
        ('{"a":[1,{"b":-Infinity}]}', "not_a_number", "batch[1].properties.a[1].b"),
        ('{"a":1e400}', "not_a_number", "batch[1].properties.a"),
        (f'{{"a":{nested(6)}}}', "too_deep", "batch[1].properties.a[0][0][0][0][0]"),
        (f'{{"a":{nested(400)}}}', "too_deep", "batch[1].properties.a[0][0][0][0][0]"),
        (f'{{"n":NaN,"a":{nested(400)}}}', None, None),  # whichever is seen first
        (f'{{"a":"{"x" * 401}"}}', "too_long", "batch[1].properties.a"),
        (f'{{"a":["{"x" * 401}"]}}', "too_long", "batch[1].properties.a[0]"),
        (f"{{{MANY}}}", "too_many_keys", "batch[1].properties"),
        (f'{{"a":{{{MANY}}}}}', "too_many_keys", "batch[1].properties.a"),
        (f'{{"a":{"1" * 10_000}}}', "too_large", "batch[1]"),
        (f'{{"{LONG_KEY}":[{"{}," * 5000}{{}}]}}', "too_large", "batch[1]"),
        (f'{{"{LONG_KEY}":[NaN]}}', "not_a_number", f"batch[1].properties.{'k' * 100}[0]"),
        ("7", "wrong_type", "batch[1].properties"),
        ('"x"', "wrong_type", "batch[1].properties"),
    ],
)
def test_an_event_is_refused_alone(properties: str, reason: str | None, path: str | None) -> None:
    given = context(server_key=True, protocol="segment")
    given.limits = SMALL
    taken = intake(parsed_of("/v1/batch", of(properties)), given)
    assert [one.status for one in taken.receipts] == ["accepted", "rejected", "accepted"]
    if reason:
        assert (taken.receipts[1].reason, taken.receipts[1].path) == (reason, path)
    outcome = orjson.loads(taken.receipts[1].record.value or b"")
    assert len(outcome["path"]) <= 512


@pytest.mark.parametrize(
    "message",
    [
        {**TRACK, "event": "e" * 513}, {**TRACK, "messageId": "i" * 257}, {**TRACK, "messageId": 7},
        {**TRACK, "userId": {"a": 1}}, {**TRACK, "event": ["x"]}, {**TRACK, "traits": "x"}, {**TRACK, "context": [1]},
        {**TRACK, "timestamp": {}}, {"type": ["track"]}, {"type": None}, [], None, 1.5, "track", [[[]]],
        {**TRACK, "type": "x" * 100_000}, {"messageId": "i" * 100_000},
    ],
)  # fmt: skip
def test_wrong_types_and_long_names_refuse_their_event_with_a_short_answer(message: Any) -> None:
    body = orjson.dumps({"batch": [TRACK, message, TRACK]})
    taken = intake(parsed_of("/v1/batch", body), context(server_key=True, protocol="segment"))
    assert [one.status for one in taken.receipts] == ["accepted", "rejected", "accepted"]
    bad = taken.receipts[1]
    assert bad.reason
    assert bad.path
    assert len(bad.id or "") <= 256
    assert len(bad.path) + len(bad.message or "") < 1000


def test_what_was_refused_leaves_no_garbage() -> None:
    body = b'{"batch":[{"type":"odd"},7,{"type":"track","event":["x"]},{"type":"page","properties":{"n":NaN}}]}'
    gc.collect()
    gc.disable()
    try:
        intake(parsed_of("/v1/batch", body), context(server_key=True, protocol="segment"))
        assert gc.collect() == 0
    finally:
        gc.enable()


def outcomes(body: bytes) -> list[dict[str, Any]]:
    taken = intake(parsed_of("/v1/batch", body), context(server_key=True, protocol="segment"))
    return [orjson.loads(one.record.value or b"") for one in taken.receipts]


def test_of_a_deep_message_something_is_kept_to_find_it_by() -> None:
    (outcome,) = outcomes(b'{"batch":[{"type":"odd","event":"findme","deep":%s}]}' % nested(500).encode())
    assert "findme" in outcome["prefix"]


def test_long_keys_and_long_contexts_cost_no_more_than_they_are_long() -> None:
    begun = time.perf_counter()
    long_key = b'{"type":"track","event":"x","properties":{"%s":[%s]}}'
    (outcome,) = outcomes(b'{"batch":[%s]}' % (long_key % (b"k" * 2_000_000, b"NaN," * 150_000 + b"1")))
    assert len(outcome["prefix"]) <= 1024
    (outcome,) = outcomes(b'{"batch":[%s]}' % (long_key % (b"k" * 2_000_000, b"[{}]," * 100_000 + b"NaN")))
    assert outcome["reason"] == "not_a_number"
    title = b"t" * 5_000_000
    found = outcomes(b'{"context":{"page":{"title":"%s"}},"batch":[%s]}' % (title, b"1," * 4999 + b"1"))
    assert {one["reason"] for one in found} == {"not_an_object"}
    assert time.perf_counter() - begun < 20


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[" * 100_000, "too_deep"), (b'{"a":' * 100_000, "too_deep"), (nested(100_000).encode(), "too_deep"),
        (b'{"batch":[{"a":"\xc3"}]}', "not_utf8"), (b"\xff\xfe{\x00}\x00", "not_utf8"), (b"", "invalid_json"),
        (b"{'a':1}", "invalid_json"), (b'{"a":1}{"b":2}', "invalid_json"), (b'{"a":01}', "invalid_json"),
        (b"[" + b"[]," * 300_000 + b"[]]", "too_many_values"), (b"[" + b"1," * 600_000 + b"1]", "too_many_values"),
        (b"\x00" * 100, "invalid_json"), (b'{"a":tru}', "invalid_json"),
    ],
)  # fmt: skip
def test_a_body_nothing_can_be_read_from_is_refused_whole(body: bytes, code: str) -> None:
    begun = time.perf_counter()
    with pytest.raises(BadBody) as caught:
        decode(body)
    assert caught.value.code == code
    assert time.perf_counter() - begun < 5


def test_the_slow_road_reads_what_the_fast_one_refuses() -> None:
    values = decode(b'{"a\\ud800":["\\udc00x","\\ud83d\\ude00",{"\xed\xa0\x80":1e999}],"n":-123456789012345678901}')
    assert list(values) == ["a\ufffd", "n"]
    assert values["a\ufffd"][:2] == ["\ufffdx", "\U0001f600"]
    assert isinstance(next(iter(values["a\ufffd"][2].values())), NotANumber)
    assert values["n"] == "-123456789012345678901"
    assert decode(b'{"a":1,"a":2}') == {"a": 2}
    digits = b"9" * 1_000_000
    begun = time.perf_counter()
    assert decode(b'{"a":%s}' % digits) == {"a": digits.decode()}
    assert decode(b'{"a":0.%s}' % digits)["a"] == pytest.approx(1)
    assert time.perf_counter() - begun < 5


def test_cookies_and_keys_of_any_bytes_are_read_or_ignored() -> None:
    for value in ("tw_id=a.\xb2", "tw_id=a.%C2%B2", "tw_id=a.\u0663", "tw_id=%", "tw_id=a.99999999", "tw_id", "=;;="):
        assert read_cookie(value, Cookie()) == (None, 0)
    for header in (b"Basic \xff", b"Basic ====", b"Basic /////w==", b"Basic", b"", b"Bearer ", b"\xff\xff x"):
        assert keys_of({b"authorization": header}, b"", ("body",)) == ("body",)
    assert keys_of({}, b"&".join(b"a=%d" % number for number in range(500)), ("body",)) == ("body",)
    with pytest.raises(Refusal):
        Sources({}).grant(("\udcff",), None, None)


# --- Bodies as they arrive --------------------------------------------------------------------------------------------


def reading(parts: list[bytes], limits: Limits, flight: Flight, held: Held | None = None) -> bytes | bytearray:
    waiting = list(parts)

    async def receive() -> Message:
        if not waiting:
            await asyncio.sleep(3600)
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting) or len(parts) > 90}

    length = b"%d" % sum(map(len, parts))
    return asyncio.run(read_body({b"content-length": length}, receive, limits, held or Held(flight)))


def test_bytes_are_counted_while_they_arrive_and_given_back() -> None:
    flight = Flight(100_000)
    held = Held(flight)
    assert reading([b"a" * 10, b"b" * 20], Limits(), flight, held) == b"a" * 10 + b"b" * 20
    assert flight.held == 30
    packed = gzip.compress(b"x" * 1000)
    other = Held(flight)
    reading([packed], Limits(), flight, other)
    assert flight.held == 30 + len(packed) + 1000
    for one in (held, other):
        one.give_back()
    assert flight.held == 0


def test_over_the_bound_a_body_is_refused_and_large_ones_leave_room_for_small_ones() -> None:
    flight = Flight(400_000)
    reading([b"x" * 150_000], Limits(), flight)
    with pytest.raises(Overload) as caught:
        reading([b"x" * 1000, b"x" * 99_000], Limits(), flight)  # large from its first part on: it said so
    assert caught.value.code == "too_many_bytes"
    flight.held = 0
    for _ in range(6):
        reading([b"x" * 60_000], Limits(), flight)
    with pytest.raises(Overload):
        reading([b"x" * 60_000], Limits(), flight)
    assert flight.held == 360_000


def test_whoever_is_alone_is_not_refused_for_what_others_may_hold() -> None:
    flight = Flight(100_000)
    held = Held(flight)
    held.body = reading([b"[" + b"1," * 40_000 + b"1]"], Limits(), flight, held)
    assert held.is_long(50_000)
    assert flight.held > flight.limit
    other = Held(flight)
    other.body = b"1," * 1000
    with pytest.raises(Overload):
        other.is_long(50_000)
    assert other.is_long(999)  # refused when it is read, and for good


def test_a_body_is_bounded_in_size_and_time() -> None:
    flight = Flight(10**9)
    with pytest.raises(BadBody) as caught:
        reading([b"x" * 600, b"x" * 600], Limits(body_bytes=1000), flight)
    assert caught.value.code == "body_too_large"
    with pytest.raises(BadBody) as caught:
        reading([b"x"] * 100, Limits(body_seconds=0.05), flight)
    assert caught.value.code == "slow_body"


# --- Over HTTP --------------------------------------------------------------------------------------------------------


def test_rates_hold_by_key_and_by_address_and_say_when_to_come_again(tmp_path: Path) -> None:
    limits = Limits(ip_events_per_second=1, key_events_per_second=2, burst_seconds=10)
    settings = settings_in(tmp_path, limits=limits, trusted_proxies=["127.0.0.1"])

    async def scenario() -> None:
        async with running(settings) as collector:

            async def post(key: str, address: str, events: int = 1) -> int:
                body = {"writeKey": key, "batch": [TRACK] * events}
                answer = await collector.post("/v1/batch", body, {"X-Forwarded-For": address})
                if answer.status_code == 503:
                    assert answer.json()["code"] == "rate_limited"
                    assert 1 <= int(answer.headers["retry-after"]) <= 60
                return answer.status_code

            assert await post(BROWSER_KEY, "8.8.8.8", 12) == 200
            assert await post(BROWSER_KEY, "8.8.8.8") == 503
            assert await post(BROWSER_KEY, "8.8.4.4") == 200
            assert await post(BROWSER_KEY, "2a00::1", 12) == 200
            assert await post(BROWSER_KEY, "2a00::2") == 503  # one household; the key's own bucket is full by now too
            assert await post(SERVER_KEY, "8.8.8.8", 30) == 200  # a server's address is not limited, its key is
            assert await post(SERVER_KEY, "9.9.9.9") == 503
            assert len(await collector.stored()) == 12 + 1 + 12 + 30

    asyncio.run(scenario())


def test_bodies_of_all_encodings_arrive_and_unknown_ones_are_named(tmp_path: Path) -> None:
    body = orjson.dumps({"writeKey": SERVER_KEY, "batch": [TRACK]})

    async def scenario() -> None:
        async with running(settings_in(tmp_path)) as collector:
            answer = await collector.post("/v1/batch", brotli.compress(body), {"Content-Encoding": "br"})
            assert answer.status_code == 200
            answer = await collector.post("/v1/batch", body, {"Content-Encoding": "gzip, br"})
            assert (answer.status_code, answer.json()["code"]) == (415, "unknown_compression")
            assert "zstd" in answer.json()["message"]

    asyncio.run(scenario())
