"""Snowplow's events: what each kind of them is, whose it is, when and where it happened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from collector.consent import PURPOSES
from collector.event_time import from_epoch
from collector.meanings import Meaning
from collector.protocols.snowplow_schemas import (
    SHOPS,
    SNOWPLOWS,
    Described,
    contexts_of,
    described,
    meaning_of,
    properties_of,
    unpack,
    unread,
)
from collector.sent import Choices, Sent
from collector.stated import path_to, word, words
from eventlog.errors import Rejected
from eventlog.event import Client, Consent, Event, Page
from eventlog.identifiers import text_of

PAGE_VIEW: Final = Meaning("pageview")
_PAGE_PING: Final = Meaning("page_ping")
_BUY: Final = Meaning("buy")
_ITEM: Final = Meaning("transaction_item")
_REDIRECT: Final = Meaning("uri_redirect")
_REDIRECT_SCHEMA: Final = "iglu:com.snowplowanalytics.snowplow/uri_redirect/jsonschema/1-0-0"

_PAGE: Final = (("url", "url"), ("page", "title"), ("refr", "referrer"))
_CLIENT: Final = (
    ("ip", "ip"),
    ("ua", "user_agent"),
    ("lang", "locale"),
    ("vp", "screen"),
    ("res", "screen"),
    ("tz", "timezone"),
)
_STRUCTURED: Final = (("se_ca", "category"), ("se_la", "label"), ("se_pr", "property"), ("se_va", "value"))
_SCROLLED: Final = (("pp_mix", "pp_mix"), ("pp_max", "pp_max"), ("pp_miy", "pp_miy"), ("pp_may", "pp_may"))
_ORDER: Final = (
    ("tr_id", "order_id"), ("tr_af", "affiliation"), ("tr_tt", "total"), ("tr_tx", "tax"), ("tr_sh", "shipping"),
    ("tr_ci", "city"), ("tr_st", "state"), ("tr_co", "country"), ("tr_cu", "currency"),
)  # fmt: skip
_LINE: Final = (
    ("ti_sk", "product_id"), ("ti_nm", "name"), ("ti_ca", "category"), ("ti_pr", "price"), ("ti_qu", "quantity"),
    ("ti_cu", "currency"),
)  # fmt: skip
_APPS: Final = frozenset(("mob", "app", "pc", "tv", "cnsl", "iot", "headset"))
# Python's tracker says `pc` wherever it runs, unless it is told otherwise.
_SERVER_TRACKERS: Final = ("py-", "node-", "rb-", "php-", "golang-", "java-", "scala-", "net-", "lua-", "rust-")
_DENIED: Final = frozenset(("deny_all", "withdrawn", "expired"))
_ALLOWED: Final = frozenset(("allow_all", "allow_selected"))


def read_event(value: dict[str, Any], path: str, is_anonymous: bool) -> Sent:
    """An event of a tracker. Raises Rejected."""
    kind = word(value.get("e"))
    if kind is None:
        raise Rejected("missing_field", path_to(path, "e"), "`e`, the event's type, is needed")
    entities = contexts_of(value, path)
    event_path, own = path, None
    if kind == "ue":
        own, event_path = _own(value, path)
        meaning, properties = meaning_of(own), properties_of(own, entities, event_path)
        entities = unread(own, entities)
    elif kind == "se":
        named = word(value.get("se_ac"))
        if named is None:
            raise Rejected("missing_field", path_to(path, "se_ac"), "`se_ac`, the action, is needed")
        meaning, properties = Meaning(named), dict(words(_STRUCTURED, value))
    elif kind == "pv":
        meaning, properties = PAGE_VIEW, {}
    elif kind == "pp":
        meaning, properties = _PAGE_PING, _texts(_SCROLLED, value)
    elif kind == "tr":
        meaning, properties = _BUY, _order(value)
    elif kind == "ti":
        meaning, properties = _ITEM, {**_texts(_LINE, value), **_texts((("ti_id", "order_id"),), value)}
    else:
        raise Rejected("unknown_type", path_to(path, "e"), "the type is none of pv, pp, se, ue, tr, ti")
    sent = Sent(path, _event(meaning, properties), meaning, event_path)
    _put_surroundings(sent, value, entities, is_anonymous)
    if own and meaning.name == "consent":
        _put_consent(sent, own)
    return sent


def read_redirect(value: dict[str, Any], path: str, is_anonymous: bool) -> Sent:
    """A click on a link, or what the link says of it. Raises Rejected."""
    uri = {"uri": value.get("u")}
    if word(value.get("e")):
        sent = read_event(value, path, is_anonymous)
        contexts = sent.event.get("properties", {}).get("contexts", {})
        kept = sent.event.get("properties", {})
        sent.event["properties"] = {**kept, "contexts": {**contexts, "uri_redirect": [uri]}}
        return sent
    sent = Sent(path, _event(_REDIRECT, {"schema": _REDIRECT_SCHEMA, **uri}), _REDIRECT, path)
    _put_surroundings(sent, value, contexts_of(value, path), is_anonymous)
    return sent


def read_hook(value: dict[str, Any], path: str, shared: Mapping[str, Any]) -> Sent:
    """An event of a webhook: its own value, whose schema the request names. Raises Rejected."""
    own = described({"schema": shared.get("schema"), "data": value}, path)
    meaning = meaning_of(own)
    sent = Sent(path, _event(meaning, properties_of(own, [], path)), meaning, path)
    _put_surroundings(sent, shared, [], "anonymous" in shared)
    if meaning.name == "consent":
        _put_consent(sent, own)
    return sent


def name_of(message: dict[str, Any]) -> str:
    """The name of an event that cannot be read for another reason; empty where that is the name."""
    if message.get("e") == "se":
        return word(message.get("se_ac")) or ""
    try:
        return meaning_of(_own(message, "")[0]).name if message.get("e") == "ue" else ""
    except Rejected:
        return ""


def _own(value: Mapping[str, Any], path: str) -> tuple[Described, str]:
    """A self-describing event's own value, and where its data stand."""
    wrapped, where = unpack(value, "ue_pr", "ue_px", path)
    if wrapped is None:
        raise Rejected("missing_field", path_to(path, "ue_pr"), "`ue_pr` or `ue_px`, the event itself, is needed")
    inner = wrapped.get("data") if isinstance(wrapped, dict) else None
    return described(inner, path_to(where, "data")), f"{where}.data.data"


