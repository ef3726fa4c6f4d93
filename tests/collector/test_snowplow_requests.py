"""Snowplow's requests as a whole: what is wrong with them, the webhook, links, answers, and whatever may come."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from collector.decode import BadBody
from collector.intake import intake
from collector.sent import Parsed, Refused, Sent
from collector.settings import CollectorSettings
from eventlog.event import EVENT
from eventlog.outcome import OUTCOME
from tests.collector.parsing import parsed_of
from tests.collector.running import BROWSER_KEY, ORIGIN, running, settings_in
from tests.collector.test_canonical import properties, scalars, some_of, values
from tests.collector.test_replay import REPLAY, outcome_of
from tests.collector.test_replay import context as replay_context
from tests.collector.test_snowplow import LINE, SHOP, SNOWPLOW, STRUCTURED, TP2, TRANSACTION, body, contexts, ue

HOOK = "/com.snowplowanalytics.iglu/v1"


@pytest.mark.parametrize(
    ("message", "reason", "path"),
    [
        (7, "not_an_object", "data[0]"), ({}, "missing_field", "data[0].e"), ({"e": "zz"}, "unknown_type", "data[0].e"),
        ({"e": "se"}, "missing_field", "data[0].se_ac"), ({"e": "ue"}, "missing_field", "data[0].ue_pr"),
        ({"e": "ue", "ue_pr": "{"}, "bad_value", "data[0].ue_pr"),
        ({"e": "ue", "ue_px": "%"}, "bad_value", "data[0].ue_px"),
        ({"e": "ue", "ue_pr": "[" * 20000}, "too_deep", "data[0].ue_pr"),
        ({"e": "ue", "ue_pr": "{}"}, "wrong_type", "data[0].ue_pr.data"),
        ({"e": "ue", "ue_pr": ue("read", {})}, "bad_value", "data[0].ue_pr.data.schema"),
        ({"e": "ue", "ue_pr": ue("iglu:a/b/jsonschema/1-0-0", [])}, "wrong_type", "data[0].ue_pr.data.data"),
        ({"e": "pv", "co": "[]"}, "wrong_type", "data[0].co.data"),
        ({"e": "pv", "cx": "e30"}, "wrong_type", "data[0].cx.data"),
        ({"e": "pv", "co": '{"data":[1]}'}, "wrong_type", "data[0].co.data[0]"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_one_event_is_said_of_it_alone(message: Any, reason: str, path: str) -> None:
    refused, good = parsed_of(TP2, body(message, {"e": "pv"})).events
    assert isinstance(refused, Refused)
    assert isinstance(good, Sent)
    assert (refused.error.reason, refused.error.path) == (reason, path)


def test_one_request_has_one_app_id() -> None:
    parsed = parsed_of(TP2, body({"e": "pv", "aid": "a"}, {"e": "pv"}, {"e": "pv", "aid": "b"}))
    assert parsed.write_keys == ("a",)
    first, second, third = parsed.events
    assert isinstance(first, Sent)
    assert isinstance(second, Sent)
    assert isinstance(third, Refused)
    assert (third.error.reason, third.error.path) == ("bad_value", "data[2].aid")


@pytest.mark.parametrize("content", [b"", b"7", b"[]", b"{}", b'{"data":{}}', b"{", b"\xff"])
def test_what_nothing_can_be_read_of_is_refused_whole(content: bytes) -> None:
    with pytest.raises(BadBody) as caught:
        parsed_of(TP2, content)
    assert caught.value.status == 400


def test_the_webhook_takes_one_or_several() -> None:
    schema = "iglu:com.acme/signup/jsonschema/1-0-0"
    query = urlencode({"schema": schema, "aid": "k"}).encode()
    for given_, at in (
        ({"method": "GET", "query": query + b"&plan=pro&uid=u"}, 1),
        ({"query": query + b"&uid=u", "body": b'{"plan":"pro"}'}, 1),
        ({"query": query + b"&uid=u", "body": b'[{"plan":"pro"},{"plan":"pro"}]'}, 2),
        ({"query": b"aid=k&uid=u", "body": orjson.dumps({"schema": schema, "data": {"plan": "pro"}})}, 1),
    ):
        parsed = parsed_of(HOOK, **given_)
        assert (parsed.write_keys, len(parsed.events)) == (("k",), at)
        for sent in parsed.events:
            assert isinstance(sent, Sent), sent
            assert (sent.event["name"], sent.event["user_id"], sent.server_side) == ("signup", "u", True)
            assert sent.event["properties"] == {"schema": schema, "plan": "pro"}
    with pytest.raises(BadBody):
        parsed_of(HOOK, b"{}", query=b"aid=k")


def redirected(url: str, **changes: Any) -> Parsed:
    query = f"aid=k&u={quote(url, safe='')}".encode()
    return parsed_of("/r/tp2", method="GET", query=query, settings=settings_in(Path("/nowhere"), **changes))


def test_a_link_leads_on_to_known_hosts() -> None:
    parsed = redirected("https://shop.example/Zelt Ærø?a=1#b")
    assert parsed.reply.status == 302
    assert dict(parsed.reply.headers)[b"location"] == b"https://shop.example/Zelt%20%C3%86r%C3%B8?a=1#b"
    (sent,) = parsed.events
    assert isinstance(sent, Sent)
    assert (sent.event["name"], sent.event["properties"]["uri"]) == (
        "uri_redirect",
        "https://shop.example/Zelt Ærø?a=1#b",
    )
    assert redirected("https://other.example/", snowplow_redirect_hosts=["other.example"]).is_link


@pytest.mark.parametrize(
    "url",
    ["", "shop.example", "//shop.example/", "javascript:alert(1)//shop.example", "https://evil.example/",
     "https://shop.example@evil.example/", "https://evil.example\\@shop.example/", "https://shop.example.evil.example/",
     "https://evil.example/https://shop.example", "https:///shop.example", "https://shop.example\\.evil.example",
     "https://shop.exam\tple/", "https://shop.example/\r\nset-cookie: a=b", "https://[", "https://shop.example./"],
)  # fmt: skip
def test_a_link_leads_nowhere_else(url: str) -> None:
    with pytest.raises(BadBody) as caught:
        redirected(url)
    assert caught.value.status == 400


def test_paths_of_ones_own() -> None:
    own = CollectorSettings(snowplow_paths=["/com.acme/track"])
    (sent,) = parsed_of("/com.acme/track", body({"e": "pv"}), settings=own).events
    assert isinstance(sent, Sent)
    for wrong in ({"snowplow_paths": ["com.acme/track"]}, {"snowplow_paths": ["/a/{b}"]},
                  {"snowplow_redirect_hosts": ["https://shop.example"]}):  # fmt: skip
        with pytest.raises(ValidationError):
            CollectorSettings(**wrong)


def test_answers_are_what_its_trackers_wait_for(tmp_path: Path) -> None:
    async def ask() -> None:
        async with running(settings_in(tmp_path)) as collector:
            message = STRUCTURED | {"aid": BROWSER_KEY}
            headers = {"origin": ORIGIN, "sp-anonymous": "*"}
            answer = await collector.post(TP2, body(message), headers)
            assert (answer.status_code, answer.text) == (200, "ok")
            assert "set-cookie" not in answer.headers
            query = urlencode(message | {"eid": "2"})
            answer = await collector.http.get(f"/i?{query}", headers={"origin": ORIGIN})
            assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
            assert "tw_id=" in answer.headers["set-cookie"]
            # Links stand on pages of others.
            link = f"/r/tp2?aid={BROWSER_KEY}&u={quote(ORIGIN)}"
            answer = await collector.http.get(link, headers={"referer": "https://mail.example/"})
            assert (answer.status_code, answer.headers["location"]) == (302, ORIGIN)
            # None of these is sent again.
            large = b" " * (collector.settings.limits.body_bytes + 1)
            for content, more, status in (
                (b"{", {}, 400), (large, {}, 422), (body(*[{}] * 5001), {}, 422),
                (body(message | {"aid": "nobody"}), {}, 401), (body(message), {"content-encoding": "x"}, 422),
                (body(message), {"origin": "https://evil.example"}, 403),
            ):  # fmt: skip
                answer = await collector.post(TP2, content, more)
                assert (answer.status_code, answer.json()["status"]) == (status, status)
            events = await collector.stored()
            assert {one["name"] for one in events} == {"Gelesen 📚", "uri_redirect"}
            assert "ip" not in events[0].get("client", {})

    asyncio.run(ask())


messages = st.builds(
    lambda kind, fields, own, around: {"e": kind, **fields, **own, **around},
    st.sampled_from(("pv", "pp", "se", "ue", "tr", "ti", "zz")) | values,
    some_of(("eid", "uid", "duid", "nuid", "sid", "p", "tv", "ttm", "dtm", "stm", "url", "page", "lang", "ip", "ua",
             "se_ac", "se_va", "tr_id", "tr_tt", "ti_id", "ti_pr", "ti_sk", "ti_qu", "aid", "items"), values | scalars),
    st.builds(
        lambda schema, data: {"ue_pr": ue(schema, data)},
        st.sampled_from((f"{SHOP}/snowplow_ecommerce_action/jsonschema/1-0-2",
                         f"{SNOWPLOW}/site_search/jsonschema/1-0-0",
                         f"{SNOWPLOW}/add_to_cart/jsonschema/1-0-0", f"{SNOWPLOW}/consent_preferences/jsonschema/1-0-0",
                         "iglu:a/basket/jsonschema/1", "no")),
        properties | some_of(("type", "terms", "eventType", "consentScopes", "totalResults")) | values,
    ) | some_of(("ue_pr", "ue_px")),
    st.lists(st.tuples(st.sampled_from((f"{SHOP}/product", f"{SHOP}/transaction", f"{SHOP}/user", f"{SHOP}/page",
                                        f"{SNOWPLOW}/web_page", f"{SNOWPLOW}/client_session", f"{SNOWPLOW}/gdpr", "x")),
                       properties | some_of(("id", "price", "email", "transaction_id", "documentVersion")) | values),
             max_size=3).map(lambda entities: {"co": contexts(*entities)}) | some_of(("co", "cx")),
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(messages | values, min_size=1, max_size=3), st.booleans())
def test_whatever_is_sent_is_a_canonical_event_or_has_a_reason(batch: list[Any], is_hook: bool) -> None:
    content = batch if is_hook else {"data": batch}
    parsed = parsed_of(HOOK if is_hook else TP2, json.dumps(content).encode(), query=b"schema=iglu:a/b/jsonschema/1")
    receipts = intake(parsed, replay_context("snowplow")).receipts
    assert len(receipts) == len(batch)
    for receipt in receipts:
        if receipt.status == "accepted":
            EVENT.validate_python(orjson.loads(receipt.record.value or b""))
        elif receipt.status == "rejected":
            outcome = outcome_of(receipt)
            OUTCOME.validate_python(outcome)
            if "event" in outcome:
                again = REPLAY.again(outcome["event"], outcome, "0/1")
                assert (again.status, again.reason) == ("rejected", receipt.reason)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(st.sampled_from(("e", "u", "co", "cx", "ue_px", "se_ac", "eid", "schema")), st.text(), max_size=5)
)
def test_whatever_stands_in_a_query_is_read_or_refused(fields: dict[str, str]) -> None:
    query = urlencode(fields, errors="replace").encode()
    for path in ("/i", "/r/tp2", HOOK):
        with contextlib.suppress(BadBody):
            parsed_of(path, method="GET", query=query)


def test_a_refused_event_put_right_is_what_it_would_have_been() -> None:
    wrong = TRANSACTION | {"tr_tt": "cheap"}
    receipts = intake(parsed_of(TP2, body(wrong, LINE)), replay_context("snowplow")).receipts
    outcome = outcome_of(receipts[0])
    assert outcome["path"] == "data[0].total"
    again = REPLAY.again(outcome["event"] | {"tr_tt": "19.8"}, outcome, "0/1")
    assert again.record
    event = orjson.loads(again.record.value or b"")
    assert (event["name"], event["id"], event["order"]["total"], len(event["items"])) == ("buy", "1", "19.8", 1)
