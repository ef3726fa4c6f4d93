"""One event of PostHog's: what its SDKs put on the wire, and what becomes of it."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.intake import intake
from collector.protocols import posthog
from collector.replay import NotKept, kept_event
from collector.sent import Sent
from eventlog.event import EVENT, Event
from eventlog.outcome import OUTCOME
from tests.collector.parsing import parsed_of
from tests.collector.running import BROWSER_KEY
from tests.collector.test_canonical import PRODUCT, PROPERTIES, context, products, scalars, some_of, times, values
from tests.collector.test_replay import REPLAY

ANONYMOUS = "01a20844-6403-7b01-8000-000000000001"
DEVICE = "01a20844-6403-7b01-8000-000000000002"
TEXT = "Zelte für Ærø 🚲"
# As its browser SDK 1.449 sends it.
WEB: dict[str, Any] = {
    "uuid": "01a20844-6403-7b01-9000-000000000003",
    "event": "Order Completed",
    "properties": {
        "distinct_id": "user-1", "$device_id": DEVICE, "$is_identified": True, "$session_id": "s-1",
        "$window_id": "w-1", "$pageview_id": "v-1", "$pathname": "/p",
        "$current_url": "https://shop.example/p?utm_source=news", "$referrer": "https://search.example/",
        "$browser_language": "de-CH", "$screen_width": 1280,
        "$screen_height": 720, "$timezone": "Europe/Zurich", "$lib": "web", "$lib_version": "1.449.2",
        "$insert_id": "qfp4sl48", "$time": 1795435029.533, "token": BROWSER_KEY, "utm_medium": "mail", "gclid": "g1",
        "order_id": "A-1", "total": 9.9, "products": [{"product_id": "S", "price": 9.9, "name": TEXT}],
    },
    "timestamp": "2026-11-23T11:57:09.507Z",
}  # fmt: skip
SERVER: dict[str, Any] = {
    "event": "Read", "uuid": "b5b22213-08aa-4414-b1b6-66ef6ef6213a", "distinct_id": "user-1",
    "timestamp": "2026-11-25T07:18:28.666727+00:00",
    "properties": {"n": 2**53 + 1, "$lib": "posthog-python", "$lib_version": "7.91.1", "$is_server": True,
                   "$geoip_disable": True, "$os": "Linux", "$ip": "192.0.2.7", "$raw_user_agent": "UA/1"},
}  # fmt: skip

V1 = {
    "event": "Read", "uuid": "ea2946a4-d11e-40e2-863d-d538ab3894cc", "distinct_id": "user-1", "session_id": "s-1",
    "timestamp": "2026-11-25T07:18:29.056732+00:00", "options": {}, "properties": {"n": 1, "$is_server": True},
}  # fmt: skip
V1_HEADERS = {b"posthog-sdk-info": b"posthog-python/7.91.1", b"posthog-request-timestamp": b"2026-11-25T07:18:29.057Z"}


def one(message: dict[str, Any], **more: Any) -> Sent:
    (sent,) = parsed_of("/batch", orjson.dumps({"batch": [message], **more})).events
    assert isinstance(sent, Sent), sent
    return sent


def event_of(message: dict[str, Any]) -> Event:
    return one(message).event


def captured(
    named: str, distinct: str | None = "user-1", said: dict[str, Any] | None = None, *, server: bool = False
) -> dict[str, Any]:
    lib: dict[str, Any] = (
        {"$lib": "posthog-node", "$is_server": True} if server else {"$lib": "web", "$is_identified": False}
    )
    return {"event": named, "uuid": "u", "distinct_id": distinct, "properties": lib | (said or {})}


# --- Who --------------------------------------------------------------------------------------------------------------


def ids(message: dict[str, Any]) -> dict[str, Any]:
    event: dict[str, Any] = dict(event_of(message))
    return {name: event[name] for name in ("user_id", "anonymous_id", "previous_id", "group_id") if name in event}


def test_a_browser_s_visitor_is_anonymous_until_identified() -> None:
    assert ids(captured("x", ANONYMOUS)) == {"anonymous_id": ANONYMOUS}
    # After a reset the device stays what it was, and the visitor is another.
    assert ids(captured("x", ANONYMOUS, {"$device_id": DEVICE})) == {"anonymous_id": ANONYMOUS}
    assert ids(WEB) == {"user_id": "user-1", "anonymous_id": DEVICE}
    # Older versions tell by `$user_id`.
    older = {"$lib": "web", "$device_id": DEVICE, "$is_identified": None}
    assert ids(captured("x", "user-1", older | {"$user_id": "user-1"})) == {
        "user_id": "user-1",
        "anonymous_id": DEVICE,
    }
    assert ids(captured("x", ANONYMOUS, older)) == {"anonymous_id": ANONYMOUS}


def test_what_others_send_is_about_who_the_caller_named() -> None:
    assert ids(SERVER) == {"user_id": "user-1"}
    assert ids({"event": "x", "distinct_id": 4711}) == {"user_id": "4711"}
    assert ids({"event": "x", "distinct_id": DEVICE, "properties": {"$device_id": DEVICE}}) == {"anonymous_id": DEVICE}
    assert ids({"event": "x", "distinct_id": None, "properties": {"distinct_id": ""}}) == {}


def test_identify_joins_the_anonymous_visitor_to_the_user() -> None:
    message = captured("$identify", "user-1", {"$anon_distinct_id": ANONYMOUS, "$device_id": DEVICE})
    message |= {"$set": {"email": "ada@example.com", "$browser": "Chrome"}, "$set_once": {"first": TEXT, "$initial": 1}}
    sent = one(message)
    assert (sent.event["name"], sent.event["kind"], sent.email) == ("identify", "identify", "ada@example.com")
    assert ids(message) == {"user_id": "user-1", "anonymous_id": ANONYMOUS}
    assert (sent.event["traits"], sent.event["traits_once"]) == ({"email": "ada@example.com"}, {"first": TEXT})
    unset = event_of(captured("$unset", said={"$unset": ["plan", 7]}, server=True))
    assert (unset["name"], unset["user_id"], unset["traits"]) == ("identify", "user-1", {"plan": None})


def test_an_alias_means_the_same_in_whichever_order_it_is_told() -> None:
    def alias(lib: str, distinct: str, other: str, named: str = "$create_alias") -> dict[str, Any]:
        properties = {"$lib": lib, "distinct_id": distinct, "alias": other}
        return {"event": named, "distinct_id": distinct, "properties": properties}

    expected = {"user_id": "user-1", "previous_id": "anon-1"}
    assert ids(alias("posthog-python", "anon-1", "user-1")) == expected
    assert ids(alias("posthog-node", "user-1", "anon-1")) == expected
    assert ids(alias("web", "user-1", "anon-1", "$merge_dangerously")) == expected
    expected["previous_id"] = ANONYMOUS
    for lib in ("posthog-python", "posthog-node", "web"):
        assert ids(alias(lib, ANONYMOUS, "user-1")) == ids(alias(lib, "user-1", ANONYMOUS)) == expected
    assert "properties" not in event_of(alias("web", "user-1", "anon-1"))


def test_groups() -> None:
    stated = {"$group_type": "company", "$group_key": 7, "$group_set": {"plan": "pro"}}
    for made_up in ("$company_7", ANONYMOUS):
        event = event_of(captured("$groupidentify", made_up, said=stated, server=True))
        assert (event["kind"], event["group_id"], event["traits"]) == ("group", "7", {"plan": "pro"})
        assert event["properties"] == {"group_type": "company"}
        assert "user_id" not in event
    assert ids(captured("$groupidentify", "user-1", said=stated, server=True)) == {"user_id": "user-1", "group_id": "7"}
    groups = {"company": "c-7", "project": "p"}
    event = event_of(captured("x", said={"$groups": groups}, server=True))
    assert (event["group_id"], event["properties"]) == ("c-7", {"$groups": groups})


def test_no_profile_is_made_where_the_sender_wants_none() -> None:
    nobody = {"$process_person_profile": False}
    assert ids(captured("x", ANONYMOUS, nobody)) == {"anonymous_id": ANONYMOUS}
    assert ids(captured("x", "user-1", nobody | {"$is_identified": True, "$device_id": DEVICE})) == {
        "anonymous_id": DEVICE
    }
    event = event_of(captured("cron ran", ANONYMOUS, nobody, server=True))
    assert (ids(captured("cron ran", ANONYMOUS, nobody, server=True)), event["properties"]) == (
        {},
        {"distinct_id": ANONYMOUS},
    )
    by_option = SERVER | {"options": {"process_person_profile": False}}
    assert "user_id" not in event_of(by_option)


def test_a_page_that_may_not_recognise_anybody_gets_no_cookie_and_gives_no_id() -> None:
    message = captured("$pageview", "$posthog_cookieless", {"$cookieless_mode": True, "$device_id": None})
    parsed = parsed_of("/e/", orjson.dumps(message))
    assert parsed.is_anonymous
    assert ids(message) == {}
    nobody = {"$cookieless_mode": True, "$anon_distinct_id": "$posthog_cookieless", "alias": "$posthog_cookieless"}
    assert (
        ids(captured("$identify", said=nobody)) == ids(captured("$create_alias", said=nobody)) == {"user_id": "user-1"}
    )
    assert not parsed_of("/e/", orjson.dumps(WEB)).is_anonymous


# --- What, where, when ------------------------------------------------------------------------------------------------


def test_names() -> None:
    expected = {
        "$pageview": ("pageview", "page"), "$pageleave": ("$pageleave", "track"), "$screen": ("screen", "screen"),
        "$autocapture": ("$autocapture", "track"), "$feature_flag_called": ("$feature_flag_called", "track"),
        "$set": ("identify", "identify"), "$set_once": ("identify", "identify"), "Product Added": ("basket", "track"),
        "$reset": ("reset", "track"), "Logged Out": ("reset", "track"), TEXT: (TEXT, "track"),
    }  # fmt: skip
    for named, (name, kind) in expected.items():
        event = event_of(captured(named))
        assert (event["name"], event["kind"]) == (name, kind)


def test_what_stands_beside_the_properties_is_told_apart_from_them() -> None:
    sent = one(WEB)
    event = sent.event
    assert event["properties"].keys() == {"utm_medium", "gclid", "order_id", "total", "products"}
    assert event["page"] == {
        "url": "https://shop.example/p?utm_source=news", "path": "/p", "view_id": "v-1",
        "referrer": "https://search.example/",
    }  # fmt: skip
    assert event["campaign"] == {"medium": "mail", "click_id": "gclid:g1"}
    assert event["client"] == {"locale": "de-CH", "timezone": "Europe/Zurich", "screen": "1280x720"}
    assert (event["client_session_id"], event["library"]) == ("s-1", {"name": "web", "version": "1.449.2"})
    assert (sent.server_side, sent.client_time) == (False, "2026-11-23T11:57:09.507Z")
    page = event_of(
        captured("$pageview", said={"$referrer": "$direct", "$current_url": "https://a.example/", "title": TEXT})
    )
    assert page["page"] == {"url": "https://a.example/", "title": TEXT}
    screen = event_of(captured("$screen", said={"$screen_name": "Home"}))
    assert screen["properties"] == {"name": "Home"}
    flag = event_of(
        captured("$feature_flag_called", said={"$feature_flag": "a", "$feature/a": 1, "$active_feature_flags": []})
    )
    assert flag["properties"] == {"$feature_flag": "a"}
    written = event_of(captured("$ai_generation", said={"$ai_model": "m", "$feature_flag": "a"}))
    assert written["properties"] == {"$ai_model": "m"}


def test_a_server_tells_of_the_person_s_device() -> None:
    sent = one(SERVER)
    assert sent.server_side
    assert sent.event["client"] == {"ip": "192.0.2.7", "user_agent": "UA/1"}
    assert sent.event["properties"] == {"n": 2**53 + 1}


def test_times() -> None:
    def time_of(query: bytes = b"", **message: Any) -> tuple[str | None, bool]:
        (sent,) = parsed_of("/e/", orjson.dumps({"event": "x"} | message), query=query).events
        assert isinstance(sent, Sent)
        return sent.client_time, sent.exact_time

    at = "2026-11-23T11:56:58.747Z"
    assert time_of(timestamp=at, properties={"$ignore_sent_at": True}) == (at, True)
    assert time_of(timestamp=at, options={"disable_skew_correction": True}) == (at, True)
    assert time_of(timestamp=1795435018747) == (at, False)
    assert time_of(properties={"$time": 1795435018.747}) == (at, False)
    assert time_of(b"_=1795435019747", offset=1000) == (at, False)
    assert time_of(offset=1000) == (None, False)
    assert one(SERVER, historical_migration=True).exact_time
    for name in ("sent_at", "sentAt"):
        assert parsed_of("/batch", orjson.dumps({"batch": [], name: at})).sent_at == at


def test_an_event_without_an_id_gets_one_of_its_own_that_stays() -> None:
    older = {name: value for name, value in SERVER.items() if name != "uuid"}
    first = event_of(older)["id"]
    assert event_of(older)["id"] == first
    assert event_of(older | {"timestamp": "2026-11-25T07:18:28.666728+00:00"})["id"] != first
    # Others may have been at the same millisecond.
    assert "id" not in event_of(older | {"timestamp": "2026-11-25T07:18:28.666Z"})
    assert event_of(captured("x") | {"uuid": None, "properties": {"$insert_id": "i"}})["id"] == "i"


# --- Whatever comes ---------------------------------------------------------------------------------------------------

NAMES = ("$identify", "$set", "$create_alias", "$groupidentify", "$pageview", "$screen", "Order Completed", "x")
OWN = (
    "distinct_id", "$device_id", "$is_identified", "$user_id", "$anon_distinct_id", "alias", "token", "$lib",
    "$lib_version", "$is_server", "$set", "$set_once", "$unset", "$groups", "$group_key", "$group_type", "$group_set",
    "$current_url", "$referrer", "$pathname", "title", "$session_id", "$screen_width", "$screen_height", "$ip",
    "$raw_user_agent", "$browser_language", "$timezone", "$time", "utm_source", "gclid", "$process_person_profile",
    "$cookieless_mode", "$ignore_sent_at", "$insert_id", "$screen_name", "$elements",
)  # fmt: skip


@st.composite
def messages(draw: st.DrawFn) -> Any:
    message: dict[str, Any] = {"event": draw(st.sampled_from(NAMES) | values)}
    for name, of in (
        ("uuid", scalars), ("distinct_id", scalars), ("timestamp", times | scalars), ("offset", scalars),
        ("$set", some_of(("email", "x", "$y"))), ("$set_once", values), ("$unset", values), ("session_id", scalars),
        ("options", some_of(("process_person_profile", "disable_skew_correction", "cookieless_mode"))),
        ("properties", some_of(OWN) | some_of((*PROPERTIES, *PRODUCT, *OWN), values | products)),
    ):  # fmt: skip
        if draw(st.booleans()):
            message[name] = draw(of | values)
    return message


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(messages() | values, min_size=1, max_size=4), times | scalars, st.booleans(), st.booleans())
def test_whatever_comes_is_a_canonical_event_or_refused_with_a_reason(
    batch: list[Any], at: Any, is_v1: bool, server_key: bool
) -> None:
    body = json.dumps({"batch": batch, "sent_at": at, "api_key": "k", "historical_migration": at}).encode()
    parsed = parsed_of("/i/v1/analytics/events" if is_v1 else "/e/", body, headers=V1_HEADERS)
    reply = parsed.reply
    taken = intake(parsed, context(server_key, "posthog"))
    shown = []
    for receipt in taken.receipts:
        record = orjson.loads(receipt.record.value or b"")
        shown.append({"status": receipt.status, "id": receipt.id, "reason": receipt.reason, "message": "m"})
        if receipt.status == "accepted":
            EVENT.validate_python(record)
            continue
        OUTCOME.validate_python(record)
        assert receipt.reason
        if "event" in record:
            again = REPLAY.again(kept_event(record), record, "0/1")
            assert (again.status, again.reason, again.id) == ("rejected", receipt.reason, receipt.id)
        else:
            with pytest.raises(NotKept):
                kept_event(record)
    posthog.answer(shown, reply)
