"""trackway.yml and the environment: what is taken, and what is said of what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trackway.processes import trackway
from trackway.settings import ConfigError, load


def written(folder: Path, text: str) -> Path:
    file = folder / "t.yml"
    file.write_text(f"data: {folder}\n{text}")
    return file


def test_the_environment_wins_and_fills_references(tmp_path: Path) -> None:
    file = written(tmp_path, "listen: 127.0.0.1:1\nsources:\n  my_shop: {server_key: '${KEY}'}\n")
    environ = {
        "KEY": "sk_1",
        "TRACKWAY_LISTEN": "127.0.0.1:2",
        "TRACKWAY_LIMITS_BODY_BYTES": "1000",
        "TRACKWAY_SOURCES_MY_SHOP_ORIGINS": "https://a.example,https://b.example",
        "TRACKWAY_TRUSTED_PROXIES": "10.0.0.0/8",
    }
    settings = load(file, environ)
    assert (settings.listen, settings.limits.body_bytes) == ("127.0.0.1:2", 1000)
    assert settings.sources["my_shop"].server_key.get_secret_value() == "sk_1"
    assert settings.sources["my_shop"].origins == ["https://a.example", "https://b.example"]
    assert settings.trusted_proxies == ["10.0.0.0/8"]


def test_the_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    first, second = (load(written(tmp_path, ""), {}).secret.get_secret_value() for _ in range(2))
    assert first == second
    assert len(first) == 64
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("text", "environ", "said"),
    [
        (
            "sources:\n  shop:\n    sever_key: x\n",
            {},
            "t.yml:4: sources.shop.sever_key: unknown key; did you mean `server_key`?",
        ),
        ("listne: x\n", {}, "t.yml:2: listne: unknown key; did you mean `listen`?"),
        ("log: amqp://x\n", {}, "t.yml:2: log: must begin with kafka://"),
        ("listen: ${NOWHERE}\n", {}, "t.yml:2: listen: the environment has no NOWHERE"),
        ("listen: [\n", {}, "t.yml:3: not YAML"),
        ("sources: {a: {browser_key: k}}\n", {}, "needs `origins`"),
        ("sources: {a: {server_key: k}, b: {server_key: k}}\n", {}, "share a key"),
        ("log: kafka://x:1\n", {}, "secret: needed with Kafka"),
        ("raptor: {path: /v1/batch}\n", {}, "POST /v1/batch is routed twice"),
        ("raptor: {path: /health}\n", {}, "/health is served already"),
        ("raptor:\n  positions:\n    search: {p0: query}\n", {}, "t.yml:3: raptor.positions: search.p0: positions are"),
        ("", {"TRACKWAY_LISTNE": "x"}, "TRACKWAY_LISTNE: no such setting; did you mean TRACKWAY_LISTEN?"),
    ],
)
def test_a_mistake_is_named_with_file_line_and_remedy(
    tmp_path: Path, text: str, environ: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, text), environ)
    assert said in str(caught.value)


def test_the_example_settings_can_be_used_and_secrets_are_not_shown() -> None:
    example = Path("examples/trackway.yml")
    assert trackway("config", "check", config=example).returncode == 0
    shown = trackway("config", "show", config=example)
    assert "wk_shop" in shown.stdout
    assert "sk_shop" not in shown.stdout


def test_commands_exit_2_and_name_the_nearest_word(tmp_path: Path) -> None:
    wrong = trackway("colect")
    assert wrong.returncode == 2
    assert "collect" in wrong.stderr
    broken = trackway("config", "check", config=written(tmp_path, "listne: x\n"))
    assert broken.returncode == 2
    assert "did you mean `listen`" in broken.stderr
