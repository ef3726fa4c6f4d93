"""What a value becomes when a repair casts it. Pure."""

from __future__ import annotations

import re
from typing import Any, Final, Literal

from eventlog.timestamps import format_ms, parse_ms

Type = Literal["text", "number", "whole", "flag", "time"]

_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_SPACES: Final = re.compile(r"[\s\u00a0\u202f']")
_INT64: Final = 2**63
_FLAGS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
# A count of seconds reaches this in the year 5138, one of milliseconds in 1973.
_MILLISECONDS_FROM: Final = 100_000_000_000


class CannotCast(Exception):  # noqa: N818 - a verdict on the value
    """The value is nothing of the type; the text says what it should have been, without the value."""


def cast(value: Any, to: Type, decimal: str) -> Any:
    """The value as `to`; `decimal` is the decimal sign of numbers in texts. Raises CannotCast."""
    if to == "text":
        return _text(value)
    if to == "flag":
        return _flag(value)
    if to == "time":
        return _time(value)
    number = _number(value, decimal)
    if to == "number" or isinstance(number, int):
        return number
    if number.is_integer() and abs(number) < 2**53:
        return int(number)
    raise CannotCast("it is no whole number")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    raise CannotCast("only numbers and true or false can be written as text")


def _number(value: Any, decimal: str) -> int | float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    text = _SPACES.sub("", value) if isinstance(value, str) else ""
    if decimal == ",":
        text = text.replace(".", "").replace(",", ".")
    if not _NUMBER.fullmatch(text):
        raise CannotCast("it is no number")
    if text.lstrip("-").isdigit():
        if len(text) > 20 or not -_INT64 <= int(text) < _INT64:
            raise CannotCast("it has more digits than a number of JSON can be trusted with")
        return int(text)
    number = float(text)
    if abs(number) == float("inf"):
        raise CannotCast("it is no finite number")
    return number


def _flag(value: Any) -> bool:
    found = _FLAGS.get(str(value).strip().lower()) if isinstance(value, str | bool | int) else None
    if found is None:
        raise CannotCast("it is neither true nor false, yes nor no, 1 nor 0")
    return found


def _time(value: Any) -> str:
    """Seconds or milliseconds since 1970, or any ISO 8601 text, as RFC 3339."""
    try:
        number = value if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()) else _number(value, ".")
        if isinstance(number, str):
            return format_ms(parse_ms(number.strip()))
        at = number if abs(number) >= _MILLISECONDS_FROM else number * 1000
        return format_ms(int(at))
    except (ValueError, OverflowError, CannotCast):
        raise CannotCast("it is no time") from None
