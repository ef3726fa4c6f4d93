"""Runs `trackway` as its users do: as processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from eventlog.log import Bounds, Partition, Record
from eventlog.opening import open_consumer
from eventlog.topics import EVENTS, Topic
from trackway.settings import load

PROGRAM = (sys.executable, "-m", "trackway")
CONFIG = """\
data: {folder}/data
listen: 127.0.0.1:0
collect: {{listen_metrics: '127.0.0.1:0'}}
log: {log}
topic_prefix: {prefix}
secret: for-tests
sources:
  shop: {{browser_key: wk_shop, origins: [https://shop.example], server_key: sk_shop}}
"""


def config_in(folder: Path, log: str = "") -> Path:
    file = folder / "trackway.yml"
    log = log or f"sqlite:///{folder}/log"
    file.write_text(CONFIG.format(folder=folder, log=log, prefix=f"{folder.name}-{os.getpid()}."))
    return file


def trackway(*arguments: str, config: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    given = ["--config", str(config)] if config else []
    command = [*PROGRAM, *given, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def stored(config: Path, topic: Topic = EVENTS) -> list[dict[str, Any]]:
    """What stands in a topic of the log, each with its partition and offset; no process is started for it."""
    return [
        {**json.loads(one.value or b"{}"), "partition": one.partition.number, "offset": one.offset}
        for one in records(config, topic)
    ]


def records(config: Path, topic: Topic = EVENTS) -> list[Record]:
    """The records of a topic of the log, in offset order within each partition."""
    # In a thread of its own: Playwright may be running an event loop in this one.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, _records(config, topic)).result(120)


async def _records(config: Path, topic: Topic) -> list[Record]:
    settings = load(config, os.environ)
    bounds: dict[Partition, Bounds] = {}

    async def begin(_: frozenset[Partition]) -> dict[Partition, int]:
        bounds.update(await consumer.bounds())
        return {partition: held.first for partition, held in bounds.items()}

    consumer = open_consumer(settings, [topic.full_name(settings.topic_prefix)], assigned=begin)
    await consumer.start()
    try:
        wanted = sum(held.next - held.first for held in bounds.values())
        found: list[Record] = []
        while len(found) < wanted:
            found += [one for one in await consumer.poll(5_000, 1.0) if one.offset < bounds[one.partition].next]
    finally:
        await consumer.stop()
    return found


def collecting(config: Path, program: Sequence[str] = PROGRAM) -> AbstractContextManager[str]:
    """A collector's process; its URL. TERM at the end must make it leave with 0."""
    return running("collect", config, program)


@contextlib.contextmanager
def running(service: str, config: Path, program: Sequence[str] = PROGRAM) -> Iterator[str]:
    """A service's process; its URL. TERM at the end must make it leave with 0."""
    command = [*program, "--config", str(config), service]
    # A program of its own must not find this tree's packages in its folder.
    folder = None if program is PROGRAM else config.parent
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder)
    assert process.stderr
    try:
        line = process.stderr.readline()
        found = re.search(r"Ready: (http://\S+)", line)
        assert found, line + process.stderr.read()
        yield found.group(1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stderr.close()
