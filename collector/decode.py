"""JSON becomes values, here only: by the fast road, or by the slow one for what orjson refuses whole. Pure."""

from __future__ import annotations

import json
from typing import Any, Final

import orjson

from collector.statuses import CODES, Code

# orjson reads integers beyond 64 bits as floats: bodies with such long numbers go the slow road. With every digit made
# the same one, they are found by a search for fixed bytes, which is ten times faster than a pattern.
_ALL_DIGITS_ALIKE: Final = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER: Final = b"0" * 19
_INT64: Final = 2**63
# Bodies shorter than this cannot hold enough values to be worth counting.
_FEW_BYTES: Final = 65_536

MAX_VALUES: Final = 400_000


class BadBody(Exception):  # noqa: N818 - a verdict on the request
    """A body nothing can be read from. `status` is the HTTP status that says so."""

    def __init__(self, code: Code, message: str = "") -> None:
        super().__init__(message or CODES[code].text)
        self.code: Code = code
        self.status = CODES[code].status


class NotANumber:
    """Stands for NaN or an infinity, which JSON does not have: refuses the event that holds it."""


def decode(body: bytes | bytearray, max_values: int = MAX_VALUES) -> Any:
    """JSON as values; NotANumber among them where it holds NaN or an infinity. Raises BadBody: `invalid_json`,
    `not_utf8`, `too_deep` or `too_many_values`."""
    # An empty list takes two bytes of JSON and seventy of memory: what a parser makes is bounded before it does.
    if len(body) > _FEW_BYTES and body.count(b",") + body.count(b"[") + body.count(b"{") > max_values:
        raise BadBody("too_many_values", f"a body holds {max_values} values at most; send smaller batches")
    try:
        if _LONG_NUMBER not in body.translate(_ALL_DIGITS_ALIKE):
            return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    return _decode_slowly(body)


def _decode_slowly(body: bytes | bytearray) -> Any:
    """What orjson refuses whole: lone surrogates become U+FFFD, long integers decimal text, NaN is marked."""
    try:
        # Astral characters as two encoded surrogates (CESU-8, seen from browsers) become one character.
        text = body.decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    except UnicodeDecodeError:
        raise BadBody("not_utf8") from None
    try:
        # Some write a byte order mark, which orjson does not know.
        text = text.removeprefix("\ufeff")
        value = json.loads(text, parse_int=_integer, parse_float=_float, parse_constant=lambda _: NotANumber())
    except RecursionError:
        raise BadBody("too_deep") from None
    except ValueError:
        raise BadBody("invalid_json", "the body is not JSON") from None
    return _without_lone_surrogates(value) if "\\u" in text else value


def _integer(digits: str) -> int | str:
    # int() of very long text is slow by design of CPython, and refused over 4,300 digits.
    if len(digits) > 20:
        return digits
    number = int(digits)
    return number if -_INT64 <= number < _INT64 else digits


def _float(digits: str) -> float | NotANumber:
    number = float(digits)
    return number if abs(number) != float("inf") else NotANumber()


def _without_lone_surrogates(value: Any) -> Any:
    """The value, its texts cleaned in place; without recursion, however deep it is."""
    top = [value]
    waiting: list[Any] = [top]
    while waiting:
        holder = waiting.pop()
        if isinstance(holder, dict):
            cleaned = {_clean(key): _clean(inner) for key, inner in holder.items()}
            holder.clear()
            holder.update(cleaned)
            waiting += [inner for inner in holder.values() if isinstance(inner, dict | list)]
        else:
            holder[:] = [_clean(inner) for inner in holder]
            waiting += [inner for inner in holder if isinstance(inner, dict | list)]
    return top[0]


def _clean(value: Any) -> Any:
    if not isinstance(value, str) or value.isascii():
        return value
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
