"""The newest records of a real log, and what is said of those that are left out."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from eventlog.provision import provision
from eventlog.settings import LogSettings
from exporter.console import tail
from exporter.console.rows import Filter, newest
from exporter.console.tail import LogReader
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


def test_an_empty_log_has_nothing_and_misses_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        reader = LogReader(LogSettings(data=tmp_path))
        tails = await reader.read()
        assert (tails.events.records, tails.rejected.records, tails.ever) == ((), (), 0)
        assert tails.caught_up
        await reader.close()

    asyncio.run(scenario())


def test_both_topics_newest_first_and_filtered(settings: LogSettings) -> None:
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
        await reader.close()

    asyncio.run(scenario())


def test_what_arrives_between_two_looks_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = LogSettings(data=tmp_path)
    monkeypatch.setattr(tail, "_FRESH_SECONDS", 0.0)

    async def scenario() -> None:
        reader = LogReader(settings)
        assert (await reader.read()).ever == 0
        for n in range(1, 4):
            await append(settings, [event(AT + n, anonymous_id=f"visitor-{n}")])
            tails = await reader.read()
            assert (len(tails.events.records), tails.ever) == (n, n)
        await reader.close()

    asyncio.run(scenario())


def test_a_reader_far_behind_jumps_to_the_end_and_says_since_when_it_is_complete(
    settings: LogSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "_FRESH_SECONDS", 0.0)
    monkeypatch.setattr(tail, "TAIL_RECORDS", 10)

    async def scenario() -> None:
        await append(settings, [event(AT)])
        reader = LogReader(settings)
        assert (await reader.read()).events.complete_since is None
        # All of one visitor, so all in one partition.
        await append(settings, [event(AT + n) for n in range(1, 101)])
        tails = await reader.read()
        assert [record.timestamp for record in tails.events.records] == [AT + n for n in range(100, 90, -1)]
        assert tails.events.complete_since == AT + 91
        assert tails.events.held_by_log == 101
        await reader.close()

    asyncio.run(scenario())


def test_no_more_than_the_bound_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = LogSettings(data=tmp_path)
    monkeypatch.setattr(tail, "KEPT_RECORDS", 5)

    async def scenario() -> None:
        await append(settings, [event(AT + n, anonymous_id=f"visitor-{n}") for n in range(20)])
        reader = LogReader(settings)
        tails = await reader.read()
        assert [record.timestamp for record in tails.events.records] == [AT + n for n in range(19, 14, -1)]
        assert tails.events.complete_since == AT + 14
        await reader.close()

    asyncio.run(scenario())


def test_the_log_is_let_go_when_nobody_looks(tmp_path: Path) -> None:
    async def scenario() -> None:
        reader = LogReader(LogSettings(data=tmp_path), idle_seconds=0.05)
        await reader.read()
        assert reader.is_open()
        async with asyncio.timeout(10):
            while reader.is_open():  # noqa: ASYNC110 - a timer closes it and tells nobody
                await asyncio.sleep(0.02)
        assert (await reader.read()).ever == 0
        await reader.close()

    asyncio.run(scenario())
