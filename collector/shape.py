"""What the values of one event may be: depth, numbers, how many keys, how long a text. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from collector.decode import NotANumber
from collector.sent import Sent
from collector.settings import Limits
from eventlog.errors import Rejected
from eventlog.event import MAX_ID_CHARACTERS, MAX_NAME_CHARACTERS
from eventlog.outcome import MAX_PATH_CHARACTERS

# A key and its value take at least this many bytes of JSON, so that short events need not be counted.
BYTES_A_KEY: Final = 5

# Where a value stands: the place it stands in, its key or number there (of the outermost: the path), how deep. Paths
# are put together only for who is told of one: keys may be long, and values many.
_Place = tuple["_Place | None", str | int, int]
_KEY_SHOWN: Final = 100

_NOT_FLAT: Final = frozenset((dict, list, NotANumber))
_IN_CONTEXT: Final = ("page", "campaign", "library", "consent")


def check_values(value: Any, path: str, depth: int) -> None:
    """Depth, and numbers JSON does not have. Raises Rejected."""
    waiting: list[tuple[Any, _Place]] = [(value, (None, path, 0))]
    while waiting:
        holder, place = waiting.pop()
        is_list = isinstance(holder, list)
        if _NOT_FLAT.isdisjoint(map(type, holder if is_list else holder.values())):
            continue
        for key, one in enumerate(holder) if is_list else holder.items():
            if type(one) not in _NOT_FLAT:
                continue
            if isinstance(one, NotANumber):
                where = _path((place, key, 0))
                raise Rejected("not_a_number", where, "NaN and infinities are no numbers in JSON")
            if place[2] >= depth:
                where = _path((place, key, 0))
                raise Rejected("too_deep", where, f"objects and lists stand more than {depth} deep in each other")
            # Of many small ones hardly any is looked into: places take more memory than what stands there.
            if not _NOT_FLAT.isdisjoint(map(type, one if isinstance(one, list) else one.values())):
                waiting.append((one, (place, key, place[2] + 1)))


def check_names(event_id: str, name: str, path: str) -> None:
    """Id and name, which every record carries twice. Raises Rejected."""
    if len(event_id) > MAX_ID_CHARACTERS:
        raise Rejected("too_long", f"{path}.messageId".lstrip("."), f"an id has {MAX_ID_CHARACTERS} characters at most")
    if len(name) > MAX_NAME_CHARACTERS:
        raise Rejected("too_long", f"{path}.event".lstrip("."), f"a name has {MAX_NAME_CHARACTERS} characters at most")


def check_size(sent: Sent, size: int, limits: Limits) -> None:
    """An event of `size` bytes of JSON: as a whole, how many keys, how long its texts. Raises Rejected."""
    if size > limits.event_bytes:
        raise Rejected("too_large", sent.path, f"an event has {limits.event_bytes} bytes at most")
    if size <= limits.text_characters and size <= limits.event_keys * BYTES_A_KEY:
        return
    keys = 0
    for value, place in _values_of(sent):
        if isinstance(value, dict):
            keys += len(value)
            if keys > limits.event_keys:
                raise Rejected("too_many_keys", _path(place), f"an event has {limits.event_keys} keys at most")
        elif isinstance(value, str) and len(value) > limits.text_characters:
            raise Rejected("too_long", _path(place), f"a text has {limits.text_characters} characters at most")


def _values_of(sent: Sent) -> Iterator[tuple[Any, _Place]]:
    """Every value the sender stated and where; what stands deepest comes last."""
    base = f"{sent.path}." if sent.path else ""
    waiting: list[tuple[Any, _Place]] = []
    for name, value in sent.event.items():
        path = f"{base}context.{name}" if name in _IN_CONTEXT else f"{base}{name}"
        waiting.append((value, (None, sent.properties_path if name == "properties" else path, 0)))
    for value, place in waiting:
        yield value, place
        if isinstance(value, dict):
            waiting += [(inner, (place, key, 0)) for key, inner in value.items()]
        elif isinstance(value, list):
            waiting += [(inner, (place, at, 0)) for at, inner in enumerate(value)]


def _path(place: _Place) -> str:
    """The place in words, cut where nobody would read on."""
    parts: list[str] = []
    parent, key, _ = place
    while parent is not None:
        parts.append(f"[{key}]" if isinstance(key, int) else f".{key[:_KEY_SHOWN]}")
        parent, key, _ = parent
    return (str(key) + "".join(reversed(parts)))[:MAX_PATH_CHARACTERS]
