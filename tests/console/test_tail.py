"""The newest records of a real log, and what is said of those that are left out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from eventlog.errors import Unavailable
from eventlog.provision import provision
from eventlog.settings import LogSettings
from exporter.console.rows import Filter, newest
from exporter.console.tail import LogReader, TailLimits, Tails
from tests.console.seeds import append, event, outcome
from tests.services import Kafka

AT = 1_795_000_000_000


@pytest.fixture(params=["embedded", "kafka"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> LogSettings:
    """Either log, empty."""
    if request.param == "embedded":
        return LogSettings(data=tmp_path)
    kafka: Kafka = request.getfixturevalue("kafka")
    made = LogSettings(data=tmp_path, log=kafka.url, topic_prefix=f"{tmp_path.name}-{os.getpid()}.", append_deadline=5)
    asyncio.run(provision(made, apply=True))
    return made


async def until(reader: LogReader, holds: Callable[[Tails], bool]) -> Tails:
    async with asyncio.timeout(30):
        while not holds(tails := await reader.read()):  # noqa: ASYNC110 - another process may have written it
            await asyncio.sleep(0.02)
        return tails


def test_an_empty_log_has_nothing_and_misses_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        reader = LogReader(LogSettings(data=tmp_path))
        tails = await reader.read()
        assert (tails.events.records, tails.rejected.records, tails.ever) == ((), (), 0)
        assert tails.caught_up
        await reader.close()

    asyncio.run(scenario())


def test_both_topics_newest_first_and_filtered_and_what_arrives_later_too(settings: LogSettings) -> None:
    async def scenario() -> None:
        await append(settings, [event(AT + n * 10, anonymous_id=f"visitor-{n}") for n in range(20)])
        await append(settings, [event(AT + 5, name="buy", kind="track"), outcome(AT + 7, "rejected", "wrong_type")])
        reader = LogReader(settings)
        tails = await reader.read()
        rows, matched = newest(tails, Filter(), 100)
        assert (len(rows), matched) == (22, 22)
        assert [row["at"] for row in rows] == sorted((row["at"] for row in rows), reverse=True)
        assert newest(tails, Filter(), 5)[1] == 22
        assert [row["name"] for row in newest(tails, Filter(name="buy"), 100)[0]] == ["buy"]
        assert [row["reason"] for row in newest(tails, Filter(status="rejected"), 100)[0]] == ["wrong_type"]
        assert newest(tails, Filter(source="elsewhere"), 100) == ([], 0)
        await append(settings, [event(AT + 1000), outcome(AT + 1001, "filtered", "bot")])
        later = await until(reader, lambda tails: tails.events.held_by_log + tails.rejected.held_by_log == 24)
        assert [row["status"] for row in newest(later, Filter(), 2)[0]] == ["filtered", "accepted"]
        assert (later.ever, later.events.complete_since) == (22, None)
        await reader.close()

    asyncio.run(scenario())


def test_it_begins_near_the_end_and_says_since_when_it_is_complete(settings: LogSettings) -> None:
    async def scenario() -> None:
        # All of one visitor, so all in one partition.
        await append(settings, [event(AT + n) for n in range(101)])
        reader = LogReader(settings, TailLimits(partition=10))
        tails = await reader.read()
        assert [record.timestamp for record in tails.events.records] == [AT + n for n in range(100, 90, -1)]
        assert tails.events.complete_since == AT + 91
        assert tails.events.held_by_log == 101
        await reader.close()

    asyncio.run(scenario())


def test_no_more_than_the_bound_is_kept(tmp_path: Path) -> None:
    settings = LogSettings(data=tmp_path)

    async def scenario() -> None:
        await append(settings, [event(AT + n, anonymous_id=f"visitor-{n}") for n in range(20)])
        reader = LogReader(settings, TailLimits(kept=5))
        tails = await reader.read()
        assert [record.timestamp for record in tails.events.records] == [AT + n for n in range(19, 14, -1)]
        assert tails.events.complete_since == AT + 14
        await reader.close()

    asyncio.run(scenario())


def test_the_log_is_let_go_when_nobody_looks_and_opened_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        reader = LogReader(LogSettings(data=tmp_path), TailLimits(idle_seconds=0.05))
        await reader.read()
        assert reader.is_open()
        async with asyncio.timeout(10):
            while reader.is_open():  # noqa: ASYNC110 - it lets go by itself and tells nobody
                await asyncio.sleep(0.02)
        assert (await reader.read()).ever == 0
        await reader.close()
        assert not reader.is_open()

    asyncio.run(scenario())


def test_a_log_that_cannot_be_opened_is_said_and_tried_again(tmp_path: Path) -> None:
    settings = LogSettings(data=tmp_path)
    settings.log_folder.write_text("not a folder")

    async def scenario() -> None:
        reader = LogReader(settings)
        with pytest.raises(Unavailable):
            await reader.read()
        settings.log_folder.unlink()
        assert (await reader.read()).ever == 0
        await reader.close()

    asyncio.run(scenario())
