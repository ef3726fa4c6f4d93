"""Who Mixpanel's events are about, and its updates of people and groups."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from collector.intake import intake
from collector.sent import Sent
from tests.collector.parsing import parsed_of
from tests.collector.test_canonical import context
from tests.collector.test_mixpanel import event, sent_of


def update(message: dict[str, Any], path: str = "/engage") -> Sent:
    return sent_of(parsed_of(path, orjson.dumps({"$token": "wk_shop", **message})))


@pytest.mark.parametrize(
    ("properties", "anonymous", "user"),
    [
        ({"distinct_id": "$device:d-1"}, "d-1", None),
        ({"distinct_id": "$device:d-1", "$device_id": "d-1"}, "d-1", None),
        ({"distinct_id": "d-1", "$device_id": "d-1"}, "d-1", None),
        ({"distinct_id": "u-1", "$device_id": "d-1"}, "d-1", "u-1"),
        ({"distinct_id": "other", "$device_id": "d-1", "$user_id": "u-1"}, "d-1", "u-1"),
        ({"distinct_id": 4711}, None, "4711"),
        ({"distinct_id": "$device:"}, None, None),
        ({"distinct_id": "", "$user_id": None}, None, None),
    ],
)
def test_who_did_it(properties: dict[str, Any], anonymous: str | None, user: str | None) -> None:
    sent = event(properties)
    assert (sent.event.get("anonymous_id"), sent.event.get("user_id")) == (anonymous, user)


@pytest.mark.parametrize(
    ("name", "properties", "wanted"),
    [
        ("$identify", {"distinct_id": "u", "$anon_distinct_id": "$device:d", "$device_id": "d", "$user_id": "u"},
         {"name": "identify", "kind": "identify", "user_id": "u", "anonymous_id": "d"}),
        ("$identify", {"$identified_id": "u", "$anon_id": "d"},
         {"name": "identify", "kind": "identify", "user_id": "u", "anonymous_id": "d"}),
        ("$identify", {"distinct_id": "u2", "$user_id": "u2", "$anon_distinct_id": "u1", "$device_id": "d"},
         {"name": "identify", "kind": "identify", "user_id": "u2", "anonymous_id": "d"}),
        ("$create_alias", {"distinct_id": "$device:d", "alias": "u", "$device_id": "d"},
         {"name": "alias", "kind": "alias", "user_id": "u", "anonymous_id": "d", "previous_id": "d"}),
        ("$create_alias", {"distinct_id": "old", "alias": "u"},
         {"name": "alias", "kind": "alias", "user_id": "u", "previous_id": "old"}),
        ("$merge", {"$distinct_ids": ["u", "$device:d"]},
         {"name": "alias", "kind": "alias", "user_id": "u", "previous_id": "d"}),
        ("$merge", {"$distinct_ids": ["a", 7]},
         {"name": "alias", "kind": "alias", "user_id": "7", "previous_id": "a"}),
    ],
)  # fmt: skip
def test_ids_become_one(name: str, properties: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert event(properties, name).event == wanted


def test_updates_of_people() -> None:
    sent = update({
        "$distinct_id": "u", "$time": 1795435018034, "$set": {"$email": " Ada@example.com ", "$name": "Ada 🚲", "n": 1},
        "$set_once": {"$created": "2026"}, "$unset": ["$phone", "plan"], "$add": {"visits": 1},
    })  # fmt: skip
    assert {name: one for name, one in sent.event.items() if name != "id"} == {
        "name": "identify", "kind": "identify", "user_id": "u", "traits_once": {"created": "2026"},
        "traits": {"phone": None, "plan": None, "email": " Ada@example.com ", "name": "Ada 🚲", "n": 1},
        "properties": {"$add": {"visits": 1}},
    }  # fmt: skip
    assert (sent.email, sent.client_time) == (" Ada@example.com ", "2026-11-23T11:56:58.034Z")
    only = update({"$distinct_id": "$device:d", "$append": {"seen": "S-1"}, "$ip": "192.0.2.7"})
    assert only.event == {
        "name": "$append", "kind": "track", "anonymous_id": "d", "properties": {"$append": {"seen": "S-1"}},
        "client": {"ip": "192.0.2.7"},
    }  # fmt: skip


def test_updates_of_groups() -> None:
    sent = update({"$group_key": "company", "$group_id": 7, "$set": {"plan": "pro"}, "$unset": "old"}, "/groups")
    assert sent.event == {
        "name": "group", "kind": "group", "group_id": "7", "traits": {"old": None, "plan": "pro"},
        "properties": {"$group_key": "company"},
    }  # fmt: skip
    assert update({"$group_id": "g", "$union": {"a": [1]}}, "/groups").event["name"] == "$union"


def test_an_update_with_a_time_is_told_from_others_by_what_it_says() -> None:
    one = {"$distinct_id": "u", "$time": 1.5, "$set": {"a": 1, "b": 2}}
    same = {"$set": {"b": 2, "a": 1}, "$time": 1.5, "$distinct_id": "u"}
    assert update(one).event["id"] == update(same).event["id"]
    others = [
        update(one | change).event["id"] for change in ({"$time": 1.6}, {"$set": {"a": 2}}, {"$distinct_id": "v"})
    ]
    assert len({*others, update(one).event["id"]}) == 4


@pytest.mark.parametrize("is_server", [True, False])
def test_only_a_servers_word_for_an_import_counts(is_server: bool) -> None:
    body = orjson.dumps({"event": "Old", "properties": {"time": 1600000000}})
    (receipt,) = intake(parsed_of("/import", body), context(is_server, "mixpanel")).receipts
    stored = orjson.loads(receipt.record.value or b"")
    assert (stored["channel"], stored["time_source"]) == ("import" if is_server else "server", "exact")


def test_a_masked_token_is_none() -> None:
    body = orjson.dumps([{"event": "x", "properties": {"token": token}} for token in ("***", "k", "***")])
    parsed = parsed_of("/track", body)
    assert (parsed.write_keys, parsed.shared.get("key")) == (("k",), None)
    assert all(isinstance(one, Sent) for one in parsed.events)
