"""Marks: what the fold of a batch leaves for the making of profiles, and which shard is to see to it.

A mark says what changed, not whose profile that changes: that is worked out when the mark is handled, in a transaction
that sees whatever else was committed meanwhile. As text, `visitor anon:A`, so that they can stand in the store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from exporter.identity import Root
from exporter.member import Member

# Roots are spread over this many shards; one transaction at a time makes the profiles of a shard.
SHARDS: Final = 16

# visitor: it has new events. pair: an e-mail or ruid was named with a user it had not been named with. claim: it was
# named with the same user again, later. alias: an alias names this anonymous id. root: make this profile anew.
Kind = Literal["visitor", "pair", "claim", "alias", "root"]


class Mark(NamedTuple):
    """`value` is a visitor's key, an identifier or a root as `kind:value`, or (alias) an anonymous id."""

    kind: Kind
    value: str


def hash64(text: str) -> int:
    """A signed 64-bit hash, the same everywhere and for ever."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def root_text(root: Root) -> str:
    """A root as `kind:value`."""
    return f"{root[0]}:{root[1]}"


def root_of(text: str) -> Root:
    """The root of `kind:value`."""
    kind, _, value = text.partition(":")
    return kind, value


def shard_of(mark: Mark) -> int:
    """Which shard handles the mark. A root's profile is written under the lock of the root's shard only."""
    text = f"anon:{mark.value}" if mark.kind == "alias" else mark.value
    if mark.kind == "root" and text.startswith("anon:"):
        # All epochs of an anonymous id are in one shard, which is the one of its visitor too.
        text = text.rpartition("#")[0]
    return hash64(text) % SHARDS


def visitor_marks(members: Iterable[Member]) -> set[Mark]:
    """The marks of new events' visitors."""
    return {Mark("visitor", key) for member in members if (key := member.visitor_key) is not None}
