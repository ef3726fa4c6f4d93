"""What Raptor's numbered parameters (`p1` … `p999`) are called: each customer agrees on other positions. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

# The positions of every event stand here; of an event's own only what differs.
ALL: Final = "all"
# The name of the position that tells which event it is.
EVENT: Final = "event"

DEFAULTS: Final[Mapping[str, Mapping[str, str]]] = {
    ALL: {
        "p1": EVENT, "p2": "product_id", "p3": "name", "p4": "category_path", "p7": "user_id", "p8": "brand",
        "p18": "master_id",
    },
    "visit": {"p12": "price", "p15": "in_stock"},
    "basket": {"p10": "basket_content", "p11": "basket_id", "p13": "quantity"},
    "buy": {"p5": "subtotal", "p12": "price", "p13": "quantity", "p21": "order_id"},
    "favorite": {"p10": "favorites"},
    "contentvisit": {"p2": "content_id"},
}  # fmt: skip

_POSITION: Final = re.compile(r"p[1-9][0-9]{0,2}")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")

Table = Mapping[str, Mapping[str, str]]


class Positions:
    """The table in force: `DEFAULTS` and what is configured beside it."""

    def __init__(self, configured: Table) -> None:
        """`configured` maps events (or `all`) to positions to names; a name configured elsewhere leaves its default
        position, and an empty one takes a position out. Raises ValueError."""
        for event, names in configured.items():
            _check(event, names)
        events = {*DEFAULTS, *configured} - {ALL}
        self._all = _merged(DEFAULTS[ALL], configured.get(ALL, {}))
        self._own = {
            event: _merged(DEFAULTS[ALL], DEFAULTS.get(event, {}), configured.get(ALL, {}), configured.get(event, {}))
            for event in events
        }
        if EVENT not in self._all.values():
            raise ValueError(f"`{ALL}` needs a position that is `{EVENT}`: which event it is")
        self.event: str = next(position for position, name in self._all.items() if name == EVENT)

    def of(self, event: str) -> Mapping[str, str]:
        """The names of an event's positions; events are told apart in lower case."""
        return self._own.get(event.lower(), self._all)


def _merged(*layers: Mapping[str, str]) -> dict[str, str]:
    positions: dict[str, str] = {}
    for layer in layers:
        stated = set(layer.values()) - {""}
        positions = {position: name for position, name in positions.items() if name not in stated} | dict(layer)
    return {position: name for position, name in positions.items() if name}


def _check(event: str, names: Mapping[str, str]) -> None:
    if event != event.lower() or not event.strip():
        raise ValueError(f"{event!r}: events are written in lower case, such as `visit`, or `{ALL}`")
    for position, name in names.items():
        if not _POSITION.fullmatch(position):
            raise ValueError(f"{event}.{position}: positions are `p1` to `p999`")
        if name and not _NAME.fullmatch(name):
            raise ValueError(f"{event}.{position}: {name!r} is no name; write one such as `order_id`")
        if name == EVENT and event != ALL:
            raise ValueError(f"{event}.{position}: only `{ALL}` says which position is `{EVENT}`")
    known = [name for name in names.values() if name]
    if twice := next((name for name in known if known.count(name) > 1), None):
        raise ValueError(f"{event}: `{twice}` stands at two positions")
