"""The country of an address, by a database that operators put in place and renew."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from collector.geo import BadDatabase, Countries
from tests.collector.countries import write_countries

NETWORKS = {"203.0.113.0/25": "DK", "203.0.113.128/25": "SE", "2001:db8::/33": "CH"}


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def opened(folder: Path, networks: dict[str, Any] = NETWORKS, **more: Any) -> tuple[Countries, Path, Clock]:
    file, clock = folder / "countries.mmdb", Clock()
    write_countries(file, networks, **more)
    return Countries(file, clock), file, clock


def test_the_whole_address_is_looked_up(tmp_path: Path) -> None:
    countries, _, _ = opened(tmp_path)
    # Both are 203.0.113.0 once they are cut.
    assert countries.country("203.0.113.7") == "DK"
    assert countries.country("203.0.113.200") == "SE"
    assert countries.country("2001:db8::1") == "CH"
    assert countries.country("::ffff:203.0.113.7") == "DK"
    for unknown in ("192.0.2.1", "2001:db9::1", "127.0.0.1", "testclient", "", "203.0.113.7, 10.0.0.1"):
        assert countries.country(unknown) is None


def test_a_database_of_ipv4_alone_knows_no_other(tmp_path: Path) -> None:
    countries, _, _ = opened(tmp_path, {"203.0.113.0/24": "DK"}, ip_version=4)
    assert countries.country("203.0.113.7") == "DK"
    assert countries.country("2001:db8::1") is None


@pytest.mark.parametrize(
    ("record", "country"),
    [
        ({"country": {"iso_code": "DK"}, "registered_country": {"iso_code": "SE"}, "city": {"names": {}}}, "DK"),
        ({"registered_country": {"iso_code": "SE"}}, "SE"),
        ({"country": "no"}, "NO"),
        ({"country": "Norway", "country_code": "NO"}, "NO"),
        ({"country": {"names": {"en": "Norway"}}}, None),
        ({"continent": {"code": "EU"}}, None),
        ({"country": {"iso_code": "ÆØ"}}, None),
    ],
)
def test_the_code_is_found_in_the_layouts_that_there_are(
    record: dict[str, Any], country: str | None, tmp_path: Path
) -> None:
    countries, _, _ = opened(tmp_path, {"203.0.113.0/24": record})
    assert countries.country("203.0.113.7") == country


@pytest.mark.parametrize("in_place", [True, False])
def test_a_new_database_is_taken_within_a_minute(tmp_path: Path, in_place: bool) -> None:
    countries, file, clock = opened(tmp_path)
    assert countries.country("203.0.113.7") == "DK"
    new = tmp_path / "new.mmdb"
    write_countries(new, {"203.0.113.0/24": "NO", "192.0.2.0/24": "FI"})
    if in_place:
        file.write_bytes(new.read_bytes())
    else:
        new.replace(file)
    clock.now += 59
    assert countries.country("203.0.113.7") == "DK"
    assert countries.country("203.0.113.201") == "SE"
    clock.now += 1
    assert countries.country("203.0.113.7") == "NO"
    assert countries.country("192.0.2.9") == "FI"


def test_what_is_no_database_does_not_replace_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    countries, file, clock = opened(tmp_path)
    whole = file.read_bytes()
    for content in (b"", b"half", whole[: len(whole) // 2]):
        file.write_bytes(content)
        clock.now += 60
        assert countries.country("203.0.113.7") == "DK"
    file.unlink()
    clock.now += 60
    assert countries.country("203.0.113.8") == "DK"
    write_countries(file, {"203.0.113.0/24": "NO"})
    clock.now += 60
    assert countries.country("203.0.113.7") == "NO"
    told = capsys.readouterr()
    # Where lines go a process sets once, when it begins its work.
    assert (told.out + told.err).count("geo_database_not_taken") == 3


def test_an_unchanged_database_is_not_read_again(tmp_path: Path) -> None:
    countries, file, clock = opened(tmp_path)
    state = file.stat()
    content = file.read_bytes()
    file.write_bytes(b"x" * len(content))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    clock.now += 60
    assert countries.country("203.0.113.9") == "DK"


def test_a_database_that_cannot_be_used_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "countries.mmdb"
    with pytest.raises(BadDatabase, match=r"countries\.mmdb: cannot be read \(No such file or directory\)"):
        Countries(file)
    with pytest.raises(BadDatabase, match=r"cannot be read \(Is a directory\)"):
        Countries(tmp_path)
    file.write_text("<html>sign in first</html>")
    with pytest.raises(BadDatabase, match=r"countries\.mmdb: is no database in MaxMind's format"):
        Countries(file)
    write_countries(file, NETWORKS)
    monkeypatch.setitem(sys.modules, "maxminddb", None)
    with pytest.raises(BadDatabase, match=r"install trackway\[geo\]"):
        Countries(file)
