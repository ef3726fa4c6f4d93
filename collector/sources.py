"""Which source a write key means, and whether the page that used it may."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlsplit

from collector.settings import Source
from collector.statuses import CODES, Code

_MAX_FIELDS: Final = 100


class Refusal(Exception):  # noqa: N818 - a verdict on the request
    """The request as a whole may not send: 401 or 403, with a code from the closed list of reasons."""

    def __init__(self, code: Code, message: str, source: str | None = None) -> None:
        super().__init__(message)
        self.status = CODES[code].status
        self.code: Code = code
        self.source = source


@dataclass(frozen=True, slots=True)
class Grant:
    """A write key's source; `server` says which of its keys was used."""

    name: str
    source: Source
    server: bool


class Sources:
    """All sources by key. Made anew when the settings change."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._by_key: dict[str, Grant] = {}
        # Secrets are looked up by digest and then compared in constant time: how long it takes tells nothing of them.
        self._by_digest: dict[bytes, tuple[bytes, Grant]] = {}
        self.origins: set[str] = set()
        for name, source in sources.items():
            browser, server = Grant(name, source, False), Grant(name, source, True)
            self.origins.update(source.origins)
            for key in (source.browser_key, *source.aliases):
                if key:
                    self._by_key[key] = browser if source.browser_key else server
            secret = source.server_key.get_secret_value().encode()
            if secret:
                self._by_digest[_digest(secret)] = (secret, server)

    def grant(self, keys: tuple[str, ...], origin: str | None, referer: str | None) -> Grant:
        """The source of the first key that one has. Raises Refusal when there is none, or the page may not use it."""
        if not keys:
            raise Refusal("unknown_key", "a write key is needed: Basic user name, X-Write-Key, or writeKey in the body")
        grant = None
        for key in keys:
            grant = self._by_key.get(key) or self._by_secret(key.encode("utf-8", "replace"))
            if grant is not None:
                break
        if grant is None:
            raise Refusal("unknown_key", "the write key is not one of the configured sources")
        if grant.server:
            if origin is not None:
                text = "a server key must not be used in a browser; use the source's browser key"
                raise Refusal("server_key_in_browser", text, grant.name)
            return grant
        page = origin or origin_of(referer)
        if page is not None and page not in grant.source.origins:
            text = f"the origin is not allowed; add it to sources.{grant.name}.origins"
            raise Refusal("origin_not_allowed", text, grant.name)
        return grant

    def _by_secret(self, key: bytes) -> Grant | None:
        secret, grant = self._by_digest.get(_digest(key), (b"", None))
        return grant if hmac.compare_digest(secret, key) else None


def keys_of(headers: Mapping[bytes, bytes], query: bytes, elsewhere: tuple[str, ...]) -> tuple[str, ...]:
    """The write keys that count: that of the Authorization header, else of X-Write-Key, else of the query, else those
    that the protocol has `elsewhere`."""
    scheme, _, value = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    key = None
    if scheme.lower() == "basic":
        with contextlib.suppress(binascii.Error, ValueError):
            key = base64.b64decode(value, validate=True).decode().partition(":")[0]
    elif scheme.lower() == "bearer":
        key = value.strip()
    if not key and b"x-write-key" in headers:
        key = headers[b"x-write-key"].decode("latin-1")
        # Jitsu's SDKs want `id:secret`: ours may be the whole or either half.
        if ":" in key:
            return tuple(one for one in (key, *key.split(":", 1)) if one)
    if not key and query:
        with contextlib.suppress(ValueError):
            fields = parse_qs(query.decode("latin-1"), max_num_fields=_MAX_FIELDS)
            key = next(filter(None, fields.get("writeKey", [])), None)
    return (key,) if key else elsewhere


def _digest(key: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=16).digest()


def origin_of(referer: str | None) -> str | None:
    """The origin of the page that a Referer header names; None if it names none."""
    if not referer:
        return None
    try:
        parts = urlsplit(referer)
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else None
