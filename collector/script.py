"""The tracker as it is served: the core and the add-ons that a page asks for, in one file, compressed once."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

import brotli
import orjson

from collector.cors import Answer
from collector.statuses import problem

DIST: Final = Path(__file__).parent.parent / "static" / "dist"
# The order they stand in, whatever order they are asked for in: the same page's file is the same bytes.
ADD_ONS: Final = ("shop", "cmp", "engage", "auto", "debug")

_TYPE: Final = b"text/javascript; charset=utf-8"
# Pages of other hosts load it with `integrity` and `crossorigin`, so they must be allowed to read it.
_FOR_ALL: Final = [
    (b"cache-control", b"public, max-age=3600"),
    (b"vary", b"Accept-Encoding"),
    (b"access-control-allow-origin", b"*"),
    (b"cross-origin-resource-policy", b"cross-origin"),
]
_MAX_FIELDS: Final = 100
_WORD: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
_CODING: Final = re.compile(r"\s*([a-z*-]+)\s*(?:;\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*)?", re.IGNORECASE)


class UnknownAddOn(ValueError):  # noqa: N818 - the answer to a question
    """There is no such add-on; the text names those there are."""


@dataclass(frozen=True)
class Joined:
    """The bytes of one file, each compression made when it is first asked for."""

    body: bytes

    @cached_property
    def gzip(self) -> bytes:
        return gzip.compress(self.body, 9, mtime=0)

    @cached_property
    def br(self) -> bytes:
        packed: bytes = brotli.compress(self.body, mode=brotli.MODE_TEXT)
        return packed

    @cached_property
    def tag(self) -> bytes:
        return hashlib.sha256(self.body).hexdigest()[:16].encode()

    @cached_property
    def integrity(self) -> str:
        return "sha384-" + base64.b64encode(hashlib.sha384(self.body).digest()).decode()


class Script:
    """What is served of `folder`, where `make tracker` puts the tracker's files and their list, `manifest.json`."""

    def __init__(self, folder: Path = DIST) -> None:
        """Raises OSError, KeyError or orjson.JSONDecodeError where a file is missing or damaged."""
        files = orjson.loads((folder / "manifest.json").read_bytes())["files"]
        self._parts = {name: (folder / told["file"]).read_bytes() for name, told in files.items()}
        self._core = self._parts.pop("core")
        self._joined: dict[tuple[str, ...], Joined] = {}
        self.add_ons = tuple(name for name in ADD_ONS if name in self._parts)

    def joined(self, asked: Iterable[str] = ()) -> Joined:
        """The core and the add-ons `asked` for, each once and in the one order. Raises UnknownAddOn."""
        names = set(asked)
        if strange := sorted(names.difference(self.add_ons)):
            named = next((f"{name!r} is" for name in strange if _WORD.fullmatch(name)), "these are")
            raise UnknownAddOn(f"{named} no add-on of the tracker; known: {', '.join(self.add_ons) or 'none'}")
        wanted = tuple(name for name in self.add_ons if name in names)
        if wanted not in self._joined:
            *lines, last = self._core, *(self._parts[name] for name in wanted)
            # The last as it is: alone, the core's hash is the manifest's.
            self._joined[wanted] = Joined(b"\n".join([*(line.rstrip() for line in lines), last]))
        return self._joined[wanted]

    def integrity(self, asked: Iterable[str] = ()) -> str:
        """What the script's `integrity` attribute must be where these add-ons are `asked` for. Raises UnknownAddOn."""
        return self.joined(asked).integrity

    def answer(self, query: bytes, headers: dict[bytes, bytes]) -> Answer:
        """The file that `query` asks for (`with=engage,shop`), or 304 where the asker has it, or 404."""
        try:
            joined = self.joined(_asked(query))
        except UnknownAddOn as error:
            return Answer(404, problem("not_found", str(error)), _FOR_ALL[2:])
        coding = _coding(headers.get(b"accept-encoding", b"").decode("latin-1"))
        tag = b'"%s%s"' % (joined.tag, b"-" + coding if coding else b"")
        told = [*_FOR_ALL, (b"etag", tag)]
        if _has(headers.get(b"if-none-match", b""), tag):
            return Answer(304, b"", told, _TYPE)
        if not coding:
            return Answer(200, joined.body, told, _TYPE)
        packed = joined.br if coding == b"br" else joined.gzip
        return Answer(200, packed, [*told, (b"content-encoding", coding)], _TYPE)


def _asked(query: bytes) -> list[str]:
    """Raises UnknownAddOn where the query cannot be read."""
    try:
        fields = parse_qsl(query.decode("latin-1"), max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise UnknownAddOn(f"a query has {_MAX_FIELDS} fields at most") from None
    named = (part.strip() for name, value in fields if name == "with" for part in value.split(","))
    return [name for name in named if name]


def _coding(accepted: str) -> bytes:
    """The better of the compressions that `Accept-Encoding` allows; empty where it allows none."""
    weights: dict[str, float] = {}
    for part in accepted.split(","):
        if found := _CODING.fullmatch(part):
            weights[found[1].lower()] = float(found[2] or 1)
    for name in ("br", "gzip"):
        if weights.get(name, weights.get("*", 0)):
            return name.encode()
    return b""


def _has(stated: bytes, tag: bytes) -> bool:
    """Whether `If-None-Match` names the tag, by weak comparison: proxies that compress anew weaken it."""
    return stated.strip() == b"*" or any(one.strip().removeprefix(b"W/") == tag for one in stated.split(b","))
