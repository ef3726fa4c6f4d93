"""Snowplow's requests: what its SDKs put on the wire, and what others may."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from collector.intake import intake
from collector.sent import Sent
from eventlog.event import EVENT
from tests.collector.parsing import parsed_of
from tests.collector.test_canonical import context

TP2 = "/com.snowplowanalytics.snowplow/tp2"
SNOWPLOW = "iglu:com.snowplowanalytics.snowplow"
SHOP = f"{SNOWPLOW}.ecommerce"
# As the browser's SDK writes it.
STRUCTURED: dict[str, Any] = {
    "e": "se", "se_ca": "shop", "se_ac": "Gelesen 📚", "se_la": "label Ü", "se_pr": "pcs", "se_va": "19.99",
    "eid": "b153a132-0000-4000-8000-000000000001", "tv": "js-4.10.1", "tna": "sp", "aid": "wk_shop", "p": "web",
    "lang": "de-CH", "res": "1280x720", "vp": "1280x600", "tz": "Europe/Zurich", "dtm": "1795435019045",
    "stm": "1795435019049", "vid": "1", "sid": "3191446d-0000-4000-8000-000000000001", "duid": "a360ce71",
    "nuid": "n-1", "uid": "user-1", "url": "https://shop.example/?utm_source=news", "refr": "https://search.example/",
    "page": "Zelte", "cs": "UTF-8",
}  # fmt: skip


def body(*messages: Any) -> bytes:
    return orjson.dumps({"schema": f"{SNOWPLOW}/payload_data/jsonschema/1-0-4", "data": list(messages)})


def one(message: dict[str, Any], **request: Any) -> Sent:
    (sent,) = parsed_of(TP2, body(message), **request).events
    assert isinstance(sent, Sent), sent
    return sent


def ue(schema: str, data: Any) -> str:
    inner = {"schema": schema, "data": data}
    return json.dumps({"schema": f"{SNOWPLOW}/unstruct_event/jsonschema/1-0-0", "data": inner}, ensure_ascii=False)


def contexts(*entities: tuple[str, Any]) -> str:
    data = [{"schema": f"{schema}/jsonschema/1-0-0", "data": inner} for schema, inner in entities]
    return json.dumps({"schema": f"{SNOWPLOW}/contexts/jsonschema/1-0-1", "data": data}, ensure_ascii=False)


def stored(message: dict[str, Any], **request: Any) -> dict[str, Any]:
    (receipt,) = intake(parsed_of(TP2, body(message), **request), context(False, "snowplow")).receipts
    assert receipt.status == "accepted", receipt
    event: dict[str, Any] = orjson.loads(receipt.record.value or b"")
    EVENT.validate_python(event)
    return event


def shop(kind: str, *entities: tuple[str, Any], **data: Any) -> dict[str, Any]:
    schema = f"{SHOP}/snowplow_ecommerce_action/jsonschema/1-0-2"
    return {"e": "ue", "ue_pr": ue(schema, {"type": kind, **data}), "co": contexts(*entities)}


def test_a_browsers_event_is_read_whole() -> None:
    parsed = parsed_of(TP2 + "/", body(STRUCTURED))
    assert (parsed.write_keys, parsed.list_name, parsed.fingerprint) == (("wk_shop",), "data", b"")
    assert parsed.sent_at == "2026-11-23T11:56:59.049Z"
    (sent,) = parsed.events
    assert isinstance(sent, Sent)
    assert (sent.client_time, sent.exact_time, sent.server_side) == ("2026-11-23T11:56:59.045Z", False, False)
    assert sent.event == {
        "id": STRUCTURED["eid"], "name": "Gelesen 📚", "kind": "track", "user_id": "user-1", "anonymous_id": "a360ce71",
        "client_session_id": STRUCTURED["sid"], "library": {"name": "snowplow-js", "version": "4.10.1"},
        "properties": {"category": "shop", "label": "label Ü", "property": "pcs", "value": "19.99"},
        "page": {"url": STRUCTURED["url"], "title": "Zelte", "referrer": "https://search.example/"},
        "client": {"locale": "de-CH", "screen": "1280x720", "timezone": "Europe/Zurich"},
    }  # fmt: skip
    assert stored(STRUCTURED)["campaign"] == {"source": "news"}


OWN = ue("iglu:com.acme/read_chapter/jsonschema/1-0-0", {"text": "Ærø 🚲", "n": 2**53 + 1})
AROUND = contexts((f"{SNOWPLOW}/web_page", {"id": "view-1"}), ("iglu:com.acme/shelf", {"name": "📚"}))


def cesu(text: str) -> bytes:
    units = text.encode("utf-16-le", "surrogatepass")
    return b"".join(
        chr(int.from_bytes(units[at : at + 2], "little")).encode("utf-8", "surrogatepass")
        for at in range(0, len(units), 2)
    )


@pytest.mark.parametrize("is_get", [False, True], ids=["post", "get"])
@pytest.mark.parametrize(
    "pack",
    [
        None,
        lambda text: base64.urlsafe_b64encode(text.encode()),
        lambda text: base64.urlsafe_b64encode(text.encode()).rstrip(b"="),
        lambda text: base64.b64encode(cesu(text)),
    ],
    ids=["plain", "base64", "unpadded", "cesu-8"],
)
def test_every_way_to_pack_an_event_gives_the_same(pack: Any, is_get: bool) -> None:
    packed = {"ue_px": pack(OWN).decode(), "cx": pack(AROUND).decode()} if pack else {"ue_pr": OWN, "co": AROUND}
    message = {"e": "ue", "eid": "1", **packed}
    if is_get:
        parsed = parsed_of("/i", method="GET", query=urlencode(message).encode())
        assert parsed.list_name is None
    else:
        parsed = parsed_of(TP2, body(message))
    (sent,) = parsed.events
    assert isinstance(sent, Sent), sent
    assert sent.event["name"] == "read_chapter"
    assert sent.event["properties"] == {
        "contexts": {"shelf": [{"name": "📚"}]}, "schema": "iglu:com.acme/read_chapter/jsonschema/1-0-0",
        "text": "Ærø 🚲", "n": 2**53 + 1,
    }  # fmt: skip
    assert sent.event["page"] == {"view_id": "view-1"}


PRODUCT = {"id": "S-1", "name": "Zelt 🚲", "category": "Camping/Tents", "price": 9.9, "quantity": 2, "currency": "CHF",
           "brand": "Nordisk", "position": 3}  # fmt: skip
ITEM = {"product_id": "S-1", "name": "Zelt 🚲", "category_path": [["Camping", "Camping"], ["Tents", "Tents"]],
        "price": "9.9", "quantity": 2, "currency": "CHF", "brand": "Nordisk", "position": 3}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "entity", "name", "more"),
    [
        ("product_view", None, "visit", {}),
        ("add_to_cart", ("cart", {"cart_id": "c", "total_value": 20, "currency": "CHF"}), "basket",
         {"basket": {"change": "add", "basket_id": "c"}}),
        ("remove_from_cart", ("cart", {"total_value": 0, "currency": "CHF"}), "basket",
         {"basket": {"change": "remove"}}),
        ("list_click", None, "itemclick", {}),
        ("transaction",
         ("transaction", {"transaction_id": "T", "revenue": 19.8, "currency": "CHF", "discount_amount": 1, "tax": 2,
                          "discount_code": "SALE", "shipping": 0, "payment_method": "card"}),
         "buy", {"order": {"order_id": "T", "revenue": "19.8", "currency": "CHF", "discount": "1", "coupon": "SALE",
                           "tax": "2", "shipping": "0"}}),
        ("refund", ("refund", {"transaction_id": "T", "refund_amount": 9.9, "currency": "CHF"}),
         "return", {"order": {"order_id": "T", "total": "9.9", "currency": "CHF"}}),
    ],
)  # fmt: skip
def test_a_shops_actions_are_what_they_are(kind: str, entity: Any, name: str, more: dict[str, Any]) -> None:
    entities = [(f"{SHOP}/product", PRODUCT)] + ([(f"{SHOP}/{entity[0]}", entity[1])] if entity else [])
    event = stored(shop(kind, *entities, (f"{SHOP}/page", {"type": "product"}), name="recommended"))
    assert (event["name"], event["items"]) == (name, [ITEM])
    assert {field: event.get(field) for field in more} == more
    assert (event["properties"]["list"], event["properties"]["page_type"]) == ("recommended", "product")
    assert "contexts" not in event["properties"]


def test_other_actions_keep_their_names_and_products() -> None:
    event = stored(shop("list_view", (f"{SHOP}/product", PRODUCT), name="recommended"))
    assert (event["name"], event["properties"]) == ("list_view", {"list": "recommended", "products": [PRODUCT]})


def test_a_shops_user_is_known_and_a_guest_is_not() -> None:
    user = {"id": "U", "email": "Ada@Example.com"}
    event = stored(shop("product_view", (f"{SHOP}/user", user)))
    assert (event["user_id"], event["identifiers"]) == ("U", {"email": "ada@example.com"})
    assert "user_id" not in stored(shop("product_view", (f"{SHOP}/user", {"id": "U", "is_guest": True})))
    assert stored({**shop("x", (f"{SHOP}/user", user)), "uid": "V"})["user_id"] == "V"


def test_the_older_schemas_of_shops() -> None:
    product = {"sku": "S", "name": "Zelt", "unitPrice": 9.9, "quantity": 2, "currency": "CHF"}
    event = stored({"e": "ue", "ue_pr": ue(f"{SNOWPLOW}/add_to_cart/jsonschema/1-0-0", product)})
    assert (event["name"], event["basket"]["change"]) == ("basket", "add")
    assert event["items"] == [{"product_id": "S", "name": "Zelt", "price": "9.9", "quantity": 2, "currency": "CHF"}]
    search = {"terms": ["zelt", "blau"], "totalResults": 7, "pageResults": 5}
    event = stored({"e": "ue", "ue_pr": ue(f"{SNOWPLOW}/site_search/jsonschema/1-0-0", search)})
    assert (event["name"], event["search"]) == ("search", {"query": "zelt blau", "results": 7})
    other = stored({"e": "ue", "ue_pr": ue("iglu:com.acme/add_to_cart/jsonschema/1-0-0", product)})
    assert other["name"] == "add_to_cart"


TRANSACTION = {"e": "tr", "eid": "1", "tr_id": "T", "tr_tt": "19.8", "tr_cu": "CHF", "tr_sh": "0", "tr_ci": "Bern"}
LINE = {"e": "ti", "ti_id": "T", "ti_sk": "S-1", "ti_nm": "Zelt", "ti_pr": "9.9", "ti_qu": "2", "ti_cu": "CHF"}


def test_a_transaction_has_the_items_that_came_with_it() -> None:
    lines = [LINE | {"eid": "2"}, LINE | {"eid": "3", "ti_id": "other"}]
    receipts = intake(parsed_of(TP2, body(TRANSACTION, *lines)), context(False, "snowplow")).receipts
    bought, *items = [orjson.loads(receipt.record.value or b"") for receipt in receipts]
    assert (bought["name"], bought["id"]) == ("buy", "1")
    assert bought["order"] == {"order_id": "T", "total": "19.8", "shipping": "0", "currency": "CHF"}
    wanted = {"product_id": "S-1", "name": "Zelt", "price": "9.9", "quantity": 2, "currency": "CHF"}
    assert bought["items"] == [wanted]
    # An item is no purchase of its own.
    assert [(item["name"], item["properties"]["order_id"]) for item in items] == [
        ("transaction_item", "T"), ("transaction_item", "other"),
    ]  # fmt: skip
    assert all("items" not in item and "order" not in item for item in items)


@pytest.mark.parametrize("vendor", ["com.snowplowanalytics.mobile", "com.snowplowanalytics.snowplow"])
def test_screens_are_screens(vendor: str) -> None:
    event = stored({"e": "ue", "ue_pr": ue(f"iglu:{vendor}/screen_view/jsonschema/1-0-0", {"name": "Start"})})
    assert (event["name"], event["kind"], event["properties"]["name"]) == ("screen", "screen", "Start")


def test_pages_and_pings() -> None:
    assert one({"e": "pv", "page": " Zelte "}).event["page"] == {"title": "Zelte"}
    ping = one({"e": "pp", "pp_mix": "0", "pp_may": "40"})
    assert (ping.event["name"], ping.event["properties"]) == ("page_ping", {"pp_mix": "0", "pp_may": "40"})


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ({"duid": "d", "nuid": "n"}, "d"), ({"nuid": "n", "tnuid": "t"}, "n"), ({"tnuid": "t"}, "t"),
        ({"duid": "", "co": contexts((f"{SNOWPLOW}/client_session", {"userId": "m", "sessionId": "s"}))}, "m"),
    ],
)  # fmt: skip
def test_who_is_known_by_which_id(message: dict[str, Any], wanted: str) -> None:
    assert one({"e": "pv", **message}).event["anonymous_id"] == wanted


def test_anonymous_tracking_keeps_neither_address_nor_network_id() -> None:
    parsed = parsed_of(TP2, body({"e": "pv", "nuid": "n", "uid": "u"}), headers={b"sp-anonymous": b"*"})
    assert (parsed.is_anonymous, parsed.address) == (True, "drop")
    (sent,) = parsed.events
    assert isinstance(sent, Sent)
    assert "anonymous_id" not in sent.event


@pytest.mark.parametrize(
    ("times", "client_time", "exact"),
    [({"ttm": "1795435018000"}, "2026-11-23T11:56:58.000Z", True),
     ({"ttm": "1795435018000", "dtm": "1795435019045"}, "2026-11-23T11:56:58.000Z", True),
     ({"dtm": 1795435019045}, "2026-11-23T11:56:59.045Z", False), ({}, None, False)],
)  # fmt: skip
def test_a_true_time_wins(times: dict[str, Any], client_time: str | None, exact: bool) -> None:
    sent = one({"e": "pv", **times})
    assert (sent.client_time, sent.exact_time) == (client_time, exact)


@pytest.mark.parametrize(
    ("stated", "is_server", "channel"),
    [({"p": "srv"}, True, None), ({"p": "web", "tv": "js-4.10.1"}, False, None), ({"p": "mob"}, False, "app"),
     ({"p": "pc", "tv": "py-1.1.0"}, True, None), ({"p": "pc", "tv": "unity-1"}, False, "app"), ({}, False, None)],
)  # fmt: skip
def test_a_server_is_known_by_its_platform(stated: dict[str, str], is_server: bool, channel: str | None) -> None:
    sent = one({"e": "pv", **stated})
    assert (sent.server_side, sent.event.get("channel")) == (is_server, channel)


@pytest.mark.parametrize(
    ("name", "data", "wanted"),
    [
        ("consent_preferences", {"eventType": "deny_all", "consentVersion": "2"}, (False, "2")),
        ("consent_preferences", {"eventType": "allow_selected", "consentScopes": ["statistics"]}, (True, None)),
        ("consent_preferences", {"eventType": "pending", "consentScopes": ["statistics"]}, (None, None)),
        ("consent_withdrawn", {"all": True}, (False, None)), ("consent_withdrawn", {"all": False}, (None, None)),
        ("consent_granted", {}, (None, None)),
    ],
)  # fmt: skip
def test_consent_is_stated_by_its_events(name: str, data: dict[str, Any], wanted: tuple[Any, Any]) -> None:
    event = stored({"e": "ue", "ue_pr": ue(f"{SNOWPLOW}/{name}/jsonschema/1-0-0", data)})
    consent = event.get("consent", {})
    assert (event["name"], consent.get("analytics"), consent.get("text_version")) == ("consent", *wanted)
