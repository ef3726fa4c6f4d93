"""How commands print: tables for people, one JSON object a line for programs; data to stdout, talk to stderr."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import orjson


def say(text: str) -> None:
    """Talk: progress, hints, problems."""
    print(text, file=sys.stderr, flush=True)


def print_json(row: Mapping[str, Any]) -> None:
    sys.stdout.write(orjson.dumps(row, default=str).decode() + "\n")
    sys.stdout.flush()


def print_rows(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], as_json: bool, empty: str = "nothing"
) -> None:
    """A list: a table of `columns`, or every field of every row as JSON lines."""
    if as_json:
        for row in rows:
            print_json(row)
        return
    if not rows:
        say(empty)
        return
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(column), *(len(line[at]) for line in cells)) for at, column in enumerate(columns)]
    for line in ([*columns], *cells):
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def print_tree(value: Mapping[str, Any], indent: str = "") -> None:
    """One thing with its parts, readable."""
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            print(f"{indent}{key}:")
            print_tree(inner, indent + "  ")
        elif isinstance(inner, list) and inner and isinstance(inner[0], Mapping):
            print(f"{indent}{key}:")
            for one in inner:
                print(f"{indent}  -")
                print_tree(one, indent + "    ")
        else:
            print(f"{indent}{key}: {_cell(inner)}")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_cell(inner) for inner in value)
    if isinstance(value, Mapping):
        return orjson.dumps(value, default=str).decode()
    return str(value)
