"""Users from our own profiles: those whose root is a user, in the order they changed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from exporter.lookup import ChangedProfile, Lookup
from exporter.processors import Row, cast_to_string
from exporter.sources.item import Cursor, Item, Withheld

_PAGE: Final = 500
BASE_COLUMNS: Final = ("id", "login", "email", "name")
_FIRST_NAMES: Final = ("first_name", "firstName", "firstname")
_LAST_NAMES: Final = ("last_name", "lastName", "lastname")


@dataclass(frozen=True, slots=True)
class Profiles:
    """`traits`: those that become columns, none named: all simple ones. `until`: when the pass began (ms)."""

    lookup: Lookup
    traits: Sequence[str]
    consent: Literal["required", "implied"]
    until: int
    reached: Cursor = None

    async def iterate(self, since: int | None, cursor: Cursor) -> AsyncGenerator[Item]:
        """The cursor is (changed_at, id). What changes while the pass goes on comes up again at its end; the pass ends
        with the page that is later than its beginning, so that it ends on a busy site too."""
        after = (int(cursor[0]), str(cursor[1])) if cursor else None
        while True:
            page = await self.lookup.profiles_changed(since or 0, after, _PAGE)
            for changed in page:
                if changed.root[0] == "user":
                    yield self._item(changed)
            if len(page) < _PAGE or page[-1].changed_at > self.until:
                return
            after = (page[-1].changed_at, page[-1].id)

    def _item(self, changed: ChangedProfile) -> Item:
        user = changed.root[1]
        profile = changed.profile or {}
        traits = profile.get("traits", {})
        withheld: Withheld | None = None
        if changed.profile is None:
            withheld = "gone"
        elif not may_be_shared(third_party_sharing(profile), self.consent):
            withheld = "no_consent"
        values = base_row(user, profile) if withheld is None else {"id": user}
        if withheld is None:
            values |= {name: text for name, text in _trait_columns(traits, self.traits).items() if name not in values}
        return Item(user, (changed.changed_at, changed.id), values, traits=traits, withheld=withheld)


def third_party_sharing(profile: Mapping[str, Any] | None) -> bool | None:
    """What the person said last on being passed on; None: nothing."""
    record = (profile or {}).get("consents", {}).get("third_party_sharing")
    return None if record is None else bool(record["value"])


def may_be_shared(stated: bool | None, absent: Literal["required", "implied"]) -> bool:
    """Whether the person may be passed on; `absent` says what having said nothing means."""
    return absent == "implied" if stated is None else stated


def base_row(user: str, profile: Mapping[str, Any]) -> Row:
    """`id`, `login`, `email`, `name`; null where nothing is known."""
    traits = profile.get("traits", {})
    emails = profile.get("identifiers", {}).get("email", ())
    return {
        "id": user,
        "login": _first(traits, ("login", "username")) or user,
        "email": emails[0] if emails else _first(traits, ("email",)),
        "name": _first(traits, ("name",))
        or " ".join(filter(None, (_first(traits, _FIRST_NAMES), _first(traits, _LAST_NAMES))))
        or None,
    }


def _first(traits: Mapping[str, Any], names: Sequence[str]) -> str | None:
    for name in names:
        value = traits.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return None


def _trait_columns(traits: Mapping[str, Any], wanted: Sequence[str]) -> Row:
    """Traits as text, whatever their type: a column keeps its type although every sender has its own."""
    return {
        name: cast_to_string(value)
        for name, value in traits.items()
        if isinstance(value, str | int | float) and (name in wanted if wanted else name and name.isprintable())
    }
