"""The hits of gtag.js: an event as the fields of a query. Google documents them nowhere; what they mean is public
knowledge."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from collector.consent_ga4 import gtag_consent
from collector.protocols.ga4_events import Told
from collector.stated import word
from eventlog.event import MAX_SEQ, Client

_PARAMETERS: Final = {
    "dl": "page_location", "dr": "page_referrer", "dt": "page_title", "sid": "session_id", "cu": "currency",
}  # fmt: skip
# The two letters before each value of an item.
_ITEM: Final = {
    "id": "item_id", "nm": "item_name", "br": "item_brand", "ca": "item_category", "c2": "item_category2",
    "c3": "item_category3", "c4": "item_category4", "c5": "item_category5", "va": "item_variant", "pr": "price",
    "qt": "quantity", "cp": "coupon", "ds": "discount", "ln": "item_list_name", "li": "item_list_id", "lp": "index",
    "af": "affiliation", "lo": "location_id", "cn": "creative_name", "cs": "creative_slot", "pi": "promotion_id",
    "pn": "promotion_name",
}  # fmt: skip
_MAX_DIGITS: Final = 18


def told_of(name: str, fields: Mapping[str, str]) -> Told:
    """What a hit's fields tell of the event `name`."""
    parameters: dict[str, Any] = {}
    traits: dict[str, Any] = {}
    items: list[tuple[int, dict[str, Any]]] = []
    for field, value in fields.items():
        if field in _PARAMETERS:
            parameters.setdefault(_PARAMETERS[field], value)
            continue
        start, _, rest = field.partition(".")
        if rest and start in ("ep", "epn"):
            parameters[rest] = value if start == "ep" else _number(value)
        elif rest and start in ("up", "upn"):
            traits[rest] = value if start == "up" else _number(value)
        elif field.startswith("pr") and field[2:].isascii() and field[2:].isdigit() and len(field) <= 5:
            items.append((int(field[2:]), _item(value)))
    if items:
        parameters["items"] = [item for _, item in sorted(items, key=lambda numbered: numbered[0])]
    if engaged := word(fields.get("_et")):
        parameters["engagement_time_msec"] = _number(engaged)
    consent = gtag_consent(fields.get("gcs"), fields.get("gcd"), fields.get("npa"))
    return Told(name, parameters, traits, fields.get("cid"), fields.get("uid"), consent, _client(fields))


def _item(text: str) -> dict[str, Any]:
    """`idSKU-1~nmTent~pr9.90~qt2~k0colour~v0red`; a tilde within a value is doubled."""
    item: dict[str, Any] = {}
    names: dict[str, str] = {}
    for part in text.replace("~~", "\0").split("~"):
        code, value = part[:2], part[2:].replace("\0", "~")
        if code in _ITEM:
            item[_ITEM[code]] = _number(value) if code == "lp" else value
        elif code[:1] == "k":
            names[code[1:]] = value
        elif code[:1] == "v" and (name := names.get(code[1:])):
            item[name] = value
    return item


def _client(fields: Mapping[str, str]) -> Client:
    client: Client = {}
    if screen := word(fields.get("sr")):
        client["screen"] = screen
    if locale := word(fields.get("ul")):
        client["locale"] = locale
    hit = _number(fields.get("_s", ""))
    if isinstance(hit, int) and 0 <= hit <= MAX_SEQ:
        client["seq"] = hit
    return client


def _number(text: str) -> int | float | str:
    """As exact as it can be written; what is no number stays as it is."""
    if len(text) <= _MAX_DIGITS and text.isascii() and text.removeprefix("-").isdigit():
        return int(text)
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) and repr(number).lstrip("-") == text.lstrip("-") else text
