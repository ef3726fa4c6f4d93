"""Checks the house's own measures: file and function length, parameters, names. Run by `make check`."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

MAX_LINES = 400
MAX_FUNCTION = 60
MAX_PARAMETERS = 5
BANNED = {"utils", "common", "helpers", "helper", "base", "manager"}
# A service that is missing is a failure: no test may step aside.
STEPPING_ASIDE = ("pytest." + "skip", "mark." + "skip", "import" + "orskip", "x" + "fail(")
PACKAGES = ("eventlog", "collector", "exporter", "trackway", "tests", "bench", "examples", "static")


def problems_of(file: Path) -> list[str]:
    text = file.read_text(encoding="utf-8")
    found = []
    lines = text.count("\n")
    if lines > MAX_LINES:
        found.append(f"{file}: {lines} lines, {MAX_LINES} at most")
    if file.stem.lower() in BANNED or any(part in BANNED for part in file.parts):
        found.append(f"{file}: a name that says nothing")
    if file.suffix != ".py":
        return found
    found += [f"{file}: {word} lets a test step aside" for word in STEPPING_ASIDE if word in text]
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        # A revision of the store is a list of tables.
        if length > MAX_FUNCTION and file.parent.name != "versions":
            found.append(f"{file}:{node.lineno}: {node.name} has {length} lines, {MAX_FUNCTION} at most")
        positional = [a for a in (*node.args.posonlyargs, *node.args.args) if a.arg not in {"self", "cls"}]
        if len(positional) > MAX_PARAMETERS:
            found.append(
                f"{file}:{node.lineno}: {node.name} takes {len(positional)} parameters, {MAX_PARAMETERS} at most"
            )
    return found


def main() -> int:
    listed = subprocess.run(["git", "ls-files", *PACKAGES], check=True, capture_output=True, text=True).stdout.split()
    files = [Path(name) for name in listed if name.endswith((".py", ".js", ".css"))]
    found = [problem for file in files if file.exists() for problem in problems_of(file)]
    print("\n".join(found) or f"house: {len(files)} files within their measures")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
