"""Rows before they are sent: what may stand in one, and what it is known by. Pure."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple, cast

import orjson

from exporter.processors import Row, Scalar

MAX_TEXT_BYTES: Final = 32 * 1024
MAX_COLUMN_NAME: Final = 200

ColumnType = Literal["text", "number", "boolean"]


class Fault(NamedTuple):
    """Why a row cannot be sent: a word, the column, and what to do; never a value."""

    code: str
    column: str
    reason: str


def column_type(value: Scalar) -> ColumnType | None:
    """What the CDP would take the value for; None of null, which fits any."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "boolean"
    return "text" if isinstance(value, str) else "number"


def fault_in(row: Mapping[str, Any], key: str, types: Mapping[str, ColumnType]) -> Fault | None:
    """What is wrong with a row whose key column is `key`, in a stream whose columns have these types."""
    stated = row.get(key)
    if stated is None or stated == "":
        return Fault("no_key", key, f"the row has no `{key}`, which is to name it")
    for column, value in row.items():
        if value is None:
            continue
        if not column or len(column) > MAX_COLUMN_NAME or not column.isprintable():
            return Fault("bad_column", column[:MAX_COLUMN_NAME], "the column's name is empty, too long or unprintable")
        if not isinstance(value, str | int | float):
            return Fault("not_simple", column, "only text, numbers, true and false, and null can be sent")
        if isinstance(value, float) and not math.isfinite(value):
            return Fault("not_finite", column, "NaN and infinities cannot be sent")
        if isinstance(value, int) and abs(value) > 2**63 - 1:
            return Fault("too_large", column, "the number has more than 64 bits; write it as text")
        if isinstance(value, str) and len(value) > MAX_TEXT_BYTES // 4 and len(value.encode()) > MAX_TEXT_BYTES:
            return Fault("too_long", column, f"the text is longer than {MAX_TEXT_BYTES // 1024} KiB")
        known = types.get(column)
        if known is not None and known != column_type(value):
            return Fault(
                "type_changed",
                column,
                f"the stream has {known} in this column, the row {column_type(value)}; a settled column keeps its type",
            )
    return None


def content_of(row: Row) -> bytes:
    """16 bytes that change with any column's value; a null is as good as no column."""
    stated = {column: value for column, value in row.items() if value is not None}
    return hashlib.blake2b(orjson.dumps(stated, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()


def key_of(*parts: object) -> bytes:
    """16 bytes that stand for a row's key in the ledger."""
    return hashlib.blake2b(orjson.dumps(parts), digest_size=16).digest()


def padded(row: Row, columns: Mapping[str, ColumnType]) -> Row:
    """The row with a null for each further column of the stream: what it has no value for is deleted there."""
    return row | dict.fromkeys(columns.keys() - row.keys())


def emptied(row: Mapping[str, Any], key: str) -> Row:
    """What is left of a row whose person is not to be known any more."""
    return {key: cast(Scalar, row[key])}
