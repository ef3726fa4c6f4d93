"""Runs the workflow `it` once, live, for tests that kill the process."""

from __future__ import annotations

import asyncio
from pathlib import Path

from exporter.run import run_now
from exporter.settings import ExporterSettings
from exporter.store import open_store


def run_it(file: Path) -> None:
    """`file` holds the settings as JSON."""
    asyncio.run(_run(ExporterSettings.model_validate_json(file.read_bytes())))


async def _run(settings: ExporterSettings) -> None:
    store = await open_store(settings)
    await run_now(settings, store, "it", "live")
