"""Reads trackway.yml and the environment, joins the packages' settings into one model and checks them.

Every key may also be given as an environment variable: `TRACKWAY_LISTEN`, `TRACKWAY_ADMIN_TOKEN`,
`TRACKWAY_SOURCES_SHOP_SERVER_KEY`. The environment wins over the file. `${NAME}` in the file reads the environment.
"""

from __future__ import annotations

import difflib
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, get_args, get_origin

from pydantic import BaseModel, Field, SecretStr, ValidationError, model_validator

from collector.openapi import reads
from collector.routes import Routes
from collector.settings import CollectorSettings
from exporter.settings import ExporterSettings
from trackway.limits import ConnectionLimits
from trackway.yaml_file import ConfigError, KeyPath, Lines, dotted, line_of, read_yaml

__all__ = ["DEFAULT_FILE", "DEMO_FILE", "PREFIX", "ConfigError", "Settings", "load"]

DEFAULT_FILE = Path("trackway.yml")
# What `up --demo` runs with where no settings are given.
DEMO_FILE = Path(__file__).parent / "demo" / "trackway.yml"
PREFIX = "TRACKWAY_"
# Variables of the commands themselves, not keys of the settings.
_NOT_SETTINGS = frozenset({"TRACKWAY_CONFIG"})
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Settings(CollectorSettings, ExporterSettings):
    """All settings of an installation."""

    connections: ConnectionLimits = Field(ConnectionLimits(), description="HTTP connections, of each listener.")

    @model_validator(mode="after")
    def _bodies_are_answered_before_they_are_cut(self) -> Self:
        if self.connections.body_seconds <= self.limits.body_seconds:
            raise ValueError("connections.body_seconds must be larger than limits.body_seconds, which answers first")
        return self

    @model_validator(mode="after")
    def _paths_are_free(self) -> Self:
        taken = {found.route.path for found in Routes(self).all} & reads(self).keys()
        if taken:
            raise ValueError(f"{', '.join(sorted(taken))} is served already; choose another path")
        return self


def load(file: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings of `file` (default ./trackway.yml if it is there) and the environment.

    Raises ConfigError naming file, line and nearest key.
    """
    if file is None and DEFAULT_FILE.exists():
        file = DEFAULT_FILE
    values, lines = _read(file, environ) if file else ({}, {})
    problems = _merge_environment(values, environ)
    if problems:
        raise ConfigError(problems)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        name = str(file) if file else "settings"
        raise ConfigError([_problem(one, name, lines) for one in error.errors()]) from None
    if file:
        settings.lie_in(file.parent)
    _fill(settings)
    return settings


def _read(file: Path, environ: Mapping[str, str]) -> tuple[dict[str, Any], Lines]:
    values, lines = read_yaml(file)
    if values is None:
        return {}, {}
    if not isinstance(values, dict):
        raise ConfigError([f"{file}:1: must hold keys and values, such as `listen: 127.0.0.1:8080`"])
    problems: list[str] = []
    filled = _substitute(
        values,
        (),
        environ,
        lambda path, name: problems.append(
            f"{file}:{lines.get(path, 1)}: {dotted(path)}: the environment has no {name}; set it"
        ),
    )
    if problems:
        raise ConfigError(problems)
    return filled, lines


def _substitute(value: Any, path: KeyPath, environ: Mapping[str, str], missing: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _substitute(inner, (*path, str(key)), environ, missing) for key, inner in value.items()}
    if isinstance(value, list):
        return [_substitute(inner, (*path, index), environ, missing) for index, inner in enumerate(value)]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in environ:
            missing(path, name)
            return ""
        return environ[name]

    return _REFERENCE.sub(replace, value)


def _merge_environment(values: dict[str, Any], environ: Mapping[str, str]) -> list[str]:
    problems = []
    for name, text in sorted(environ.items()):
        if not name.startswith(PREFIX) or name in _NOT_SETTINGS:
            continue
        path = _place(Settings, name.removeprefix(PREFIX).lower())
        if path is None:
            problems.append(f"{name}: no such setting{_nearest_variable(name)}")
            continue
        target = values
        for key in path[:-1]:
            inner = target.setdefault(key, {})
            if not isinstance(inner, dict):
                inner = target[key] = {}
            target = inner
        target[path[-1]] = text.split(",") if _is_list(path) else text
    return problems


def _place(model: type[BaseModel], words: str) -> list[str] | None:
    """The key path that `words` (lower case, joined by underscores) names in `model`."""
    for name, annotation in _keys(model):
        if words == name:
            return [name]
        if not words.startswith(name + "_"):
            continue
        rest = words[len(name) + 1 :]
        inner = _model_in(annotation)
        if inner is None:
            continue
        if get_origin(annotation) is dict:
            # The entry's own name may hold underscores: the shortest name that leaves a known key wins.
            parts = rest.split("_")
            for cut in range(1, len(parts)):
                deeper = _place(inner, "_".join(parts[cut:]))
                if deeper:
                    return [name, "_".join(parts[:cut]), *deeper]
        else:
            deeper = _place(inner, rest)
            if deeper:
                return [name, *deeper]
    return None


def _keys(model: type[BaseModel]) -> list[tuple[str, Any]]:
    return [(field.alias or name, field.annotation) for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _is_list(path: list[str]) -> bool:
    model: type[BaseModel] | None = Settings
    annotation: Any = None
    for key in path:
        if model is None:
            return False
        found = dict(_keys(model)).get(key)
        if found is None:  # the free name of a dictionary's entry
            continue
        annotation = found
        model = _model_in(annotation)
    return get_origin(annotation) is list


def _nearest_variable(name: str) -> str:
    known = [PREFIX + key.upper() for key, _ in _keys(Settings)]
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _problem(error: Any, file: str, lines: Lines) -> str:
    path: KeyPath = tuple(error["loc"])
    line = line_of(path, lines)
    where = f"{file}:{line}" if line else file
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(path[-1]), _siblings(path[:-1]), n=1)
        return f"{where}: {dotted(path)}: unknown key" + (f"; did you mean `{near[0]}`?" if near else "")
    message = error["msg"].removeprefix("Value error, ")
    return f"{where}: {dotted(path)}: {message}" if path else f"{where}: {message}"


def _siblings(path: KeyPath) -> list[str]:
    model: type[BaseModel] | None = Settings
    for key in path:
        found = dict(_keys(model)).get(str(key)) if model else None
        if found is not None:
            model = _model_in(found)
    return [name for name, _ in _keys(model)] if model else []


def _fill(settings: Settings) -> None:
    """Make what an embedded installation needs and nobody should have to think of: the secret."""
    if settings.secret.get_secret_value():
        return
    if settings.is_kafka or settings.store.startswith("postgresql"):
        raise ConfigError(["secret: needed with Kafka or PostgreSQL, the same for all processes; set TRACKWAY_SECRET"])
    file = settings.data / "secret"
    try:
        text = file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        text = secrets.token_hex(32)
        settings.data.mkdir(parents=True, exist_ok=True)
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as opened:
            opened.write(text + "\n")
    settings.secret = SecretStr(text)
