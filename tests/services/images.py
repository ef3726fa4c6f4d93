"""The services' images, as compose.yml pins them: the one place that says which Kafka and PostgreSQL are meant."""

from __future__ import annotations

from pathlib import Path

import yaml

COMPOSE = Path(__file__).parents[2] / "compose.yml"


def image_of(service: str) -> str:
    """The pinned image of a service of compose.yml, as `name:tag`."""
    image: str = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"][service]["image"]
    return image


def kafka_version() -> str:
    """Kafka's version: the tag of its image, and the version of the jars where there is no Docker."""
    return image_of("kafka").rpartition(":")[2]
