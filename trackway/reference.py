"""docs/settings.md, commands.md, metrics.md and names.md, made from the code: `make docs` writes them, a test compares
them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import PurePath
from types import NoneType
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from collector.meanings import DIALECTS
from eventlog.telemetry import METRICS, SERVICES
from trackway.cli import parser
from trackway.settings import Settings

_HEAD: Final = """\
# Settings

Settings stand in `trackway.yml`, in the working folder or where `--config` or `TRACKWAY_CONFIG` says. Each key may also
be an environment variable, which wins over the file: `TRACKWAY_` and the key in capitals, its dots as underscores, such
as `TRACKWAY_LIMITS_BODY_BYTES` for `limits.body_bytes`; the entries of a list are separated by commas. `${NAME}` in the
file reads the environment. An unknown key refuses to start, naming file, line and the nearest key.

`NAME` in a key is a name of your choosing, `[]` an entry of a list. `trackway config check` tries a file;
`trackway config show` prints what is in force, secrets masked.
"""
_COMMANDS_HEAD: Final = """\
# Commands

`trackway [--config FILE] COMMAND`. Without `--config`, settings are read from `./trackway.yml` or
what `TRACKWAY_CONFIG` names.

- Data goes to standard output, talk to standard error. Every list takes `--json`: one object a line.
- Exit codes: 0 done, 1 a finding, 2 usage or configuration, 3 unreachable.
- Personal data is masked unless `--pii --reason TEXT` says why it is looked at.
"""
_METRICS_HEAD: Final = """\
# Metrics

What `/metrics` tells, for Prometheus. What to watch, and what to do when something is wrong, stands in
[monitoring.md](monitoring.md).

| service | where |
|---|---|
| collector | `collect.listen_metrics` (127.0.0.1:8083); with `--workers` the sum of all workers |
| aggregator | `aggregate.listen` (127.0.0.1:8082) |
| exporter | `admin.listen` (127.0.0.1:8081) |
| `up` | all of them on `admin.listen`. Collector and exporter are one process there, and both tell its CPU and memory |

Counters begin at 0 when a process starts. With several workers, numbers are added up; where the largest or the smallest
of them is told, the table says so. No label holds anything a sender or a visitor chose: sources and workflows are named
as in your settings, all other values are closed lists.
"""
_NAMES_HEAD: Final = """\
# Names of events

Whichever SDK sends it, an event of a shop has one name, and its products, order, basket and search stand in the same
fields: so a purchase counts as one. Names are compared in lower case. Every SDK may also send our own names of a shop's
events, `visit` to `searchresult`; what is not in the table keeps its name. [protocols.md](protocols.md) has the rest.

"""
_NAMES_FOOT: Final = """
`basket` and `favorite` tell all that is in them, or what is added or removed: under our own names the property
`change` says so, `add` or `remove`. Beside the table: GA4's `login` and `sign_up` count only with a user id, its
`select_item` in a list of search results is a `searchclick`, and Raptor's `buy` of a negative quantity is a `return`.
"""
_PLAIN: Final[dict[type, str]] = {str: "text", bool: "true, false", int: "whole number", float: "number"}


class Key(NamedTuple):
    """One settable key: its dotted path, what it takes, its default as YAML (empty: nothing), its description."""

    path: str
    takes: str
    default: str
    description: str


class Group(NamedTuple):
    """The keys of one model, under the description of the key that holds it; the first group has neither."""

    path: str
    description: str
    keys: list[Key]


def groups(model: type[BaseModel] = Settings) -> list[Group]:
    """Every key of the settings, the top level's first. Raises ValueError for a key without a description."""
    return list(_groups(model, "", ""))


def page(model: type[BaseModel] = Settings) -> str:
    """docs/settings.md."""
    parts = [_HEAD]
    for group in groups(model):
        if group.path:
            parts.append(f"\n## `{group.path}`\n\n{group.description}\n")
        parts.append("\n| key | takes | default | meaning |\n|---|---|---|---|\n")
        parts += [
            f"| `{key.path}` | {_cell(key.takes)} | {_cell(key.default)} | {_cell(key.description)} |\n"
            for key in group.keys
        ]
    return "".join(parts)


def _groups(model: type[BaseModel], path: str, description: str) -> Iterator[Group]:
    keys: list[Key] = []
    inner: list[tuple[type[BaseModel], str, str]] = []
    for name, field in model.model_fields.items():
        key = f"{path}.{field.alias or name}".lstrip(".")
        if not field.description:
            raise ValueError(f"{key} has no description")
        found, form = _model_in(field.annotation)
        if found:
            inner.append((found, key + form, field.description))
        if not found or field.is_required():
            keys.append(Key(key, _takes(field.annotation), _default(field), field.description))
    if keys:
        yield Group(path, description, keys)
    for one in inner:
        yield from _groups(*one)