def _event(meaning: Meaning, properties: dict[str, Any]) -> Event:
    event: Event = {"name": meaning.name, "kind": "track"}  # type: ignore[typeddict-item]
    if meaning.name == "pageview":
        event["kind"] = "page"
    elif meaning.name == "screen":
        event["kind"] = "screen"
    if properties:
        event["properties"] = properties
    return event


def _texts(fields: tuple[tuple[str, str], ...], value: Mapping[str, Any]) -> dict[str, Any]:
    """What is stated of `fields`, whatever it is: the protocol's numbers are texts, some senders' are numbers."""
    return {ours: one for theirs, ours in fields if (one := value.get(theirs)) is not None and one != ""}


def _order(value: Mapping[str, Any]) -> dict[str, Any]:
    properties = _texts(_ORDER, value)
    items = value.get("items")
    if isinstance(items, list):
        properties["products"] = [_texts(_LINE, item) for item in items if isinstance(item, dict)]
    return properties


def _put_surroundings(sent: Sent, value: Mapping[str, Any], entities: list[Described], is_anonymous: bool) -> None:
    event = sent.event
    _put_ids(event, value, is_anonymous)
    exact = from_epoch(value.get("ttm"))
    sent.client_time, sent.exact_time = exact or from_epoch(value.get("dtm")), exact is not None
    platform, tracker = word(value.get("p")), word(value.get("tv"))
    sent.server_side = platform == "srv" or (
        platform in (None, "pc") and tracker is not None and tracker.startswith(_SERVER_TRACKERS)
    )
    if platform in _APPS and not sent.server_side:
        event["channel"] = "app"
    if tracker:
        name, _, version = tracker.partition("-")
        event["library"] = {"name": f"snowplow-{name}", "version": version} if version else {"name": tracker}
    if page := words(_PAGE, value):
        event["page"] = cast(Page, page)
    if client := words(_CLIENT, value):
        event["client"] = cast(Client, client)
    if entities:
        _put_entities(sent, entities)


def _put_ids(event: Event, value: Mapping[str, Any], is_anonymous: bool) -> None:
    if event_id := text_of(value.get("eid")):
        event["id"] = event_id
    if user_id := text_of(value.get("uid")):
        event["user_id"] = user_id
    network = None if is_anonymous else text_of(value.get("nuid")) or text_of(value.get("tnuid"))
    if anonymous_id := text_of(value.get("duid")) or network:
        event["anonymous_id"] = anonymous_id
    if session := text_of(value.get("sid")):
        event["client_session_id"] = session


def _put_entities(sent: Sent, entities: list[Described]) -> None:
    event = sent.event
    others: dict[str, list[Any]] = {}
    for vendor, name, _, data in entities:
        if not isinstance(data, dict):
            others.setdefault(name, []).append(data)
        elif (vendor, name) == (SNOWPLOWS, "web_page"):
            if view := word(data.get("id")):
                event["page"] = {**event.get("page", {}), "view_id": view}
        elif (vendor, name) == (SNOWPLOWS, "client_session"):
            _put_session(event, data)
        elif (vendor, name) == (SHOPS, "user"):
            _put_user(sent, data)
        else:
            others.setdefault(name, []).append(data)
            if (vendor, name) == (SNOWPLOWS, "gdpr") and (version := word(data.get("documentVersion"))):
                event["consent"] = {**event.get("consent", {}), "text_version": version}
    if others:
        event["properties"] = {"contexts": others, **event.get("properties", {})}


def _put_session(event: Event, data: Mapping[str, Any]) -> None:
    if "client_session_id" not in event and (session := text_of(data.get("sessionId"))):
        event["client_session_id"] = session
    if "anonymous_id" not in event and (device := text_of(data.get("userId"))):
        event["anonymous_id"] = device


def _put_user(sent: Sent, data: Mapping[str, Any]) -> None:
    """The shop's user: a guest's id is none of a user."""
    sent.email = data.get("email")
    if "user_id" not in sent.event and data.get("is_guest") is not True and (user_id := text_of(data.get("id"))):
        sent.event["user_id"] = user_id


def _put_consent(sent: Sent, own: Described) -> None:
    data = own.data
    kind, scopes = word(data.get("eventType")), data.get("consentScopes")
    consent: Consent = {**sent.event.get("consent", {})}
    if kind in _ALLOWED:
        if isinstance(scopes, list):
            sent.choices = Choices({scope: True for scope in scopes if isinstance(scope, str)})
    elif kind in _DENIED or (own.name == "consent_withdrawn" and data.get("all") is True):
        for purpose in PURPOSES:
            consent[purpose] = False
    if version := word(data.get("consentVersion")):
        consent["text_version"] = version
    if consent:
        sent.event["consent"] = consent
