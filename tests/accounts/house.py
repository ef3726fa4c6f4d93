"""A site after a rough morning: its collector was killed under load and started again, everything is folded."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from eventlog.timestamps import now_ms
from exporter.accounts import take_accounts
from exporter.aggregate import Progress, aggregate
from exporter.store import open_store
from tests.end_to_end.installation import Service, eventually
from tests.services.processes import free_ports
from trackway.cli import main
from trackway.settings import load

CONFIG = """\
data: {folder}/data
listen: 127.0.0.1:{port}
log: {log}
store: {store}
topic_prefix: {prefix}
secret: a-secret-of-the-tests
admin: {{token: tw_a_token_of_the_tests}}
sources:
  shop: {{server_key: sk_shop}}
  blog: {{server_key: sk_blog, bots: filter}}
"""
BEFORE_DEATH = 300


@dataclass
class House:
    """The settings file, and the ids that have a receipt by what the receipt said."""

    config: Path
    receipts: Counter[str] = field(default_factory=Counter)
    ids: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.config.parent

    @property
    def slot(self) -> Path:
        return self.folder / "data" / "workers" / "0"

    def command(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
        """Run a command in this process; its exit code and what it printed."""
        capsys.readouterr()
        code = main(["--config", str(self.config), *arguments])
        return code, "".join(capsys.readouterr())

    def ledger(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, Any]]]:
        """The ledger's lines; the last one is the sum."""
        capsys.readouterr()
        code = main(["--config", str(self.config), "ledger", "--json", *arguments])
        return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def write_config(folder: Path, log: str, store: str) -> Path:
    config = folder / "trackway.yml"
    (port,) = free_ports(1)
    values = {"log": log or f"sqlite:///{folder}/log", "store": store or f"sqlite:///{folder}/store.db"}
    config.write_text(CONFIG.format(folder=folder, port=port, prefix=f"{folder.name}-{os.getpid()}.", **values))
    assert main(["--config", str(config), "topics", "--apply"]) == 0
    return config


def rough_morning(config: Path) -> House:
    house = House(config)
    collector = Service.started("collect", config.parent, "trackway", "--config", str(config), "collect")
    try:
        url = collector.ready()
        enough = threading.Event()
        senders = [threading.Thread(target=_send, args=(house, url, number, enough)) for number in range(4)]
        for sender in senders:
            sender.start()
        assert enough.wait(60)
        collector.crash_and_restart()
        for sender in senders:
            sender.join()
        eventually(lambda: _answers(url), "the second collector")
        _send_some_of_each(house, url)
    finally:
        collector.stop()
    asyncio.run(_fold(config))
    return house


async def _fold(config: Path) -> None:
    """Have an aggregator at work until it has reached the log's end."""
    settings = load(config, os.environ)
    store, stop = await open_store(settings), asyncio.Event()
    await store.migrate()
    working = asyncio.create_task(aggregate(settings, store, stop, Progress()))
    try:
        async with asyncio.timeout(60):
            while (await take_accounts(settings, store, 0, now_ms())).behind:  # noqa: ASYNC110 - the log tells nobody
                await asyncio.sleep(0.1)
    finally:
        stop.set()
        await working
        await store.close()


def _send(house: House, url: str, sender: int, enough: threading.Event) -> None:
    """Until the collector is gone."""
    with httpx2.Client(base_url=url, auth=("sk_shop", ""), timeout=30) as client, contextlib.suppress(httpx2.HTTPError):
        for number in range(100_000):
            ids = [f"m-{sender}-{number}-{part}" for part in range(1 + number % 3)]
            batch = [{"type": "page", "messageId": one, "anonymousId": f"v-{sender}"} for one in ids]
            answer = client.post("/v1/batch", json={"batch": batch})
            house.receipts.update(receipt["status"] for receipt in answer.json()["receipts"])
            house.ids += ids
            if len(house.ids) > BEFORE_DEATH:
                enough.set()


def _answers(url: str) -> bool:
    with contextlib.suppress(httpx2.HTTPError):
        return httpx2.get(f"{url}/ready", timeout=5).status_code == 200
    return False


def _send_some_of_each(house: House, url: str) -> None:
    batch: list[dict[str, Any]] = [
        {"type": "identify", "messageId": "who", "anonymousId": "v-0", "userId": "anna@shop.example"},
        {"type": "page", "messageId": "again", "anonymousId": "v-0"},
        {"type": "page", "messageId": "again", "anonymousId": "v-0"},
        {"type": "nonsense", "messageId": "bad", "userId": "4711"},
        {"type": "page", "messageId": "nobody"},
    ]
    with httpx2.Client(base_url=url, timeout=30) as client:
        answer = client.post("/v1/batch", json={"batch": batch}, auth=("sk_shop", ""))
        house.receipts.update(receipt["status"] for receipt in answer.json()["receipts"])
        assert client.post("/v1/batch", json={"batch": batch}, auth=("sk_none", "")).status_code == 401
        assert client.post("/v1/batch", content=b"no json", auth=("sk_shop", "")).status_code == 400
