"""Items from an NDJSON file: one JSON object a line, its simple members columns, `fields` what processors look at.

{"id": 52, "name": "Trail shoes", "modified_at": "2026-02-01T10:00:00Z", "fields": [{"identifier": "title", …}]}
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any, Final

import orjson

from eventlog.timestamps import parse_ms
from exporter.processors import Field
from exporter.rows import Fault
from exporter.sources.item import Cursor, Item, SourceError

_LINES: Final = 500
# A longer line is no item: the whole file may be one.
_MAX_LINE: Final = 4 * 1024 * 1024


class NdjsonFile:
    """`key` and `modified` are names of columns. The cursor is (which file, offset behind an item's line): another file
    under the same name is read from its beginning."""

    def __init__(self, path: Path, key: str, modified: str) -> None:
        self._path = path
        self._key = key
        self._modified = modified
        self.reached: Cursor = None

    async def iterate(self, since: int | None, cursor: Cursor) -> AsyncGenerator[Item]:
        """Lines without a readable time of change count as changed."""
        try:
            file, name = await asyncio.to_thread(self._open, cursor)
            with file:
                while lines := await asyncio.to_thread(_next_lines, file):
                    for line, end in lines:
                        item = self._item(line, (name, end), since) if line.strip() else None
                        if item is not None:
                            yield item
        except OSError as error:
            raise SourceError(
                f"{self._path} cannot be read ({error.strerror}); look at `from` in the settings"
            ) from None

    def _open(self, cursor: Cursor) -> tuple[BufferedReader, str]:
        file = self._path.open("rb")
        about = os.fstat(file.fileno())
        name = f"{about.st_ino}-{about.st_mtime_ns}"
        if cursor and cursor[0] == name:
            file.seek(cursor[1])
        return file, name

    def _item(self, line: bytes, behind: tuple[str, int], since: int | None) -> Item | None:
        try:
            body = orjson.loads(line) if len(line) <= _MAX_LINE else None
        except orjson.JSONDecodeError:
            body = None
        if not isinstance(body, dict):
            reason = f"the line that ends at byte {behind[1]} is no JSON object"
            return Item("", behind, fault=Fault("not_an_object", "", reason))
        if since is not None and not _changed(body.get(self._modified), since):
            return None
        listed = body.pop("fields", [])
        key = str(body.get(self._key) or "")
        try:
            fields = _fields(listed)
        except ValueError as error:
            return Item(key, behind, body, fault=Fault("bad_field", "fields", str(error)))
        return Item(key, behind, body, fields, body)


def _next_lines(file: BufferedReader) -> list[tuple[bytes, int]]:
    lines = []
    for _ in range(_LINES):
        line = file.readline(_MAX_LINE + 1)
        if not line:
            break
        while not line.endswith(b"\n") and (rest := file.readline(_MAX_LINE)):
            # Too long to be an item: it is refused as one, not read as several.
            line = line[: _MAX_LINE + 1] + rest[-1:]
        lines.append((line, file.tell()))
    return lines


def _changed(stated: Any, since: int) -> bool:
    if not isinstance(stated, str):
        return True
    try:
        return parse_ms(stated) >= since
    except ValueError:
        return True


def _fields(listed: Any) -> Sequence[Field]:
    if not isinstance(listed, list):
        raise ValueError("`fields` must be a list of objects, each with `identifier`, `type` and `value`")
    return [_field(one) for one in listed]


def _field(one: Any) -> Field:
    if not isinstance(one, dict):
        raise ValueError("every entry of `fields` must be an object")
    identifier, kind = one.get("identifier"), one.get("type")
    if not (isinstance(identifier, str) and identifier and isinstance(kind, str) and kind):
        raise ValueError("every entry of `fields` needs an `identifier` and a `type`, both text")
    language, definition = one.get("language_code"), one.get("definition")
    return Field(
        identifier,
        kind,
        one.get("value"),
        one.get("id"),
        language if isinstance(language, str) else None,
        definition if isinstance(definition, dict) else {},
    )