def _model_in(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """The model a key holds, and what its keys' path has between: nothing, `.NAME` in a mapping, `[]` in a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    origin = get_origin(annotation)
    form = ".NAME" if origin is dict else "[]" if origin is list else ""
    for argument in get_args(annotation):
        found, deeper = _model_in(argument)
        if found:
            return found, form + deeper
    return None, ""


def _takes(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _takes(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin is list:
        return f"list of {_takes(arguments[0])}"
    if origin is dict:
        return f"mapping of {_takes(arguments[0])} to {_takes(arguments[1])}"
    if arguments:
        return " or ".join(_takes(argument) for argument in arguments if argument is not NoneType)
    if not isinstance(annotation, type):
        raise TypeError(f"{annotation} is a type the settings' page does not know")
    if issubclass(annotation, BaseModel):
        return "mapping"
    if issubclass(annotation, SecretStr):
        return "secret text"
    if issubclass(annotation, PurePath):
        return "path"
    return _PLAIN[annotation]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value is PydanticUndefined or value is None or (not isinstance(value, int | float) and not value):
        return ""
    if isinstance(value, list):
        return f"`[{', '.join(str(one) for one in value)}]`"
    return f"`{value}`"


def commands_page() -> str:
    """docs/commands.md."""
    return _COMMANDS_HEAD + "".join(_commands(parser()))


def _commands(one: argparse.ArgumentParser) -> Iterator[str]:
    nested = [action for action in one._actions if isinstance(action, argparse._SubParsersAction)]
    for group in nested:
        for inner in group.choices.values():
            yield from _commands(inner)
    if nested:
        return
    yield f"\n## `{one.prog}`\n\n{one.description}\n"
    shown = [action for action in one._actions if action.help != argparse.SUPPRESS and action.dest != "help"]
    if shown:
        yield "\n| argument | |\n|---|---|\n"
    for action in shown:
        name = ", ".join(action.option_strings) or str(action.metavar or action.dest)
        takes = f" {action.metavar or action.dest.upper()}" if action.option_strings and action.nargs != 0 else ""
        choices = f"one of {', '.join(action.choices)} " if action.choices else ""
        yield f"| `{_cell(name + takes)}` | {_cell(choices + (action.help or ''))} |\n"
    examples = (one.epilog or "").removeprefix("examples:\n").splitlines()
    yield "\n```sh\n" + "".join(f"{example.strip()}\n" for example in examples) + "```\n"


def metrics_page() -> str:
    """docs/metrics.md."""
    parts = [_METRICS_HEAD]
    for service in SERVICES:
        parts.append(f"\n## Of the {service}\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n")
        for metric in METRICS:
            if service in metric.services:
                labels = ", ".join(f"`{label}`" for label in metric.labels)
                more = (
                    ""
                    if metric.merge == "sum" or "collector" not in metric.services
                    else f" Of several processes the {metric.merge}."
                )
                parts.append(f"| `{metric.name}` | {metric.kind} | {labels} | {_cell(metric.help + more)} |\n")
    parts.append("\n## Values of labels\n\n")
    for metric in METRICS:
        for label, values in metric.labels.items():
            told = values if isinstance(values, str) else ", ".join(f"`{one}`" if one else "empty" for one in values)
            parts.append(f"- `{label}` of `{metric.name}`: {told}\n")
    return "".join(parts)


def names_page() -> str:
    """docs/names.md."""
    parts = [_NAMES_HEAD, f"| name | {' | '.join(DIALECTS)} |\n|{'---|' * (1 + len(DIALECTS))}\n"]
    meanings = {meaning for dialect in DIALECTS.values() for meaning in dialect.values()}
    for meaning in sorted(meanings, key=lambda one: (one.name, one.change or "")):
        change = f" ({meaning.change})" if meaning.change else ""
        cells = [
            ", ".join(f"`{name}`" for name, one in dialect.items() if one == meaning and name != meaning.name) or "–"
            for dialect in DIALECTS.values()
        ]
        parts.append(f"| `{meaning.name}`{change} | {' | '.join(cells)} |\n")
    return "".join([*parts, _NAMES_FOOT])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    pages = {"commands": commands_page, "metrics": metrics_page, "names": names_page, "settings": page}
    sys.stdout.write(pages[sys.argv[1]]())
