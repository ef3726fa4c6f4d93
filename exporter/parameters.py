"""What requests state beside their path, checked: bodies, limits, times, ids. What is wrong raises Problem."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from starlette.requests import Request

from eventlog.event import MAX_ID_CHARACTERS
from eventlog.timestamps import DAY_MS, now_ms, parse_ms
from exporter.problem import Problem
from exporter.rejected import REFUSED, STATUSES, Wanted

MAX_BODY_BYTES: Final = 16 * 1024

_AFTER: Final = re.compile(r"\d{1,4}:\d{1,18}(,\d{1,4}:\d{1,18})*")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


async def read_body(request: Request) -> bytes:
    """The request's body, of at most MAX_BODY_BYTES."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise Problem("too_large", f"The body is larger than {MAX_BODY_BYTES} bytes.", where="body")
    return body


def is_id(text: str) -> bool:
    """Whether the text can be an id or identifier at all: databases refuse some characters, and no id is longer."""
    return 0 < len(text) <= MAX_ID_CHARACTERS and not _CONTROL.search(text)


def id_of(request: Request) -> str:
    """The id in the path."""
    value = str(request.path_params["id"])
    if not is_id(value):
        todo = f"Ids have at most {MAX_ID_CHARACTERS} characters and no control characters."
        raise Problem("not_found", "There is nothing of this id.", where="path.id", todo=todo)
    return value


def limit_of(query: Mapping[str, str], default: int, most: int) -> int:
    """The `limit` of a list."""
    text = query.get("limit", str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10) or not 1 <= int(text) <= most:
        raise Problem("bad_request", "This is no limit.", where="query.limit", todo=f"Use a number from 1 to {most}.")
    return int(text)


def time_of(query: Mapping[str, str], name: str, default: int) -> int:
    """A time, in milliseconds since 1970."""
    text = query.get(name)
    if not text:
        return default
    try:
        return parse_ms(text)
    except ValueError:
        todo = "Write it as 2026-11-24T10:15:00Z."
        raise Problem("bad_request", "This is no time.", where=f"query.{name}", todo=todo) from None


def after_of(query: Mapping[str, str]) -> dict[int, int]:
    """Where a page of a topic begins: an offset of each partition, as `0:17,2:4`."""
    text = query.get("after", "")
    if not text:
        return {}
    if not _AFTER.fullmatch(text):
        todo = "Send the `next` of the page before as it is."
        raise Problem("bad_request", "This is no place in a list.", where="query.after", todo=todo)
    return {int(number): int(offset) for number, _, offset in (one.partition(":") for one in text.split(","))}


def written_after(next: Mapping[int, int] | None) -> str:
    """Where the next page begins; "" where there is none."""
    return ",".join(f"{number}:{offset}" for number, offset in sorted((next or {}).items()))


def wanted_of(query: Mapping[str, str]) -> Wanted:
    """Which records of the rejected topic: those of a day, unless it says."""
    end = time_of(query, "to", now_ms())
    start = time_of(query, "from", end - DAY_MS)
    status = query.get("status")
    if status and status not in STATUSES:
        todo = f"Use {', '.join(STATUSES)}."
        raise Problem("bad_request", "There is no such status.", where="query.status", todo=todo)
    words = {name: query.get(name, "") for name in ("source", "reason", "cause")}
    return Wanted(start, end, (status,) if status else REFUSED, **words)
