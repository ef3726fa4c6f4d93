"""Runs the workflow `it` once, live: `python -m tests.exports.run_it SETTINGS.json`. For tests that kill it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from exporter.run import run_now
from exporter.settings import ExporterSettings
from exporter.store import open_store


async def main(settings: ExporterSettings) -> None:
    store = await open_store(settings)
    await run_now(settings, store, "it", "live")


if __name__ == "__main__":
    asyncio.run(main(ExporterSettings.model_validate_json(Path(sys.argv[1]).read_bytes())))
