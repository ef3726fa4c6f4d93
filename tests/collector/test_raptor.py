"""Raptor's pixel and the events of tills: what parameters become."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from collector.decode import BadBody
from collector.intake import Receipt, intake
from collector.positions import DEFAULTS, Positions
from collector.protocols.raptor_cookies import COOKIES
from collector.replay import kept_event
from collector.settings import CollectorSettings, Raptor
from eventlog.event import EVENT
from eventlog.outcome import OUTCOME
from tests.collector import test_replay as replay
from tests.collector.parsing import SETTINGS, parsed_of
from tests.collector.test_canonical import context, values

DOCS = Path("docs/protocols/raptor.md")
COID, SID = "6B29FC40-CA47-1067-B31D-00DD010662DA", "0F8FAD5B-D9CB-469F-A165-70867728950E"


def receipt_of(path: str = "/12345.rsa", *, settings: CollectorSettings = SETTINGS, **fields: str) -> Receipt:
    query = urlencode(fields).encode()
    headers = {b"referer": b"https://shop.example/tents?utm_source=news"}
    parsed = parsed_of(path, method="GET", query=query, headers=headers, settings=settings)
    (receipt,) = intake(parsed, context(False, parsed.protocol)).receipts
    return receipt


def event_of(path: str = "/12345.rsa", *, settings: CollectorSettings = SETTINGS, **fields: str) -> Any:
    receipt = receipt_of(path, settings=settings, **fields)
    assert receipt.status == "accepted", receipt
    event = orjson.loads(receipt.record.value or b"")
    EVENT.validate_python(event)
    return event


def test_a_visit_of_a_product() -> None:
    event = event_of(
        p1="visit", p2="m57500_Red", p3="Zelt Ærø 🚲", p4="25#Camping;402#Tents", p7="u-1", p8="Nordisk", p12="89.90",
        p15="true", p18="m57500", p47="own", coid=COID, sid=SID, rnd="12345", ts="99999", v="3.0", oc1="seg",
        utm_medium="email",
    )  # fmt: skip
    assert (event["name"], event["kind"], event["channel"], event["protocol"]) == ("visit", "track", "web", "raptor")
    assert event["items"] == [
        {
            "product_id": "m57500_Red", "name": "Zelt Ærø 🚲", "category_path": [["25", "Camping"], ["402", "Tents"]],
            "brand": "Nordisk", "price": "89.90", "in_stock": True, "master_id": "m57500",
        }
    ]  # fmt: skip
    assert (event["user_id"], event["anonymous_id"], event["client_session_id"]) == ("u-1", COID.lower(), SID.lower())
    assert event["page"]["url"] == "https://shop.example/tents?utm_source=news"
    assert event["campaign"] == {"source": "news", "medium": "email"}
    assert event["library"] == {"name": "raptor", "version": "3.0"}
    assert {name: event["properties"][name] for name in ("p47", "oc1")} == {"p47": "own", "oc1": "seg"}
    assert not event["properties"].keys() & {"p1", "p2", "rnd", "ts", "coid", "user_id"}


def test_the_key_is_the_customer_in_the_path_and_the_answer_a_pixel() -> None:
    parsed = parsed_of("/12345.rsa", method="GET", query=b"p1=pageview")
    assert (parsed.write_keys, parsed.reply, parsed.is_anonymous) == (("12345",), "gif", False)
    assert parsed.fingerprint == parsed_of("/12345.rsa", method="GET", query=b"p1=pageview").fingerprint
    assert parsed.fingerprint != parsed_of("/12345.rsa", method="GET", query=b"p1=pageview&rnd=7").fingerprint


@pytest.mark.parametrize(
    ("fields", "change", "items"),
    [
        ({"p2": "A", "p10": "A,B,C"}, "whole", [("A", None), ("B", None), ("C", None)]),
        ({"p10": "A:2;ns:B:1.5"}, "whole", [("A", 2), ("ns:B", 1.5)]),
        ({"p10": "A"}, "whole", [("A", None)]),
        ({"p2": "A", "p10": ""}, "whole", []),
        ({}, "whole", []),
        ({"p2": "A", "p13": "3"}, "add", [("A", 3)]),
    ],
)
def test_baskets(fields: dict[str, Any], change: str, items: list[Any]) -> None:
    event = event_of(p1="basket", p11="b-7", coid=COID, **fields)
    assert event["basket"] == {"change": change, "basket_id": "b-7"}
    assert [(one["product_id"], one.get("quantity")) for one in event.get("items", [])] == items


def test_lines_of_an_order_count_once_each() -> None:
    line: dict[str, Any] = {
        "p1": "buy",
        "p2": "S-1",
        "p5": "179.80",
        "p12": "89.90",
        "p13": "2",
        "p21": "A-1001",
        "coid": COID,
    }
    first, second = event_of(**line, rnd="1"), event_of(**(line | {"p2": "S-2"}), rnd="2")
    assert first["order"] == {"order_id": "A-1001", "subtotal": "179.80"}
    assert first["items"] == [{"product_id": "S-1", "price": "89.90", "quantity": 2, "subtotal": "179.80"}]
    assert first["id"] == event_of(**line, rnd="99999")["id"] != second["id"]
    assert event_of(**(line | {"p21": "A-1002"}))["id"] != first["id"]
    without = {name: value for name, value in line.items() if name != "p21"}
    assert event_of(**without)["id"] != event_of(**without)["id"]
    back = event_of(**(line | {"p5": "-89.90", "p13": "-1"}))
    assert (back["name"], back["items"][0]["quantity"]) == ("return", -1)
    assert back["id"] not in (first["id"], event_of(**(line | {"p5": "-179.80", "p13": "-2"}))["id"])
    assert event_of(**(line | {"p13": "-0"}))["name"] == "buy"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("ruid", "identifiers"),
    [
        (encoded("Ada@Example.com"), {"email": "ada@example.com"}),
        ("ada@example.com", {"email": "ada@example.com"}),
        (encoded("kunde Ü?>"), {"ruid": "kunde Ü?>"}),
        ("4711", {"ruid": "4711"}),
        ("user1234", {"ruid": "user1234"}),
        (encoded("\x01\x02"), {"ruid": encoded("\x01\x02")}),
        ("none", None),
        ("undefined", None),
        ("", None),
    ],
)
def test_ids_of_mail_marketing(ruid: str, identifiers: dict[str, str] | None) -> None:
    assert event_of(p1="pageview", ruid=ruid, coid=COID).get("identifiers") == identifiers
    event = event_of(p1="pageview", ruid=ruid, reaid="enc-1", xuid="x-1")
    assert event["identifiers"] == {"reaid": "enc-1", "xuid": "x-1"} | (identifiers or {})


def test_a_plus_that_became_a_blank() -> None:
    ruid = encoded("kunde>>~")
    assert "+" in ruid
    parsed = parsed_of("/12345.rsa", method="GET", query=f"p1=visit&ruid={ruid}".encode())
    (receipt,) = intake(parsed, context(False, "raptor")).receipts
    assert orjson.loads(receipt.record.value or b"")["identifiers"] == {"ruid": "kunde>>~"}


def test_guids_are_one_id_in_either_case_and_none_is_none() -> None:
    upper, lower = event_of(p1="visit", coid=COID, sid=SID), event_of(p1="visit", coid=COID.lower(), sid=SID.lower())
    for name in ("anonymous_id", "client_session_id"):
        assert upper[name] == lower[name]
    event = event_of(p1="visit", coid="none", sid="None", p2="undefined", p3="null", p12="", p8="  ")
    assert (event["anonymous_id"], "client_session_id" in event, "properties" in event) == ("c-1", False, False)


@pytest.mark.parametrize(
    ("written", "name", "kind"),
    [
        ("pageview", "pageview", "page"),
        ("PageView", "pageview", "page"),
        ("contentvisit", "contentvisit", "track"),
        ("favorite", "favorite", "track"),
        ("search", "search", "track"),
        ("searchclick", "searchclick", "track"),
        ("searchresult", "searchresult", "track"),
        ("itemclick", "itemclick", "track"),
        ("setuser", "identify", "identify"),
        ("setRuid", "identify", "identify"),
        ("setEmailMarketingId", "identify", "identify"),
        ("newsletterclick", "newsletterclick", "track"),
        ("Eigenes Ü", "Eigenes Ü", "track"),
    ],
)
def test_names(written: str, name: str, kind: str) -> None:
    event = event_of(p1=written, p7="u-1")
    assert (event["name"], event["kind"], event["user_id"]) == (name, kind, "u-1")


def test_content_favourites_and_clicks() -> None:
    content = event_of(p1="contentvisit", p2="c-1", p3="Zelte", p4="1#Blog")
    assert content["content"] == {"content_id": "c-1", "name": "Zelte", "category_path": [["1", "Blog"]]}
    whole = event_of(p1="favorite", p10="A,B")
    assert (whole["favorites"], [one["product_id"] for one in whole["items"]]) == ({"change": "whole"}, ["A", "B"])
    one = event_of(p1="favorite", p2="A")
    assert (one["favorites"], one["items"]) == ({"change": "add"}, [{"product_id": "A"}])
    click = event_of(p1="itemclick", p2="A", am="SimilarItems", url="https://shop.example/a")
    assert (click["items"], click["properties"]["module_name"]) == ([{"product_id": "A"}], "SimilarItems")
    assert click["page"]["url"] == "https://shop.example/a"


def test_a_till_is_a_server() -> None:
    event = event_of("/12345.stream", p1="buy", p2="S", p12="9.90", p21="T-1", ruid="ada@example.com", source="webhook")
    assert (event["channel"], event["identifiers"]) == ("server", {"email": "ada@example.com"})
    assert not event.keys() & {"anonymous_id", "page", "client"}
    assert "source" not in event["properties"]


def test_positions_are_configured_by_event() -> None:
    raptor = Raptor(
        positions={
            "all": {"p1": "", "p3": "event", "p20": "currency"},
            "search": {"p2": "query", "p6": "results", "p9": "list"},
            "buy": {"p40": "order_id", "p13": ""},
            "newsletterclick": {"p5": "item"},
        }
    )
    settings = CollectorSettings(raptor=raptor)
    search = event_of(settings=settings, p3="search", p2="tent", p6="12", p9="grid", p1="x")
    assert search["search"] == {"query": "tent", "results": 12, "list": "grid"}
    buy = event_of(settings=settings, p3="buy", p2="S", p12="9.90", p20="CHF", p40="A-1", p21="A-2", p13="7")
    assert buy["order"] == {"order_id": "A-1", "currency": "CHF"}
    assert buy["items"] == [{"product_id": "S", "price": "9.90", "currency": "CHF"}]
    assert {name: buy["properties"][name] for name in ("p21", "p13")} == {"p21": "A-2", "p13": "7"}
    own = event_of(settings=settings, p3="newsletterclick", p5="m-1")
    assert own["properties"] == {"item": "m-1"}
    assert Positions({}).of("BUY") == {**DEFAULTS["all"], **DEFAULTS["buy"]}
    # A name configured elsewhere for all events leaves the place it has in one of them too.
    assert Positions({"all": {"p50": "price"}}).of("visit").get("p12") is None


def test_the_page_of_the_docs_has_the_table_in_force() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (`p[0-9]+` .*) \|$", DOCS.read_text(), re.MULTILINE)
    table = {event: dict(re.findall(r"`(p[0-9]+)` (\w+)", cells)) for event, cells in rows}
    assert table == {event: dict(positions) for event, positions in DEFAULTS.items()}
    (shown,) = re.findall(r"```yaml\n(raptor:.*?)```", DOCS.read_text(), re.DOTALL)
    assert Raptor(**yaml.safe_load(shown)["raptor"]).table.of("buy")["p40"] == "order_id"
    for name, (cookie, seconds) in COOKIES.items():
        assert f"`{cookie}`" in DOCS.read_text(), name
        assert seconds in (1296, 365 * 86_400)


@pytest.mark.parametrize(
    "positions",
    [
        {"visit": {"p0": "price"}},
        {"visit": {"p1000": "price"}},
        {"visit": {"12": "price"}},
        {"visit": {"p12": "Preis in CHF"}},
        {"visit": {"p3": "event"}},
        {"visit": {"p3": "name", "p4": "name"}},
        {"Visit": {"p3": "name"}},
        {"all": {"p1": "name"}},
    ],
)
def test_positions_that_cannot_be_are_refused(positions: dict[str, dict[str, str]]) -> None:
    with pytest.raises(ValidationError):
        Raptor(positions=positions)


@pytest.mark.parametrize("path", ["raptor", "/", "/a/", "/a b", "/{x}"])
def test_a_path_that_cannot_be_is_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        Raptor(path=path)


def test_what_is_wrong_is_told_by_the_names_of_the_positions() -> None:
    wrong = receipt_of(p1="visit", p2="S", p12="cheap")
    assert (wrong.status, wrong.reason, wrong.path) == ("rejected", "wrong_type", "properties.price")
    assert (receipt_of(p2="S").reason, receipt_of(p2="S").path) == ("missing_field", "event")


def test_a_refused_one_is_replayed_whatever_the_positions_are_then() -> None:
    query = f"p1=visit&p2=S&p12=cheap&p7=u-1&coid={COID}".encode()
    parsed = parsed_of("/12345.rsa", method="GET", query=query, headers={b"referer": b"https://shop.example/a"})
    (receipt,) = intake(parsed, replay.context("raptor")).receipts
    outcome = replay.outcome_of(receipt)
    event = kept_event(outcome)
    event["properties"]["price"] = "9.90"
    made = replay.again(event, outcome)
    assert made.record
    stored = orjson.loads(made.record.value or b"")
    assert (stored["items"][0]["price"], stored["user_id"], stored["channel"]) == ("9.90", "u-1", "web")
    assert (stored["page"]["url"], stored["anonymous_id"]) == ("https://shop.example/a", COID.lower())


names = st.sampled_from(
    (*(f"p{n}" for n in range(1, 25)), "coid", "sid", "ruid", "reaid", "url", "am", "v", "utm_source", "events",
     "event", "params", "options", "customerId", "properties", "items", "products")
)  # fmt: skip
words = st.sampled_from(
    ("visit", "basket", "buy", "favorite", "search", "setRuid", "none", "-1", "1e400", "A:2;B", "x@y.z", "eHk=", "nan")
)
events = st.dictionaries(names, words | values, max_size=8)


def check(parsed: Any, server_key: bool) -> None:
    for receipt in intake(parsed, context(server_key, parsed.protocol)).receipts:
        record = orjson.loads(receipt.record.value or b"")
        (EVENT if receipt.status == "accepted" else OUTCOME).validate_python(record)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(events | values, max_size=3) | events, st.booleans())
def test_whatever_the_hybrid_path_gets_is_an_event_or_has_a_reason(body: Any, server_key: bool) -> None:
    try:
        written = orjson.dumps(body)
    except TypeError:
        return
    try:
        check(parsed_of("/raptor/track", written), server_key)
    except BadBody:
        return


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(names, words | st.text(max_size=8), max_size=8), st.sampled_from(("rsa", "stream")))
def test_whatever_a_pixel_says_is_an_event_or_has_a_reason(fields: dict[str, str], ending: str) -> None:
    query = urlencode(fields, errors="replace").encode()
    check(parsed_of(f"/12345.{ending}", method="GET", query=query), False)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.binary(max_size=40) | st.sampled_from((b"p1=visit&p12=%FF", b'{"p1":"visit","p12":NaN}', b'[{"p1":"\\ud800"}]')),
    st.binary(max_size=40) | st.sampled_from((b"rsa=%00; rsaSession=a", b"rsa=\xff\xfe", b"=;;rsaRuid=%ZZ")),
)
def test_no_body_or_cookie_breaks_the_hybrid_path(body: bytes, cookie: bytes) -> None:
    try:
        check(parsed_of("/raptor/track", body, headers={b"cookie": cookie}), False)
    except BadBody:
        return
