"""Items from an NDJSON file."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import orjson

from exporter.sources.files import NdjsonFile
from exporter.sources.item import Item


def written(folder: Path, *lines: Any) -> Path:
    file = folder / "feed.ndjson"
    file.write_bytes(b"\n".join(one if isinstance(one, bytes) else orjson.dumps(one) for one in lines))
    return file


def items_of(file: Path, since: int | None = None, cursor: Any = None) -> list[Item]:
    async def read() -> list[Item]:
        return [item async for item in NdjsonFile(file, "id", "modified_at").iterate(since, cursor)]

    return asyncio.run(read())


def test_each_line_is_an_item_also_the_last_one_without_an_end(tmp_path: Path) -> None:
    first, second = items_of(written(tmp_path, {"id": 1, "name": "A"}, b"", {"id": "b"}))
    assert (first.key, first.values) == ("1", {"id": 1, "name": "A"})
    assert second.key == "b"


def test_lines_that_are_no_items_are_refused_alone(tmp_path: Path) -> None:
    lines = [b"{", b"[1]", {"id": 1, "fields": [{"identifier": "x"}]}, {"id": 2, "fields": {}}, {"id": 3}]
    *wrong, right = items_of(written(tmp_path, *lines))
    assert [one.fault.code for one in wrong if one.fault] == [
        "not_an_object",
        "not_an_object",
        "bad_field",
        "bad_field",
    ]
    assert wrong[0].fault
    assert "ends at byte 2 " in wrong[0].fault.reason
    assert (right.key, right.fault) == ("3", None)


def test_a_line_of_many_megabytes_is_refused_as_one(tmp_path: Path) -> None:
    huge, after = items_of(written(tmp_path, b'{"id": 1, "x": "' + b"y" * 9_000_000 + b'"}', {"id": 2}))
    assert huge.fault
    assert after.key == "2"


def test_only_what_changed_is_read_or_does_not_say_when(tmp_path: Path) -> None:
    stated = ["2026-02-01T10:00:00Z", "2026-02-01T09:59:59.999Z", "soon", None]
    file = written(tmp_path, *({"id": number, "modified_at": at} for number, at in enumerate(stated, 1)))
    assert [item.key for item in items_of(file, since=1_769_940_000_000)] == ["1", "3", "4"]


def test_reading_goes_on_behind_an_item_unless_the_file_is_another(tmp_path: Path) -> None:
    file = written(tmp_path, {"id": 1}, {"id": 2}, {"id": 3})
    behind = items_of(file)[0].cursor
    kept = orjson.loads(orjson.dumps(behind))
    assert [item.key for item in items_of(file, cursor=kept)] == ["2", "3"]
    written(tmp_path, {"id": 4}, {"id": 5})
    os.utime(file, ns=(1, 1))
    assert [item.key for item in items_of(file, cursor=kept)] == ["4", "5"]
