"""A request as the protocol of its path reads it, without a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from collector.protocols import parse
from collector.request import Request
from collector.routes import Routes
from collector.sent import Parsed
from collector.settings import CollectorSettings

SETTINGS: Final = CollectorSettings()


def parsed_of(
    path: str, body: bytes = b"", *, method: str = "POST", query: bytes = b"",
    headers: Mapping[bytes, bytes] | None = None, settings: CollectorSettings = SETTINGS,
) -> Parsed:  # fmt: skip
    """Raises BadBody."""
    served = Routes(settings).find(path)
    assert served, path
    request = Request(method, path.removesuffix("/"), headers or {}, query, body, settings)
    return parse(served[method].family, request)
