"""Which path and method belong to which protocol. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from collector.protocols import FAMILIES, Family
from collector.route import Route
from collector.settings import CollectorSettings

_NAME: Final = re.compile(r"\\\{\w+\\\}")


class Found(NamedTuple):
    """The route that answers a request, and whose it is."""

    family: Family
    route: Route


class Routes:
    """All routes of all protocols. No two of one path and method: the first protocol of the table would hide others,
    so that raises ValueError."""

    def __init__(self, settings: CollectorSettings, families: Iterable[Family] = FAMILIES) -> None:
        self._exact: dict[str, dict[str, Found]] = {}
        patterns: dict[str, dict[str, Found]] = {}
        self.all: list[Found] = []
        for family in families:
            for route in family.routes(settings):
                found = Found(family, route)
                self.all.append(found)
                for method in route.methods:
                    by_method = (patterns if "{" in route.path else self._exact).setdefault(route.path, {})
                    if method in by_method:
                        raise ValueError(f"{method} {route.path} is routed twice")
                    by_method[method] = found
        self._patterns = [
            (re.compile(_NAME.sub("[^/]+", re.escape(path)) + "/?"), served) for path, served in patterns.items()
        ]
        for path in list(self._exact):
            self._check(path)
            self._exact[path + "/"] = self._exact[path]

    def _check(self, path: str) -> None:
        """Whether a path with a name in it would be hidden here. Raises ValueError."""
        for pattern, served in self._patterns:
            if pattern.fullmatch(path) and (both := served.keys() & self._exact[path].keys()):
                raise ValueError(f"{', '.join(sorted(both))} {path} is routed twice")

    def find(self, path: str) -> dict[str, Found] | None:
        """Who answers at a path, by method; None where nobody does."""
        found = self._exact.get(path)
        if found is None:
            found = next((served for pattern, served in self._patterns if pattern.fullmatch(path)), None)
        return found
