"""Whatever senders come up with, what reaches the topic is a canonical event, and what does not has a reason."""

from __future__ import annotations

import json
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.intake import Context, Topics, intake
from collector.meanings import SEGMENT
from collector.settings import Limits
from eventlog.event import EVENT
from eventlog.outcome import OUTCOME
from eventlog.timestamps import format_ms
from tests.collector.parsing import parsed_of

NOW = 1_795_435_018_000

texts = st.sampled_from(
    ("", " ", "x", " 4711 ", "null", "1e5", "-3.50", "€ 7", "a/b > c", "25#Shoes;402#", "#;#", "\0", "🚲")
)
numbers = st.sampled_from((0, 1, -1, 2**53 + 1, 10**30, 1.5, -0.0, 1e300, True, False))
times = st.sampled_from(("2026-11-23T11:56:58.742Z", "2026-11-23", "1795435018", "no", "0001-01-01T00:00:00Z"))
scalars = texts | numbers | st.none()
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(texts | st.sampled_from(("url", "id")), inner, max_size=3)
    ),
    max_leaves=6,
)
PRODUCT = ("product_id", "sku", "id", "name", "price", "quantity", "qty", "currency", "brand", "category", "subtotal",
           "item_id", "position", "in_stock", "master_id", "item_category", "item_category2", "variant")  # fmt: skip
PROPERTIES = ("order_id", "total", "revenue", "subtotal", "value", "tax", "shipping", "discount", "coupon", "currency",
              "query", "results", "list", "cart_id", "basket_id", "content_id", "url", "path", "title", "referrer",
              "email", "products", "items", "name", "category", "change")  # fmt: skip
CONTEXT = ("page", "campaign", "library", "consent", "traits", "sessionId", "locale", "timezone", "screen",
           "userAgent", "ip", "gpc", "dnt", "webdriver")  # fmt: skip
INNER = ("url", "path", "title", "referrer", "view_id", "source", "medium", "name", "term", "content", "click_id",
         "version", "width", "height", "categoryPreferences", "analytics", "text_version", "method")  # fmt: skip


def some_of(names: tuple[str, ...], of: st.SearchStrategy[Any] = values) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(names), of, max_size=6)


products = st.lists(some_of(PRODUCT) | values, max_size=3)
properties = some_of(PROPERTIES, values | products) | some_of((*PROPERTIES, *PRODUCT), scalars)
contexts = some_of(CONTEXT, some_of(INNER, values | some_of(INNER, values)) | values)


@st.composite
def messages(draw: st.DrawFn) -> Any:
    message: dict[str, Any] = {
        "type": draw(st.sampled_from(("track", "identify", "page", "screen", "group", "alias", "raptor")))
    }
    message["event"] = draw(st.sampled_from((*SEGMENT, "Own Name")) | values)
    for name in ("messageId", "userId", "anonymousId", "previousId", "groupId", "name", "channel"):
        if draw(st.booleans()):
            message[name] = draw(scalars)
    for name in ("timestamp", "originalTimestamp"):
        if draw(st.booleans()):
            message[name] = draw(times | scalars)
    for name, strategy in (
        ("properties", properties),
        ("traits", some_of(("email", "name", "x"))),
        ("context", contexts),
    ):
        if draw(st.booleans()):
            message[name] = draw(strategy | values)
    return message


def context(server_key: bool, protocol: str) -> Context:
    return Context(
        source="shop", protocol=protocol, server_key=server_key, required_consent=False, respect_dnt=True,
        filter_bots=False, limits=Limits(), topics=Topics("events", "rejected"), secret=b"s", now=NOW,
        cookie_id="c-1", received_at=format_ms(NOW),
        describe=lambda address, agent: {},
        client={} if server_key else {"browser": "Chrome", "ip": "192.0.2.0"}, gpc=not server_key, dnt=False,
    )  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(messages() | values, min_size=1, max_size=4), contexts | values, times | scalars, st.booleans())
def test_every_record_is_what_its_topic_documents(batch: list[Any], shared: Any, at: Any, server_key: bool) -> None:
    path = "/v1/batch" if server_key else "/tw/e"
    try:
        body = orjson.dumps({"batch": batch, "context": shared, "sentAt": at})
    except TypeError:
        # An integer beyond 64 bits: the standard encoder writes it, as Python's SDKs do.
        body = json.dumps({"batch": batch, "context": shared, "sentAt": at}).encode()
    parsed = parsed_of(path, body)
    taken = intake(parsed, context(server_key, parsed.protocol))
    assert len(taken.receipts) == len(batch)
    for receipt in taken.receipts:
        record = orjson.loads(receipt.record.value or b"")
        if receipt.status == "accepted":
            assert receipt.record.topic == "events"
            EVENT.validate_python(record)
        else:
            assert receipt.record.topic == "rejected"
            OUTCOME.validate_python(record)
            assert receipt.reason
