"""What the Start page tells of the first events, from the log alone."""

from __future__ import annotations

import shlex
from typing import Any, get_args

import orjson
import pytest

from eventlog.errors import FilteredReason, PoisonReason, RejectedReason
from eventlog.log import Partition, Record
from eventlog.timestamps import parse_ms
from exporter.console import start
from exporter.console.start import SenderInfo
from exporter.console.tail import Tail, Tails
from tests.console.seeds import event, outcome

AT = 1_795_000_000_000
SHOP = SenderInfo("shop", "wk_shop", ("https://shop.example",), "https://t.shop.example")


def tails(*bodies: dict[str, Any]) -> Tails:
    records: dict[str, list[Record]] = {"events": [], "rejected": []}
    for offset, body in enumerate(bodies):
        topic = "events" if "kind" in body else "rejected"
        at = parse_ms(body["received_at"])
        records[topic].insert(0, Record(Partition(topic, 0), offset, b"", orjson.dumps(body), (), at))
    sides = [Tail(tuple(records[topic]), None, len(records[topic])) for topic in ("events", "rejected")]
    return Tails(sides[0], sides[1], True, len(records["events"]), AT)


def ticks(*bodies: dict[str, Any], since: int = AT) -> list[bool]:
    events, refused = start.arrived(tails(*bodies), SHOP, since)
    return [check["done"] for check in start.checks(events, refused, "browser")]


def test_nothing_is_ticked_off_before_anything_came() -> None:
    assert ticks() == [False] * 5


def test_an_older_event_ticks_nothing_off() -> None:
    assert ticks(event(AT - 1)) == [False] * 5


def test_another_sources_event_ticks_nothing_off() -> None:
    assert ticks(event(AT, source="other")) == [False] * 5


def test_one_event_shows_request_acceptance_consent_and_id_but_no_kept_cookie() -> None:
    assert ticks(event(AT)) == [True, True, True, True, False]


def test_an_event_without_an_id_leaves_that_open_and_unstated_consent_was_implied() -> None:
    bare = event(AT)
    del bare["consent"], bare["anonymous_id"]
    assert ticks(bare) == [True, True, True, False, False]
    events, refused = start.arrived(tails(bare), SHOP, AT)
    assert "imply" in start.checks(events, refused, "browser")[2]["detail"]


def test_a_server_is_asked_for_neither_consent_nor_cookie() -> None:
    events, refused = start.arrived(tails(event(AT, channel="server")), SHOP, AT)
    assert [check["done"] for check in start.checks(events, refused, "server")] == [True, True]


def test_the_id_was_kept_when_a_second_page_load_has_it() -> None:
    first, second = event(AT, client={"seq": 1}), event(AT + 10, client={"seq": 2})
    assert ticks(first, second)[-1] is False, "both may be of one page load"
    assert ticks(first, second, event(AT + 20, client={"seq": 1}))[-1] is True
    assert ticks(first, event(AT + 20, client={"seq": 1}, anonymous_id="somebody-else"))[-1] is False


def test_events_that_can_make_no_session_say_why() -> None:
    bot, server = event(AT, client={"bot": "Headless"}), event(AT, channel="server")
    assert "bot" in start.why_no_session([bot])
    assert "server" in start.why_no_session([server, bot])
    assert start.why_no_session([bot, server, event(AT)]) == start.why_no_session([]) == ""


def test_a_refused_request_reached_us_and_is_listed_with_its_remedy() -> None:
    refused = [
        outcome(AT + n, "rejected", "origin_not_allowed", origin="https://new.example", message="not listed")
        for n in range(3)
    ]
    assert ticks(*refused) == [True, False, False, False, False]
    _, found = start.arrived(tails(*refused, outcome(AT, "duplicate", "seen")), SHOP, AT)
    (refusal,) = start.refusals(found, SHOP)
    assert (refusal["count"], refusal["origin"]) == (3, "https://new.example")
    assert refusal["first"] < refusal["last"]
    assert refusal["setting"] == 'sources:\n  shop:\n    origins: ["https://shop.example","https://new.example"]'


def test_a_request_with_an_unknown_key_is_listed_on_every_sources_page() -> None:
    body = outcome(AT, "rejected", "unknown_key", origin="https://shop.example")
    del body["source"]
    _, found = start.arrived(tails(body), SHOP, AT)
    assert [refusal["reason"] for refusal in start.refusals(found, SHOP)] == ["unknown_key"]


@pytest.mark.parametrize("reason", [*get_args(RejectedReason), *get_args(FilteredReason), *get_args(PoisonReason)])
def test_every_reason_has_a_remedy(reason: str) -> None:
    assert start.REMEDIES[reason]


def test_the_snippet_survives_a_key_with_quotes() -> None:
    odd = SenderInfo("shop", 'wk"><script>', (), "https://t.shop.example")
    assert "<script>" not in start.snippet(odd).removeprefix("<script")
    assert start.snippet(SHOP) == '<script src="https://t.shop.example/tw/t.js" data-key="wk_shop" async></script>'


def test_the_curl_line_sends_one_event_with_the_key() -> None:
    words = shlex.split(start.curl_line(SHOP, "browser"))
    assert words[:3] == ["curl", "-i", "https://t.shop.example/v1/batch"]
    assert orjson.loads(words[-1])["writeKey"] == "wk_shop"
    assert "$SERVER_KEY" in start.curl_line(SHOP, "server")
    assert "wk_shop" not in start.curl_line(SHOP, "server")
