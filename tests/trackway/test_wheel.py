"""The wheel holds all of the program: installed as the Dockerfile does, away from the source, it serves its files."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest

from tests.trackway.processes import collecting, config_in

UV = Path(sys.executable).with_name("uv")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([UV, "build", "--quiet", "--wheel", "--out-dir", folder], check=True, timeout=120)
    (made,) = folder.glob("*.whl")
    return made


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    packages = ("eventlog", "collector", "exporter", "trackway")
    # Of `static` what is served: neither its sources nor the tools that make it.
    served = ("static/dist", "static/console.css", "static/console.js")
    listed = subprocess.run(["git", "ls-files", *packages, *served], check=True, capture_output=True, text=True)
    held = set(zipfile.ZipFile(wheel).namelist())
    assert set(listed.stdout.split()) - held == set()
    metadata = wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info"
    assert {name.split("/")[0] for name in held} == {*packages, "static", metadata}
    assert [name for name in held if name.startswith("static/") and not name.startswith(served)] == []


def test_installed_elsewhere_the_collector_serves_the_tracker(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "venv"
    environ = {**os.environ, "VIRTUAL_ENV": str(home)}
    for step in (
        ["venv", "--quiet", "--python", sys.executable, home],
        ["pip", "install", "--quiet", "--require-hashes", "-r", "requirements.lock"],
        ["pip", "install", "--quiet", "--no-deps", wheel],
    ):
        subprocess.run([UV, *step], env=environ, check=True, timeout=120)
    program = home / "bin/trackway"
    told = subprocess.check_output([program, "--version"], text=True, cwd=tmp_path, timeout=60)
    assert told == f"trackway {wheel.name.split('-')[1]}\n"
    with collecting(config_in(tmp_path), [str(program)]) as url:
        with urllib.request.urlopen(url + "/tw/t.js", timeout=60) as answer:
            assert answer.read() == Path("static/dist/core.js").read_bytes()
        with urllib.request.urlopen(url + "/schema/event.json", timeout=60) as answer:
            assert answer.status == 200
