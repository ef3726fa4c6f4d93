"""What every source gives: items in a stable order, each with where to read on behind it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from exporter.processors import Field
from exporter.rows import Fault

# A source's own note of a place in it, as JSON has it.
Cursor = Any
# no_consent: the person has not agreed to be passed on. gone: the person's profile is no more.
Withheld = Literal["no_consent", "gone"]


class SourceError(Exception):
    """The source cannot be read; the text says what, where and what to do."""


@dataclass(frozen=True, slots=True)
class Item:
    """One item. `key` names it within the source, `cursor` is where to read on once it is dealt with, `values` are the
    columns as the source has them, `traits` what processors of users look at."""

    key: str
    cursor: Cursor
    values: Mapping[str, Any] = field(default_factory=dict)
    fields: Sequence[Field] = ()
    traits: Mapping[str, Any] = field(default_factory=dict)
    withheld: Withheld | None = None
    fault: Fault | None = None


class Source(Protocol):
    """Reads items."""

    def iterate(self, since: int | None, cursor: Cursor) -> AsyncGenerator[Item]:
        """The items changed at or after `since` (ms; None: all), from `cursor` on (None: from the beginning).

        Raises SourceError.
        """

    @property
    def reached(self) -> Cursor:
        """After `iterate` has ended: where the next pass begins; None: at the beginning, with a `since`."""
