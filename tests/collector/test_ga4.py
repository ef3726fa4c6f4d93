"""GA4's Measurement Protocol: what servers send, and what others may."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.decode import BadBody
from collector.intake import intake
from collector.meanings import GA4
from collector.sent import Parsed, Refused, Sent
from eventlog.event import EVENT
from eventlog.outcome import OUTCOME
from tests.collector.parsing import parsed_of
from tests.collector.running import BROWSER_KEY, SERVER_KEY, running, settings_in
from tests.collector.test_canonical import NOW, context, values
from tests.collector.test_replay import REPLAY, outcome_of
from tests.collector.test_replay import context as replay_context

AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
ITEMS = [
    {"item_id": "S-1", "item_name": "Zelt 🚲", "item_brand": "Nordisk", "item_category": "Camping",
     "item_category2": "Tents", "price": 9.9, "quantity": 2, "index": 3},
    {"item_id": "S-2", "price": 100},
]  # fmt: skip
PURCHASE = {
    "name": "purchase",
    "params": {
        "transaction_id": "A-1", "value": 119.8, "currency": "CHF", "tax": 1.5, "items": ITEMS,
        "session_id": 1795435000, "engagement_time_msec": 5,
        "page_location": "https://shop.example/done?utm_source=news&email=a@b.example",
        "page_title": "Danke", "page_referrer": "https://pay.example/",
    },
}  # fmt: skip
BODY: dict[str, Any] = {
    "client_id": "1234567890.1700000000", "user_id": "u-1", "timestamp_micros": 1795435018034999,
    "user_properties": {"plan": {"value": "pro"}, "old": {"value": None}}, "events": [PURCHASE],
    "consent": {"ad_user_data": "DENIED", "ad_personalization": "GRANTED"}, "ip_override": "192.0.2.77",
    "user_agent": AGENT, "user_location": {"country_id": "CH", "city": "Bern"},
    "device": {"category": "mobile", "language": "de-CH", "screen_resolution": "390x844", "operating_system": "iOS"},
}  # fmt: skip


def parsed(body: Any, path: str = "/mp/collect", **request: Any) -> Parsed:
    return parsed_of(path, body if isinstance(body, bytes) else orjson.dumps(body), **request)


def sent(events: Any, **more: Any) -> Sent:
    (one,) = parsed({"client_id": "c", "events": events, **more}).events
    assert isinstance(one, Sent), one
    return one


def test_a_servers_purchase_is_read_whole() -> None:
    read = parsed(BODY, query=b"measurement_id=G-SHOP&api_secret=sk_shop")
    assert (read.write_keys, read.fingerprint, read.is_trial) == (("sk_shop", "G-SHOP"), b"", False)
    (receipt,) = intake(read, context(False, "ga4")).receipts
    stored = orjson.loads(receipt.record.value or b"")
    EVENT.validate_python(stored)
    wanted = {
        "id": "purchase-A-1", "name": "buy", "kind": "track", "anonymous_id": "1234567890.1700000000", "user_id": "u-1",
        "client_session_id": "1795435000", "traits": {"plan": "pro", "old": None}, "channel": "server",
        "occurred_at": "2026-11-23T11:56:58.034Z", "time_source": "exact",
        "order": {"order_id": "A-1", "value": "119.8", "currency": "CHF", "tax": "1.5"},
        "campaign": {"source": "news"}, "client": {
            "device": "mobile", "os": "iOS", "locale": "de-CH", "screen": "390x844", "country": "CH",
        },
    }  # fmt: skip
    assert {name: stored.get(name) for name in wanted} == wanted
    assert stored["page"] == {
        "url": "https://shop.example/done?utm_source=news&email=***", "title": "Danke", "path": "/done",
        "referrer": "https://pay.example/",
    }  # fmt: skip
    assert stored["consent"] == {"third_party_sharing": False, "marketing_activation": True, "gpc": True}
    assert set(stored["properties"]) == {"transaction_id", "value", "currency", "tax", "items", "engagement_time_msec"}
    assert stored["items"] == [
        {"product_id": "S-1", "name": "Zelt 🚲", "brand": "Nordisk", "price": "9.9", "quantity": 2, "position": 3,
         "currency": "CHF", "category_path": [["Camping", "Camping"], ["Tents", "Tents"]]},
        {"product_id": "S-2", "price": "100", "currency": "CHF"},
    ]  # fmt: skip


def test_the_address_and_agent_that_a_server_states_are_the_persons(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(settings_in(tmp_path)) as collector:
            answer = await collector.post(f"/mp/collect/?api_secret={SERVER_KEY}", BODY)
            assert (answer.status_code, answer.content) == (200, b"")
            (event,) = await collector.stored()
            assert (event["client"]["ip"], event["client"]["browser"]) == ("192.0.2.0", "Chrome")

    asyncio.run(scenario())


def test_a_page_that_speaks_the_protocol_is_a_browser() -> None:
    read = parsed(BODY, headers={b"origin": b"https://shop.example"})
    assert read.fingerprint
    (one,) = read.events
    assert isinstance(one, Sent)
    assert not one.server_side


@pytest.mark.parametrize(
    ("name", "params", "user", "wanted"),
    [
        ("page_view", {}, None, ("pageview", "page")),
        ("screen_view", {}, None, ("screen", "screen")),
        ("login", {"method": "x"}, "u", ("identify", "identify")),
        ("sign_up", {}, "u", ("identify", "identify")),
        ("login", {}, None, ("login", "track")),
        ("sign_up", {}, " ", ("sign_up", "track")),
        ("logout", {}, "u", ("reset", "track")),
        ("select_item", {"item_list_name": "Related"}, None, ("itemclick", "track")),
        ("select_item", {"item_list_name": "Search results"}, None, ("searchclick", "track")),
        ("select_item", {"items": [{"item_list_id": "site_search"}]}, None, ("searchclick", "track")),
        ("view_search_results", {}, None, ("search", "track")),
        ("scroll", {}, None, ("scroll", "track")),
        ("Eigenes 📚", {}, None, ("Eigenes 📚", "track")),
    ],
)
def test_names(name: str, params: dict[str, Any], user: str | None, wanted: tuple[str, str]) -> None:
    one = sent([{"name": name, "params": params}], user_id=user)
    assert (one.event["name"], one.event["kind"]) == wanted


def test_each_event_may_have_its_own_time_and_campaign() -> None:
    details = {"source": "news", "medium": "mail", "campaign": "winter", "campaign_id": "7"}
    one = sent(
        {"name": "campaign_details", "params": details, "timestamp_micros": "1795435018000000"}, timestamp_micros=1
    )
    assert one.client_time == "2026-11-23T11:56:58.000Z"
    assert one.event["campaign"] == {"source": "news", "medium": "mail", "name": "winter"}
    assert "campaign" not in sent([{"name": "share", "params": {"source": "x"}}]).event


def test_a_search_says_what_and_in_which_list() -> None:
    read = parsed({"events": [{"name": "search", "params": {"search_term": "Zelt", "item_list_name": "Results"}}]})
    (receipt,) = intake(read, context(True, "ga4")).receipts
    assert orjson.loads(receipt.record.value or b"")["search"] == {"query": "Zelt", "list": "Results"}


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"7", b'{"events":7}', b'{"events":null}', b"{"])
def test_what_nothing_can_be_read_of_is_refused_whole(body: bytes) -> None:
    with pytest.raises(BadBody):
        parsed(body)


def test_a_bad_event_is_refused_alone() -> None:
    events = [PURCHASE, 7, {"params": {}}, {"name": "x", "params": []}, {"name": " "}, {"name": "x", "params": None}]
    read = parsed({**BODY, "events": events})
    refused = [(one.error.reason, one.error.path) for one in read.events if isinstance(one, Refused)]
    assert refused == [
        ("not_an_object", "events[1]"), ("missing_field", "events[2].name"), ("wrong_type", "events[3].params"),
        ("missing_field", "events[4].name"),
    ]  # fmt: skip


def test_the_validation_server_tells_what_is_wrong_and_stores_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(settings_in(tmp_path)) as collector:
            path = f"/debug/mp/collect?measurement_id={BROWSER_KEY}"
            events = [PURCHASE, {"name": "purchase", "params": {"value": "cheap"}}, {"params": {}}]
            answer = await collector.post(path, {"events": events})
            assert (answer.status_code, answer.json()) == (200, {"validationMessages": [
                {"fieldPath": "events[1].params.value", "description": 'a number is needed, such as 9.9 or "9.90"',
                 "validationCode": "VALUE_INVALID"},
                {"fieldPath": "events[2].name", "description": "`name`, the event's name, is needed",
                 "validationCode": "VALUE_REQUIRED"},
            ]})  # fmt: skip
            assert (await collector.post(path, BODY)).json() == {"validationMessages": []}
            assert (await collector.post("/debug/mp/collect?measurement_id=no", BODY)).status_code == 401
            assert await collector.stored() == []
            assert [one["reason"] for one in await collector.stored("rejected.v1")] == ["unknown_key"]
            # It was asked about, not sent: the same is no copy later.
            await collector.post(f"/mp/collect?measurement_id={BROWSER_KEY}", BODY)
            await collector.post(f"/mp/collect?measurement_id={BROWSER_KEY}", BODY)
            assert len(await collector.stored()) == 1

    asyncio.run(scenario())


EVENT_NAMES = (*GA4, "select_item", "campaign_details", "Own")
PARAM_NAMES = ("transaction_id", "value", "currency", "items", "session_id", "page_location", "page_title",
               "page_referrer", "search_term", "item_list_id", "item_list_name",
               "source", "campaign", "item_id", "price")  # fmt: skip
events = st.fixed_dictionaries({}, optional={
    "name": st.sampled_from(EVENT_NAMES) | values,
    "params": st.dictionaries(st.sampled_from(PARAM_NAMES), values | st.lists(
        st.dictionaries(st.sampled_from(("item_id", "item_name", "price", "quantity", "index")), values)
    ), max_size=6) | values,
    "timestamp_micros": values,
})  # fmt: skip
bodies = st.dictionaries(st.sampled_from((
    "client_id", "app_instance_id", "user_id", "timestamp_micros", "user_properties", "consent", "non_personalized_ads",
    "ip_override", "user_agent", "device", "user_location",
)), values | st.dictionaries(st.sampled_from(("plan", "email", "category", "country_id", "browser", "ad_user_data")),
                             values | st.just({"value": float("nan")})))  # fmt: skip


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(events | values, max_size=3), bodies, st.booleans())
def test_whatever_is_accepted_is_a_canonical_event(batch: list[Any], body: dict[str, Any], server: bool) -> None:
    read = parsed(json.dumps({**body, "events": batch}).encode("utf-8", "surrogatepass"))
    receipts = intake(read, context(server, "ga4")).receipts
    assert len(receipts) == len(batch)
    for receipt in receipts:
        record = orjson.loads(receipt.record.value or b"")
        (EVENT if receipt.status == "accepted" else OUTCOME).validate_python(record)


def test_a_refused_event_put_right_is_the_event_it_would_have_been() -> None:
    wrong = {**PURCHASE, "params": {**PURCHASE["params"], "value": "cheap"}}  # type: ignore[dict-item]

    def receipt_of(event: Any) -> Any:
        return intake(parsed({**BODY, "events": [event]}), replay_context("ga4", now=NOW)).receipts[0]

    outcome = outcome_of(receipt_of(wrong))
    assert (outcome["path"], outcome["id"]) == ("events[0].params.value", "purchase-A-1")
    made = REPLAY.again(PURCHASE, outcome, "2/1047")
    assert made.record
    wanted = orjson.loads(receipt_of(PURCHASE).record.value)
    # What a replay reads anew of an address and an agent is by the settings of now.
    assert {name: one for name, one in orjson.loads(made.record.value or b"").items() if name != "client"} == {
        name: one for name, one in wanted.items() if name != "client"
    }  # fmt: skip
