"""What a protocol's parser may look at of a request. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from urllib.parse import parse_qsl

from collector.decode import BadBody, decode
from collector.settings import CollectorSettings

_MAX_FIELDS: Final = 1_000


@dataclass
class Request:
    """One request. `path` without the slash at its end, `headers` in lower case, `body` decompressed."""

    method: str
    path: str
    headers: Mapping[bytes, bytes]
    query_string: bytes
    body: bytes | bytearray
    settings: CollectorSettings

    def take_body(self) -> bytes | bytearray:
        """The body, which is not kept here any longer."""
        body, self.body = self.body, b""
        return body

    def take_json(self) -> Any:
        """The body's values. Raises BadBody."""
        return decode(self.take_body(), self.settings.limits.body_values)

    def fingerprint(self) -> bytes:
        """What tells this request from others of its sender; before the body is taken."""
        digest = hashlib.blake2b(self.body, digest_size=16)
        digest.update(self.path.encode() + b"?" + self.query_string)
        return digest.digest()

    def header(self, name: bytes) -> str | None:
        """A header's value, trimmed; None where it is absent or blank."""
        value = self.headers.get(name)
        return value.decode("latin-1").strip() or None if value else None

    @cached_property
    def query(self) -> dict[str, str]:
        """The query's fields, the first of each name. Raises BadBody."""
        return form_fields(self.query_string)


def form_fields(text: bytes | bytearray | str) -> dict[str, str]:
    """The fields of a query or a form, percent-decoded; of several of one name the first. Raises BadBody."""
    written = text if isinstance(text, str) else text.decode("utf-8", "replace")
    try:
        pairs = parse_qsl(written, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise BadBody("invalid_json", f"a query or form has {_MAX_FIELDS} fields at most") from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, value)
    return fields
