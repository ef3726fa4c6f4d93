"""The sources of a running collector follow the settings file, however it is replaced."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from collector.settings import Source
from eventlog.numbers import Numbers
from trackway.reloading import Reloading
from trackway.settings import load

TEXT = "data: {folder}\nlisten: 127.0.0.1:0\nsources: {{shop: {{server_key: {key}}}}}\n"


class Watched:
    """A file that is watched, and what was taken of it."""

    def __init__(self, file: Path) -> None:
        self.taken: list[dict[str, Source]] = []
        self.reloading = Reloading(load(file, {}), file, self.taken.append, every=0.05)

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not done():  # noqa: ASYNC110 - what is waited for is told to nobody
                await asyncio.sleep(0.05)

    @property
    def keys(self) -> list[str]:
        return [taken["shop"].server_key.get_secret_value() for taken in self.taken]


@contextlib.asynccontextmanager
async def watched(file: Path) -> AsyncIterator[Watched]:
    found = Watched(file)
    stop = asyncio.Event()
    task = asyncio.create_task(found.reloading.watch(stop))
    try:
        await asyncio.sleep(0)
        yield found
    finally:
        stop.set()
        await task


def text(folder: Path, key: str) -> str:
    return TEXT.format(folder=folder, key=key)


def test_a_changed_file_is_taken_and_a_bad_one_keeps_the_old_sources(tmp_path: Path) -> None:
    file = tmp_path / "t.yml"
    file.write_text(text(tmp_path, "k1"))

    async def change() -> None:
        async with watched(file) as one:
            file.write_text(text(tmp_path, "k2"))
            await one.until(lambda: one.keys == ["k2"])
            file.write_text("sources: {shop: {sever_key: k3}}\n")
            await one.until(lambda: bool(one.reloading.problems))
            assert "did you mean `server_key`" in one.reloading.problems[0]
            assert one.keys == ["k2"]
            told = one.reloading.put(Numbers())
            assert told.of("trackway_settings_refused") == 1
            assert told.of("trackway_settings_read_total", "refused") == 1
            # Gone for a while, and back under another number.
            file.unlink()
            (tmp_path / "other").write_text(text(tmp_path, "k4"))
            (tmp_path / "other").replace(file)
            await one.until(lambda: one.keys == ["k2", "k4"])
            assert one.reloading.put(Numbers()).of("trackway_settings_refused") == 0

    asyncio.run(change())


def test_a_mounted_file_is_a_link_whose_folder_is_exchanged(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "t.yml").write_text(text(tmp_path, f"k-{name}"))
        os.utime(tmp_path / name / "t.yml", (1, 1))
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "t.yml").symlink_to("..data/t.yml")

    async def change() -> None:
        async with watched(tmp_path / "t.yml") as one:
            (tmp_path / "new").symlink_to("two")
            (tmp_path / "new").replace(tmp_path / "..data")
            await one.until(lambda: one.keys == ["k-two"])

    asyncio.run(change())


def test_hangup_has_the_file_read_at_once_and_an_unchanged_one_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "t.yml"
    file.write_text(text(tmp_path, "k1"))

    async def hang_up() -> None:
        async with watched(file) as one:
            os.kill(os.getpid(), signal.SIGHUP)
            await one.until(lambda: one.keys == ["k1"])
            # Many looks later.
            await asyncio.sleep(0.5)
            assert one.keys == ["k1"]

    asyncio.run(hang_up())
