"""`profile show`: one customer."""

from __future__ import annotations

from argparse import Namespace
from typing import Any, cast, get_args

from eventlog.profile import IdentifierKind
from exporter.lookup import Lookup
from exporter.store import Store
from trackway.commands import shows_pii
from trackway.masking import masked
from trackway.printing import print_json, print_tree, say
from trackway.settings import ConfigError, Settings
from trackway.stores import with_store

_SESSIONS = 20


def show(settings: Settings, arguments: Namespace) -> int:
    """Print a profile with its latest sessions; 1 where there is none."""
    pii = shows_pii(arguments)
    who: list[str] = arguments.who
    kinds = get_args(IdentifierKind)
    if len(who) > 2 or (len(who) == 2 and who[0] not in kinds):
        raise ConfigError([f"write a profile's id, or one of {', '.join(kinds)} and a value, such as `user 4711`"])

    async def work(store: Store) -> int:
        lookup = Lookup(store, settings)
        if len(who) == 1:
            profile = await lookup.profile(who[0])
        else:
            profile = await lookup.find_profile(cast(IdentifierKind, who[0]), who[1])
        if profile is None:
            say("no such profile; a new one takes about a second from its first event")
            return 1
        sessions = await lookup.sessions(profile["id"], _SESSIONS)
        body: dict[str, Any] = profile | {"sessions": sessions}
        shown = body if pii else _masked(body)
        if arguments.json:
            print_json(shown)
        else:
            print_tree(shown)
            if not pii:
                say("personal data is masked; --pii --reason TEXT shows it")
        return 0

    return with_store(settings, work)


def _masked(profile: dict[str, Any]) -> dict[str, Any]:
    shown = masked(profile)
    shown["root"] = profile["root"] | {"value": _first(profile["root"]["value"])}
    for session, bare in zip(shown["sessions"], profile["sessions"], strict=True):
        kind, _, value = bare["key"].partition(":")
        session["key"] = f"{kind}:{_first(value)}"
    return shown


def _first(value: str) -> str:
    return value[:1] + "…"
