"""TypeScript types of events, from events as they were sent: names of events and properties, and types of values. No
value is kept, nor a name that looks like one: what visitors typed or who they are is in no type. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_MAX_EVENTS: Final = 500
# An object with more names than this is a table whose keys are data.
_MAX_FIELDS: Final = 100
_MAX_DEPTH: Final = 5
_MAX_NAME: Final = 80
# An address, an id of digits or hex, or what is no name at all.
_NOT_A_NAME: Final = re.compile(r"[@%\x00-\x1f\u2028\u2029]|\d{5}|[0-9a-f]{8}-|[0-9a-f]{12}", re.IGNORECASE)
_IDENTIFIER: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_HEAD: Final = """\
// Made by `trackway types` from the events in the log. `trackway('track', …)` takes these events with these properties.
"""


@dataclass
class Shape:
    """What a value was seen to be. `objects` of the `seen` values were objects, with these `fields`."""

    seen: int = 0
    plain: set[str] = field(default_factory=set)
    objects: int = 0
    fields: dict[str, Shape] = field(default_factory=dict)
    open: bool = False
    items: Shape | None = None

    def see(self, value: Any, depth: int = 0) -> None:
        self.seen += 1
        if isinstance(value, str | bool | int | float) or value is None:
            self.plain.add(_type_of(value))
        elif depth >= _MAX_DEPTH:
            self.plain.add("unknown")
        elif isinstance(value, list):
            self.items = self.items or Shape()
            for one in value:
                self.items.see(one, depth + 1)
        else:
            self.objects += 1
            for name, inner in value.items():
                self._field(name, inner, depth)

    def _field(self, name: str, value: Any, depth: int) -> None:
        if not is_name(name) or (name not in self.fields and len(self.fields) >= _MAX_FIELDS):
            self.open = True
        else:
            self.fields.setdefault(name, Shape()).see(value, depth + 1)

    def text(self, indent: str = "") -> str:
        """The type; lines after the first begin with `indent`."""
        parts = sorted(self.plain)
        if self.items is not None:
            inner = self.items.text(indent) if self.items.seen else "unknown"
            parts.append(f"{inner}[]" if _IDENTIFIER.fullmatch(inner) or inner.endswith("}") else f"({inner})[]")
        if self.objects:
            parts.append(self._object(indent))
        return "unknown" if "unknown" in parts else " | ".join(parts)

    def _object(self, indent: str) -> str:
        if self.open and len(self.fields) >= _MAX_FIELDS:
            return "Record<string, unknown>"
        lines = []
        for name, shape in sorted(self.fields.items()):
            optional = "" if shape.seen == self.objects else "?"
            lines.append(f"{indent}  {_quoted(name)}{optional}: {shape.text(indent + '  ')};\n")
        if self.open:
            lines.append(f"{indent}  [name: string]: unknown;\n")
        return f"{{\n{''.join(lines)}{indent}}}" if lines else "Record<string, never>"


class EventTypes:
    """Sees events, and tells their types. `seen`: how many it was shown; `left_out`: names that it does not tell."""

    def __init__(self) -> None:
        self.seen = 0
        self._shapes: dict[str, Shape] = {}
        self._left_out: set[int] = set()

    @property
    def left_out(self) -> int:
        return len(self._left_out)

    def see(self, name: str, properties: Mapping[str, Any]) -> None:
        self.seen += 1
        if not is_name(name) or (name not in self._shapes and len(self._shapes) >= _MAX_EVENTS):
            if len(self._left_out) < _MAX_EVENTS:
                self._left_out.add(hash(name))
            return
        self._shapes.setdefault(name, Shape()).see(dict(properties))

    def text(self) -> str:
        """The .d.ts."""
        lines = [f"  {_quoted(name)}: {shape.text('  ')};\n" for name, shape in sorted(self._shapes.items())]
        return f"{_HEAD}interface TrackwayEvents {{\n{''.join(lines)}}}\n"


def is_name(text: str) -> bool:
    """Whether it names something, and is no address, number or id of somebody."""
    return 0 < len(text) <= _MAX_NAME and not _NOT_A_NAME.search(text)


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return "string" if isinstance(value, str) else "number"


def _quoted(name: str) -> str:
    return name if _IDENTIFIER.fullmatch(name) else json.dumps(name, ensure_ascii=False)
