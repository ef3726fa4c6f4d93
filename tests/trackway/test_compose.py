"""compose.yml and Dockerfile, as far as they can be checked without a Docker engine: whatever they say exists."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from exporter.console.auth import load_or_make_token
from tests.trackway.processes import config_in, running
from trackway import cli
from trackway.settings import Settings, load

COMPOSE: Final[dict[str, Any]] = yaml.safe_load(Path("compose.yml").read_text())
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
PROJECT: Final = tomllib.loads(Path("pyproject.toml").read_text())
# A backslash at its end continues an instruction.
DOCKERFILE: Final = [line.split() for line in Path("Dockerfile").read_text().replace("\\\n", " ").splitlines()]
OURS: Final = f"trackway:{PROJECT['project']['version']}"
OF_TRACKWAY: Final = [name for name, service in SERVICES.items() if service["image"] == OURS]
COMMANDS: Final = [name for name in OF_TRACKWAY if "entrypoint" not in SERVICES[name]]


def instructions(kind: str) -> list[list[str]]:
    return [words[1:] for words in DOCKERFILE if words and words[0] == kind]


def image_environment() -> dict[str, str]:
    return dict(word.split("=", 1) for words in instructions("ENV") for word in words)


def environment(service: str) -> dict[str, str]:
    """What a container of the service has, its mandatory variables filled in."""
    told = {name: str(value) for name, value in SERVICES[service]["environment"].items()}
    filled = {name: re.sub(r"\$\{\w+:\?[^}]*\}", "f" * 64, value) for name, value in told.items()}
    return image_environment() | filled


def test_every_image_is_pinned_and_ours_has_the_projects_version() -> None:
    images = [*(service["image"] for service in SERVICES.values()), *(words[0] for words in instructions("FROM"))]
    assert [image for image in images if not re.fullmatch(r"[a-z/-]+:\d+(\.\d+)+(-[a-z-]+)?", image)] == []
    assert len(OF_TRACKWAY) == 5
    assert {SERVICES[name]["build"] for name in OF_TRACKWAY} == {"."}


@pytest.mark.parametrize("service", COMMANDS)
def test_commands_are_those_of_the_program(service: str) -> None:
    assert instructions("ENTRYPOINT") == [['["trackway"]']]
    arguments = cli.parser().parse_args([str(word) for word in SERVICES[service]["command"]])
    assert callable(arguments.run)


def test_the_image_by_itself_says_what_it_can_do() -> None:
    (words,) = instructions("CMD")
    command = [sys.executable, "-m", "trackway", *ast.literal_eval(" ".join(words))]
    assert "COMMAND" in subprocess.check_output(command, text=True, timeout=60)


def test_the_stand_in_is_a_module_that_takes_its_options() -> None:
    service = SERVICES["cdp-stand-in"]
    python, dash_m, module = service["entrypoint"]
    assert (python, dash_m) == ("python", "-m")
    assert importlib.util.find_spec(module)
    told = subprocess.check_output([sys.executable, "-m", module, "--help"], text=True, timeout=60)
    options = [word for word in service["command"] if word.startswith("--")]
    assert options
    assert all(option in told for option in options)


@pytest.mark.parametrize("service", COMMANDS)
def test_every_variable_is_a_setting_and_the_settings_can_be_used(service: str, tmp_path: Path) -> None:
    variables = environment(service)
    (config,) = SERVICES[service]["configs"]
    assert variables["TRACKWAY_CONFIG"] == config["target"]
    file = Path(COMPOSE["configs"][config["source"]]["file"])
    settings = load(file, variables | {"TRACKWAY_DATA": str(tmp_path)})
    assert settings.is_kafka
    assert settings.log == "kafka://kafka:9092"
    # What is said twice is said the same: the secret comes from the environment, no file is made.
    assert list(tmp_path.iterdir()) == []


def test_stateful_paths_are_volumes_with_names_of_their_own() -> None:
    paths = {"kafka": SERVICES["kafka"]["environment"]["KAFKA_LOG_DIRS"], "postgres": "/var/lib/postgresql/data"}
    data = image_environment()["TRACKWAY_DATA"]
    paths |= dict.fromkeys(("collector", "aggregator", "exporter"), data)
    mounted = {name: service["volumes"] for name, service in SERVICES.items() if "volumes" in service}
    assert mounted == {name: [f"{name}-data:{path}"] for name, path in paths.items()}
    assert set(COMPOSE["volumes"]) == {f"{name}-data" for name in paths}
    # A new volume takes its owner from the image's folder.
    assert any("--owner trackway" in " ".join(words) and words[-1] == data for words in instructions("RUN"))
    assert instructions("USER") == [["trackway"]]


def test_who_waits_for_whom_exists_and_can_be_waited_for() -> None:
    for service in SERVICES.values():
        for name, wanted in service.get("depends_on", {}).items():
            if wanted["condition"] == "service_healthy":
                assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
            else:
                assert wanted["condition"] == "service_completed_successfully"
                assert SERVICES[name]["restart"] == "no"


def test_ports_are_published_on_this_machine_only_and_services_may_finish() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    drain_time = Settings.model_fields["drain_time"].default
    assert all(int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > drain_time for name in OF_TRACKWAY)


@pytest.mark.parametrize(
    ("service", "key"),
    [
        ("collector", "TRACKWAY_LISTEN"),
        ("aggregator", "TRACKWAY_AGGREGATE_LISTEN"),
        ("exporter", "TRACKWAY_ADMIN_LISTEN"),
    ],
)
def test_health_checks_succeed_on_a_service_and_fail_without(
    service: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = environment(service)[key].replace("0.0.0.0", "127.0.0.1")
    kind, python, *rest = SERVICES[service]["healthcheck"]["test"]
    assert (kind, python) == ("CMD", "python")
    monkeypatch.setenv(key, "127.0.0.1:0")
    (command,) = SERVICES[service]["command"]
    with running(command, config_in(tmp_path)) as url:
        check = [sys.executable, *(part.replace(f"http://{address}", url) for part in rest)]
        assert url in check[-1]
        assert subprocess.run(check, timeout=60, check=False).returncode == 0
    assert subprocess.run(check, timeout=60, check=False, capture_output=True).returncode == 1


def test_the_secrets_as_the_docs_make_them_can_be_used(tmp_path: Path) -> None:
    (block, *_) = re.findall(r"```sh\n(.*?)```", Path("docs/containers.md").read_text(), re.DOTALL)
    making, *starting = block.splitlines()
    assert starting == ["docker compose up --build --detach"]
    subprocess.run(["bash", "-c", making], check=True, cwd=tmp_path, timeout=60)
    made = dict(line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines())
    wanted = re.findall(r"\$\{(\w+):\?", Path("compose.yml").read_text())
    assert set(made) == set(wanted) == {"TRACKWAY_SECRET", "TRACKWAY_ADMIN_TOKEN"}
    settings = load(None, made | {"TRACKWAY_DATA": str(tmp_path), "TRACKWAY_STORE": "postgresql://x/y"})
    assert load_or_make_token(settings) == made["TRACKWAY_ADMIN_TOKEN"]
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0


def test_the_images_build_finds_what_it_copies() -> None:
    *ignored, last = (line for line in Path(".dockerignore").read_text().splitlines() if line)
    assert ignored[0] == "*"
    taken = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = [words[:-1] for words in instructions("COPY") if not words[0].startswith("--from")]
    sources = {source for words in copied for source in words}
    assert sources == taken
    assert [source for source in sources if not Path(source).exists()] == []
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"], PROJECT["project"]["readme"]}
    assert needed | {"pyproject.toml", "requirements.lock"} == sources
    assert fnmatch("trackway/demo/node_modules", last)


def test_the_images_python_is_the_one_the_tests_run_on() -> None:
    wanted = f"python:{sys.version_info.major}.{sys.version_info.minor}."
    assert all(words[0].startswith(wanted) for words in instructions("FROM"))
