"""A refused event replayed is what it would have been, had it been right when it came."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from collector.context import Context, Topics
from collector.intake import Receipt, intake
from collector.replay import Again, NotKept, Replay, kept_event
from collector.settings import CollectorSettings, Limits, Source
from eventlog.account import REPLAYED_HEADER
from eventlog.outcome import OUTCOME, Outcome
from eventlog.timestamps import format_ms
from tests.collector.parsing import parsed_of
from tests.collector.test_canonical import contexts, messages, times, values

NOW = 1_795_435_018_000
KEY = b"for-tests"
SETTINGS = CollectorSettings(
    secret=SecretStr(KEY.decode()), sources={"shop": Source(browser_key="wk", origins=["https://shop.example"])}
)
REPLAY = Replay(SETTINGS)
GRANTED = {"consent": {"categoryPreferences": {"analytics": True}}}


def context(protocol: str = "trackway", **changes: Any) -> Context:
    given: dict[str, Any] = {
        "source": "shop", "protocol": protocol, "server_key": False, "required_consent": protocol == "trackway",
        "respect_dnt": True, "filter_bots": False, "limits": Limits(),
        "topics": Topics("trackway.events.v1", "trackway.rejected.v1"), "secret": KEY, "now": NOW,
        "cookie_id": "cookie-1", "received_at": format_ms(NOW), "client": {"browser": "Chrome", "ip": "192.0.2.0"},
        "gpc": True, "dnt": False, "describe": lambda address, agent: {},
    }  # fmt: skip
    return Context(**(given | changes))


def taken(batch: Any, path: str = "/tw/e", **body: Any) -> list[Receipt]:
    given = batch if isinstance(batch, bytes) else orjson.dumps({"batch": batch} | body)
    parsed = parsed_of(path, given)
    return intake(parsed, context(parsed.protocol)).receipts


def outcome_of(receipt: Receipt) -> Outcome:
    assert receipt.status == "rejected"
    outcome: Outcome = orjson.loads(receipt.record.value or b"")
    OUTCOME.validate_python(outcome)
    return outcome


def again(event: Any, outcome: Outcome) -> Again:
    return REPLAY.again(event, outcome, "2/1047")


def test_an_event_put_right_is_the_event_it_would_have_been() -> None:
    right: dict[str, Any] = {
        "type": "track", "messageId": "m1", "event": "Product Viewed", "timestamp": "2026-11-23T11:00:00Z",
        "properties": {"product_id": "S", "price": "9.90"}, "context": {"locale": "nb-NO"}, "seq": 4,
    }  # fmt: skip
    wrong = copy.deepcopy(right)
    wrong["properties"]["price"] = "cheap"
    # The reset before it makes the cookie's id another's.
    resets: list[list[dict[str, str]]] = [[], [{"type": "track", "event": "reset"}]]
    for before in resets:
        shared: dict[str, Any] = {
            "context": GRANTED | {"page": {"url": "https://shop.example/"}},
            "sentAt": "2026-11-23T11:56:50Z",
        }
        wanted = taken([*before, right], **shared)[-1].record
        outcome = outcome_of(taken([*before, wrong], **shared)[-1])
        event = kept_event(outcome)
        event["properties"]["price"] = "9.90"
        made = again(event, outcome)
        assert made.record == wanted._replace(headers=(*wanted.headers, (REPLAYED_HEADER, b"2/1047")))
        held = orjson.loads(wanted.value or b"")
        assert ("anonymous_id" in held) is (not before)
        assert (held["client"]["ip"], held["consent"]["gpc"], held["received_at"]) == (
            "192.0.2.0", True, format_ms(NOW),
        )  # fmt: skip


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(messages() | values, min_size=1, max_size=3), contexts | values, times)
def test_what_is_replayed_as_it_is_is_refused_as_it_was(batch: list[Any], shared: Any, at: Any) -> None:
    try:
        receipts = taken(batch, "/v1/batch", context=shared, sentAt=at)
    except TypeError:
        return
    for receipt in receipts:
        if receipt.status != "rejected":
            continue
        outcome = outcome_of(receipt)
        if "event" not in outcome:
            assert len(orjson.dumps(shared)) > 4096 or "prefix" not in outcome
            continue
        made = again(kept_event(outcome), outcome)
        assert (made.status, made.reason, made.id) == ("rejected", receipt.reason, receipt.id)


def test_what_is_no_number_is_put_back_and_stays_refused_until_it_is_repaired() -> None:
    body = b'{"batch":[{"type":"track","event":"x","messageId":"n","properties":{"a":NaN,"b":[1,-Infinity]}}]}'
    outcome = outcome_of(taken(body, "/v1/batch")[0])
    assert outcome["request"]["not_numbers"] == ["/properties/a", "/properties/b/1"]
    assert again(kept_event(outcome), outcome).reason == "not_a_number"
    event = kept_event(outcome)
    del event["properties"]["a"], event["properties"]["b"]
    assert again(event, outcome).status == "accepted"


def test_an_event_without_an_id_keeps_the_one_its_receipt_told() -> None:
    (receipt,) = taken([{"type": "track", "event": 7, "anonymousId": "a"}], "/v1/batch")
    assert receipt.id
    outcome = outcome_of(receipt)
    repaired = kept_event(outcome) | {"event": "seven"}
    assert [again(repaired, outcome).id for _ in range(2)] == [receipt.id] * 2


@pytest.mark.parametrize(
    "stated", [None, {"consent": {"categoryPreferences": {"analytics": False}}}, {"consent": 7}, "garbage"]
)
def test_nothing_is_kept_of_who_did_not_consent(stated: Any) -> None:
    message = {
        "type": "track",
        "event": "x",
        "userId": ["zora"],
        "context": stated,
        "properties": {"e": "zora@x.example"},
    }
    late = {"type": "track", "event": "Order Completed", "context": stated, "properties": {"total": "zora"}}
    for receipt in taken([message, late]):
        assert b"zora" not in (receipt.record.value or b"")
        outcome = outcome_of(receipt)
        assert not {"event", "request", "prefix"} & outcome.keys()
        with pytest.raises(NotKept):
            kept_event(outcome)
    granted = {**message, "context": GRANTED}
    assert kept_event(outcome_of(taken([granted])[0])) == granted


def test_what_is_too_large_keeps_its_beginning_only() -> None:
    message = {"type": "track", "event": "x", "userId": ["a"], "properties": {"text": "é" * 200_000}}
    for batch, shared in (([message], {}), ([message | {"properties": {}}], {"traits": {"t": "x" * 5000}})):
        outcome = outcome_of(taken(batch, "/v1/batch", context=shared)[0])
        assert len(outcome["prefix"]) <= 1024
        with pytest.raises(NotKept, match="too large"):
            kept_event(outcome)


def test_a_message_too_deep_to_be_written_is_refused_like_any_other() -> None:
    deep = b'{"batch":[{"type":"track","userId":' + b"[" * 400 + b"]" * 400 + b'},{"type":"track","event":"x"}]}'
    first, second = taken(deep, "/v1/batch")
    assert (first.status, second.status) == ("rejected", "accepted")
    with pytest.raises(NotKept):
        kept_event(outcome_of(first))


def test_a_poison_record_is_replayed_as_the_event_it_is() -> None:
    (receipt,) = taken([{"type": "track", "event": "x", "userId": "u", "messageId": "p"}], "/v1/batch")
    event = orjson.loads(receipt.record.value or b"")
    outcome: Outcome = {"status": "poison", "reason": "not_an_event", "source": "shop", "id": "p",
                        "received_at": format_ms(NOW), "event": event | {"kind": "click"}}  # fmt: skip
    refused = again(kept_event(outcome), outcome)
    assert (refused.status, refused.reason, refused.path) == ("rejected", "not_an_event", "kind")
    made = again(event, outcome)
    assert made.record == receipt.record._replace(headers=(*receipt.record.headers, (REPLAYED_HEADER, b"2/1047")))


def test_a_source_that_is_no_more_takes_nothing() -> None:
    outcome = outcome_of(taken([{"type": "track", "event": 7}], "/v1/batch")[0]) | {"source": "gone"}
    assert again({"type": "track", "event": "x"}, outcome).reason == "unknown_source"
