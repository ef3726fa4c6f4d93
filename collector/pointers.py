"""RFC 6901 JSON pointers, and our one addition: `*` where a list stands means each of its entries. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

Path = tuple[str, ...]

# What `find` answers where nothing stands.
ABSENT: Final = object()
EACH: Final = "*"


def read_pointer(text: str) -> Path:
    """The pointer's parts. Raises ValueError where the text is none."""
    if not text.startswith("/"):
        raise ValueError("a JSON pointer begins with a slash, such as /properties/price")
    parts = text[1:].split("/")
    for part in parts:
        if "~" in part.replace("~0", "").replace("~1", ""):
            raise ValueError("in a JSON pointer ~ is written ~0, and / within a name ~1")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)


def write_pointer(path: Path) -> str:
    """The pointer as text."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)


def find(value: Any, path: Path) -> Any:
    """What stands there; ABSENT where nothing does."""
    for part in path:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and (at := _index(part, len(value))) is not None:
            value = value[at]
        else:
            return ABSENT
    return value


def places(value: Any, path: Path) -> Iterator[Path]:
    """The paths of all that a pointer with `*` means and that is there."""
    yield from _places(value, path, ())


def put(value: Any, path: Path, new: Any) -> bool:
    """Have `new` stand there; objects on the way that are absent are made. False where no value can stand there."""
    for part in path[:-1]:
        inner = find(value, (part,))
        if inner is ABSENT and isinstance(value, dict):
            inner = value[part] = {}
        if not isinstance(inner, dict | list):
            return False
        value = inner
    last = path[-1]
    if isinstance(value, dict):
        value[last] = new
        return True
    if not isinstance(value, list):
        return False
    if last == "-":
        value.append(new)
        return True
    at = _index(last, len(value))
    if at is not None:
        value[at] = new
    return at is not None


def take(value: Any, path: Path) -> Any:
    """Take out what stands there; ABSENT where nothing does."""
    holder = find(value, path[:-1])
    found = find(holder, path[-1:])
    if found is ABSENT:
        return ABSENT
    if isinstance(holder, dict):
        del holder[path[-1]]
    else:
        del holder[int(path[-1])]
    return found


def _places(value: Any, path: Path, before: Path) -> Iterator[Path]:
    if not path:
        yield before
        return
    part, rest = path[0], path[1:]
    if part == EACH and isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _places(inner, rest, (*before, str(at)))
        return
    inner = find(value, (part,))
    if inner is not ABSENT:
        yield from _places(inner, rest, (*before, part))


def _index(part: str, length: int) -> int | None:
    if not (part.isascii() and part.isdigit()) or (part[0] == "0" and part != "0") or len(part) > 9:
        return None
    return int(part) if int(part) < length else None
