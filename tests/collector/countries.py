"""Small databases of countries in MaxMind's format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmdb_writer import MMDBWriter
from netaddr import IPSet


def write_countries(file: Path, networks: dict[str, Any], ip_version: int = 6) -> None:
    """Write what is said of each network; a text is the code of a country, in MaxMind's layout."""
    writer = MMDBWriter(ip_version, "Test-Country", languages=["en"], ipv4_compatible=ip_version == 6)
    for network, said in networks.items():
        record = {"country": {"iso_code": said, "names": {"en": "A country"}}} if isinstance(said, str) else said
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(file))
