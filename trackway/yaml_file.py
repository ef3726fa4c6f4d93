"""YAML files people write: read with the line of each key, so that what is wrong can be told where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

KeyPath = tuple[str | int, ...]
Lines = dict[KeyPath, int]


class ConfigError(Exception):
    """A file cannot be used; each problem is a line saying where, what and what to do."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def read_yaml(file: Path) -> tuple[Any, Lines]:
    """The file's value, and the line of each key and list entry. Raises ConfigError."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([f"{file}: cannot be read ({error.strerror})"]) from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        value = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError([f"{file}:{line}: not YAML: {error.problem}"]) from None
    lines: Lines = {}
    _note_lines(root, (), lines)
    return value, lines


def line_of(path: KeyPath, lines: Lines) -> int | None:
    """The line of the key, else of what it would stand in; None where nothing is known."""
    return next((lines[path[:cut]] for cut in range(len(path), 0, -1) if path[:cut] in lines), None)


def dotted(path: KeyPath) -> str:
    """A key's path as people write it: `sources.shop.origins[0]`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".")


def _note_lines(node: yaml.Node | None, path: KeyPath, lines: Lines) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            lines[inner] = key.start_mark.line + 1
            _note_lines(value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*path, index)] = value.start_mark.line + 1
            _note_lines(value, (*path, index), lines)
