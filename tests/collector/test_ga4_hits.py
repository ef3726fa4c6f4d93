"""gtag.js's hits: an event as the fields of a query, several as lines."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.decode import BadBody
from collector.intake import intake
from collector.sent import Parsed, Refused, Sent
from eventlog.event import EVENT
from eventlog.outcome import OUTCOME
from tests.collector.parsing import parsed_of
from tests.collector.running import BROWSER_KEY, ORIGIN, running, settings_in
from tests.collector.test_canonical import context
from tests.collector.test_replay import REPLAY, outcome_of
from tests.collector.test_replay import context as replay_context

SHARED = {
    "v": "2", "tid": "wk_shop", "gtm": "45je4b60v9", "_p": "1795435018000", "gcs": "G111", "gcd": "13r3r3r2r5",
    "npa": "0",
    "cid": "1234567890.1700000000", "uid": "u-1", "ul": "de-ch", "sr": "1280x720", "_s": "2", "sid": "1795435000",
    "sct": "1",
    "seg": "1", "dl": "https://shop.example/done?utm_source=news", "dr": "https://pay.example/",
    "dt": "Danke für Ærø 🚲",
}  # fmt: skip
PURCHASE = {
    "en": "purchase", "_ee": "1", "ep.transaction_id": "A-1", "epn.value": "119.8", "cu": "CHF", "_et": "7",
    "pr1": "idS-1~nmZelt 🚲~brNordisk~caCamping~c2Tents~pr9.90~qt2~lp3~lnResults~k0colour~v0red", "pr10": "idS-10",
    "pr2": "idS-2~nmA~~B~pr100", "up.plan": "pro", "upn.visits": "7",
}  # fmt: skip


def query(fields: dict[str, str]) -> bytes:
    # As encodeURIComponent writes it.
    return urlencode(fields, quote_via=quote, safe="~").encode()


def lines(*events: dict[str, str]) -> bytes:
    return b"\r\n".join(query(event) for event in events)


def sent_of(parsed: Parsed) -> Sent:
    (one,) = parsed.events
    assert isinstance(one, Sent), one
    return one


def hit(**fields: str) -> Sent:
    return sent_of(parsed_of("/g/collect", query=query(fields), method="GET"))


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_purchase_is_read_whole(method: str) -> None:
    parsed = parsed_of("/g/collect", query=query(SHARED | PURCHASE), method=method)
    assert (parsed.write_keys, parsed.list_name, bool(parsed.fingerprint)) == (("wk_shop",), None, True)
    assert not sent_of(parsed).server_side
    (receipt,) = intake(parsed, context(False, "ga4")).receipts
    stored = orjson.loads(receipt.record.value or b"")
    EVENT.validate_python(stored)
    wanted = {
        "id": "purchase-A-1", "name": "buy", "anonymous_id": "1234567890.1700000000", "user_id": "u-1",
        "client_session_id": "1795435000", "traits": {"plan": "pro", "visits": 7}, "time_source": "received",
        "order": {"order_id": "A-1", "value": "119.8", "currency": "CHF"}, "campaign": {"source": "news"},
        "library": {"name": "gtag.js", "version": "45je4b60v9"}, "page": {
            "url": "https://shop.example/done?utm_source=news", "referrer": "https://pay.example/", "path": "/done",
            "title": "Danke für Ærø 🚲",
        },
        "consent": {"analytics": True, "marketing_activation": True, "third_party_sharing": True, "gpc": True},
    }  # fmt: skip
    assert {name: stored.get(name) for name in wanted} == wanted
    assert {"screen": "1280x720", "locale": "de-ch", "seq": 2}.items() <= stored["client"].items()
    assert [item["product_id"] for item in stored["items"]] == ["S-1", "S-2", "S-10"]
    assert stored["items"][0] == {
        "product_id": "S-1", "name": "Zelt 🚲", "brand": "Nordisk", "price": "9.90", "quantity": 2, "position": 3,
        "currency": "CHF", "category_path": [["Camping", "Camping"], ["Tents", "Tents"]],
    }  # fmt: skip
    assert (
        stored["properties"]["items"][0] | {"colour": "red", "item_list_name": "Results"}
        == stored["properties"]["items"][0]
    )
    assert stored["items"][1]["name"] == "A~B"
    assert stored["properties"]["engagement_time_msec"] == 7


def test_lines_share_what_the_query_says() -> None:
    events = [
        {"en": "page_view", "_et": "1"},
        {"en": "scroll", "epn.percent_scrolled": "90"},
        {"en": "login", "uid": "u-2"},
    ]
    parsed = parsed_of("/g/collect", lines(*events) + b"\r\n\r\n", query=query(SHARED))
    told = [(one.path, one.event["name"], one.event["user_id"]) for one in parsed.events if isinstance(one, Sent)]
    assert told == [
        ("events[0]", "pageview", "u-1"), ("events[1]", "scroll", "u-1"), ("events[2]", "identify", "u-2"),
    ]  # fmt: skip
    assert {one.event["anonymous_id"] for one in parsed.events if isinstance(one, Sent)} == {SHARED["cid"]}


@pytest.mark.parametrize(
    ("text", "value"),
    [("7", 7), ("-7", -7), ("1.5", 1.5), ("9007199254740993", 9007199254740993), ("1e3", "1e3"), ("9" * 30, "9" * 30),
     ("x", "x"), ("nan", "nan"), ("", None), ("²", "²")],
)  # fmt: skip
def test_numbers_keep_their_digits(text: str, value: Any) -> None:
    parsed = parsed_of("/g/collect", query=query({"en": "x", "tid": "k", "epn.n": text}), method="GET")
    (receipt,) = intake(parsed, context(False, "ga4")).receipts
    assert orjson.loads(receipt.record.value or b"").get("properties", {}).get("n") == value


def test_what_is_denied_is_not_kept() -> None:
    parsed = parsed_of("/g/collect", query=query(SHARED | PURCHASE | {"gcs": "G100", "gcd": ""}), method="GET")
    (receipt,) = intake(parsed, context(False, "ga4")).receipts
    assert (receipt.status, receipt.reason) == ("filtered", "consent")
    wrong = {"gcs": "G100", "gcd": "", "epn.value": "cheap"}
    refused = parsed_of("/g/collect", query=query(SHARED | PURCHASE | wrong), method="GET")
    assert b"Zelt" not in (intake(refused, context(False, "ga4")).receipts[0].record.value or b"")


def test_a_bad_line_is_refused_alone() -> None:
    events = [{"en": "a"}, {"ep.x": "1"}, {"en": "b", "tid": "other"}, {"en": "purchase", "epn.value": "cheap"}]
    parsed = parsed_of("/g/collect", lines(*events), query=query(SHARED))
    refused = [(one.error.reason, one.error.path) for one in parsed.events if isinstance(one, Refused)]
    assert refused == [("missing_field", "events[1].en"), ("bad_value", "events[2].tid")]
    last = intake(parsed, context(False, "ga4")).receipts[-1]
    assert (last.reason, last.path) == ("wrong_type", "events[3].ep.value")


def test_a_request_has_so_many_fields_and_events_at_most() -> None:
    for body, code in ((b"en=a\n" * 5001, "too_many_events"), (b"&" * 500_000, "too_many_values")):
        with pytest.raises(BadBody) as caught:
            parsed_of("/g/collect", body, query=query(SHARED))
        assert caught.value.code == code


def test_a_repeated_request_and_a_purchase_told_again_count_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(settings_in(tmp_path)) as collector:
            web = {"origin": ORIGIN, "content-type": "text/plain;charset=UTF-8"}
            path = "/g/collect?" + query({**SHARED, "tid": BROWSER_KEY}).decode()
            body = lines({"en": "page_view"}, {"en": "purchase", "ep.transaction_id": "A-1"})
            for _ in range(2):
                answer = await collector.post(path, body, web)
                assert (answer.status_code, answer.content) == (200, b"")
                assert answer.headers["access-control-allow-origin"] == ORIGIN
            later = lines({"en": "purchase", "ep.transaction_id": "A-1"}, {"en": "page_view"})
            await collector.post(path, later, web)
            assert sorted(one["name"] for one in await collector.stored()) == ["buy", "pageview", "pageview"]

    asyncio.run(scenario())


names = st.sampled_from((
    "en", "tid", "cid", "uid", "sid", "dl", "dt", "dr", "ul", "sr", "_s", "_et", "cu", "gcs", "gcd", "npa", "gtm",
    "ep.",
    "ep.transaction_id", "epn.value", "ep.items", "ep.page_location", "up.email", "upn.n", "pr1", "pr2", "pr", "pr1000",
))  # fmt: skip
texts = st.text(max_size=12) | st.sampled_from((
    "purchase", "login", "select_item", "view_item", "search", "page_view", "consent", "idS-1~pr9~qtx~lp1~k0a~v0b",
    "~~~",
    "idS~pr9.5", "1e400", "G100", "13r3r3r2r5", " ",
))  # fmt: skip
hits = st.dictionaries(names, texts, max_size=8)


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(hits, st.lists(hits, max_size=3))
def test_whatever_is_accepted_is_a_canonical_event(shared: dict[str, str], events: list[dict[str, str]]) -> None:
    parsed = parsed_of("/g/collect", b"\n".join(map(urlencode_all, events)), query=urlencode_all(shared))
    for receipt in intake(parsed, context(False, "ga4")).receipts:
        record = orjson.loads(receipt.record.value or b"")
        (EVENT if receipt.status == "accepted" else OUTCOME).validate_python(record)


def urlencode_all(fields: dict[str, str]) -> bytes:
    return urlencode(fields, errors="replace").encode()


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=60), st.binary(max_size=60), st.sampled_from(("GET", "POST")))
def test_no_bytes_raise_anything_but_bad_body(body: bytes, text: bytes, method: str) -> None:
    try:
        parsed = parsed_of("/g/collect", body, query=text, method=method)
    except BadBody:
        return
    assert len(parsed.events) == len(parsed.messages)


def test_a_refused_hit_put_right_is_the_event_it_would_have_been() -> None:
    def receipt_of(event: dict[str, str]) -> Any:
        parsed = parsed_of("/g/collect", lines(event), query=query(SHARED))
        return intake(parsed, replay_context("ga4")).receipts[0]

    outcome = outcome_of(receipt_of(PURCHASE | {"epn.value": "cheap"}))
    made = REPLAY.again(PURCHASE, outcome, "2/1047")
    assert made.record
    assert made.record.value == receipt_of(PURCHASE).record.value
