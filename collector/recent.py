"""The requests of the last two seconds of protocols whose events carry no ids: browsers repeat a POST whose connection
was cut, and the copy must be the same events."""

from __future__ import annotations

import hashlib
import uuid
from collections import OrderedDict
from typing import Final

_WINDOW_MS: Final = 2_000
_MOST: Final = 100_000


class Recent:
    """Remembers what the ids of a request's events begin with, by what makes the request the same."""

    def __init__(self) -> None:
        self._bases: OrderedDict[bytes, tuple[int, str]] = OrderedDict()

    def id_base(self, fingerprint: bytes, address: str, user_agent: str, now: int) -> str:
        """A new one, or that of the same body and query from the same address and user agent within the window; `now`
        in ms."""
        digest = hashlib.blake2b(fingerprint, digest_size=16, key=b"recent")
        digest.update(f"{address}\n{user_agent}".encode())
        key = digest.digest()
        self._forget(now)
        known = self._bases.get(key)
        if known:
            return known[1]
        base = str(uuid.uuid4())
        self._bases[key] = now, base
        return base

    def _forget(self, now: int) -> None:
        # Oldest first, as they were put in.
        while self._bases:
            key, (at, _) = next(iter(self._bases.items()))
            if now - at <= _WINDOW_MS and len(self._bases) < _MOST:
                return
            del self._bases[key]
