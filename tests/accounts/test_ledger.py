"""`ledger` and `where` on both modes: they hold after a collector was killed under load, and tell what is missing."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from eventlog.account import COLLECTOR_HEADER, REPLAYED_HEADER, Line
from eventlog.log import Outgoing, Partition
from eventlog.opening import open_producer
from eventlog.refused import refuse
from eventlog.spool import new_spool
from eventlog.timestamps import MINUTE_MS, format_ms, now_ms
from exporter.store import open_store
from tests.accounts.house import BEFORE_DEATH, House, rough_morning, write_config
from tests.console.seeds import event, outgoing
from tests.services import Kafka, Postgres
from trackway.settings import load

NOW = now_ms()
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module", params=["embedded", "cluster"])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> House:
    folder = tmp_path_factory.mktemp("house")
    if request.param == "embedded":
        return rough_morning(write_config(folder, "", ""))
    kafka: Kafka = request.getfixturevalue("kafka")
    postgres: Postgres = request.getfixturevalue("postgres")
    return rough_morning(write_config(folder, kafka.url, postgres.new_database()))


def in_store(house: House, *statements: str) -> None:
    async def work() -> None:
        store = await open_store(load(house.config, os.environ))
        async with store.write() as connection:
            for statement in statements:
                await connection.execute(text(statement))
        await store.close()

    asyncio.run(work())


@pytest.fixture
def answered(house: House) -> Iterator[Path]:
    """The file with the collector's answers; as it was again afterwards."""
    (file,) = (house.slot / "answered").glob("*.ndjson")
    before = file.read_bytes()
    yield file
    file.write_bytes(before)


def test_both_laws_hold_after_a_death_under_load(house: House, capsys: Capture) -> None:
    code, lines = house.ledger(capsys)
    told = lines[-1]
    assert (code, told["law1"], told["law2"], told["behind"], told["collectors"]) == (0, True, True, 0, 1)
    counts = [line for line in lines if line.get("source") == "shop"]
    accepted = [line for line in counts if line["status"] == "accepted"]
    sums = {name: sum(line[name] for line in accepted) for name in ("answered", "log", "store")}
    assert sums["log"] == sums["store"] == sums["answered"] + told["stored_unanswered"]
    # Whoever has a receipt has it in the log; each of the four senders may have missed its last one.
    assert BEFORE_DEATH < house.receipts["accepted"] <= sums["log"] <= house.receipts["accepted"] + 4 * 3
    (death,) = told["died"]
    assert 0 <= told["stored_unanswered"] <= death["most"]
    others = {line["status"]: line["answered"] for line in counts if line["status"] != "accepted"}
    assert others == {status: house.receipts[status] for status in ("duplicate", "rejected")}
    assert told["requests_refused"]["unknown_key"] == 1
    assert sum(told["requests_refused"].values()) == 2
    code, printed = house.command(capsys, "ledger")
    assert code == 0
    assert "law 1 holds" in printed
    assert "law 2 holds" in printed
    assert "a collector died between" in printed


def test_a_record_gone_from_the_store_is_named(house: House, capsys: Capture) -> None:
    gone = "event_id = 'again' AND status = 'accepted'"
    in_store(house, "CREATE TABLE kept AS SELECT * FROM trace WHERE " + gone, "DELETE FROM trace WHERE " + gone)
    try:
        code, printed = house.command(capsys, "ledger")
    finally:
        in_store(house, "INSERT INTO trace SELECT * FROM kept", "DROP TABLE kept")
    assert code == 1
    assert "law 1 does not hold" in printed
    assert " shop accepted: " in printed
    assert "of which 1 left no trace" in printed
    in_store(house, "UPDATE counts SET n = n - 1 WHERE status = 'rejected' AND source = 'shop'")
    try:
        code, printed = house.command(capsys, "ledger")
        assert house.command(capsys, "ledger", "--source", "blog")[0] == 0
    finally:
        in_store(house, "UPDATE counts SET n = n + 1 WHERE status = 'rejected' AND source = 'shop'")
    assert code == 1
    assert " shop rejected: 1 in the log, 0 counted by the store" in printed
    assert house.command(capsys, "ledger")[0] == 0


def test_an_answer_without_its_record_is_a_loss(house: House, capsys: Capture, answered: Path) -> None:
    minute = now_ms() // MINUTE_MS * MINUTE_MS
    with answered.open("ab") as file:
        line = Line(minute)
        line.answered[minute, "shop", "filtered"] += 1
        file.write(line.encoded())
        file.write(Line(minute, "stop").encoded())
    code, printed = house.command(capsys, "ledger")
    assert code == 1
    assert "law 1 holds" in printed
    assert "law 2 does not hold" in printed
    assert f"{format_ms(minute)} shop filtered, collector " in printed
    assert ": 1 answered, only 0 stored" in printed


def test_a_record_that_nobody_answered_needs_an_explanation(house: House, capsys: Capture, answered: Path) -> None:
    lines = [json.loads(line) for line in answered.read_bytes().splitlines() if line]
    # Nobody died, and one line was never written.
    kept = [line for line in lines if line.get("answered") and not line.get("refused")]
    lines = [line for line in lines if line is not kept[0] and line.get("mark") != "start"]
    answered.write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, printed = house.command(capsys, "ledger")
    assert code == 1
    assert "more, which nothing explains" in printed


def test_an_account_that_is_elsewhere_is_asked_for(house: House, capsys: Capture, tmp_path: Path) -> None:
    elsewhere = tmp_path / "data"
    shutil.move(house.slot / "answered", elsewhere / "workers" / "0" / "answered")
    try:
        code, lines = house.ledger(capsys)
        assert (code, lines[-1]["law1"], lines[-1]["law2"]) == (0, True, None)
        ((_, missing),) = lines[-1]["collectors_missing"].items()
        assert missing >= house.receipts.total()
        code, printed = house.command(capsys, "ledger")
        assert "law 2 was not checked for" in printed
        assert "--answered FOLDER" in printed
        code, lines = house.ledger(capsys, "--answered", str(elsewhere))
        assert (code, lines[-1]["law2"]) == (0, True)
    finally:
        shutil.move(elsewhere / "workers" / "0" / "answered", house.slot / "answered")
    assert house.command(capsys, "ledger", "--answered", str(elsewhere / "none"))[0:1] == (2,)


def test_where_tells_each_record_of_an_id(house: House, capsys: Capture) -> None:
    code, printed = house.command(capsys, "where", "again")
    assert code == 0
    assert "receipt: accepted" in printed
    assert "receipt: duplicate" in printed
    assert "store: counted, and part of a profile" in printed
    told = json.loads(house.command(capsys, "where", "bad", "--json")[1])
    (record,) = told["records"]
    assert (record["status"], record["reason"], record["source"]) == ("rejected", "unknown_type", "shop")
    assert record["path"] == "batch[3].type"
    told = json.loads(house.command(capsys, "where", "who", "--scan", "--json")[1])
    (record,) = told["records"]
    assert record["profile_id"]
    assert record["protocol"] == "segment"
    assert "anna" not in json.dumps(told)
    assert "names nobody" in house.command(capsys, "where", "nobody")[1]
    code, printed = house.command(capsys, "where", "never")
    assert code == 1
    assert "traces are kept for 35 days" in printed
    # Everything with a receipt is somewhere.
    for one in house.ids[:: len(house.ids) // 2]:
        assert house.command(capsys, "where", one)[0] == 0


@pytest.fixture
def quiet(tmp_path: Path) -> House:
    """A site whose collector had appended, answered and stopped; nothing is folded. `e-0` to `e-2` are in the log."""
    house = House(write_config(tmp_path, "", ""))
    settings = load(house.config, os.environ)
    (house.slot / "answered").mkdir(parents=True)
    (house.slot / "answered" / "name").write_text("cafe0123\n")

    async def append() -> None:
        producer = open_producer(settings)
        await producer.start()
        await producer.append([record(house, number) for number in range(3)])
        await producer.stop()

    asyncio.run(append())
    tell(house, 3)
    return house


@functools.cache
def body(number: int) -> dict[str, Any]:
    return event(NOW, id=f"e-{number}", anonymous_id="v")


def record(house: House, number: int) -> Outgoing:
    made = outgoing(load(house.config, os.environ), body(number))
    return made._replace(headers=(*made.headers, (COLLECTOR_HEADER, b"cafe0123")))


def tell(house: House, accepted: int) -> None:
    """Have the collector's account say that so many events were accepted."""
    line = Line(NOW, "start", Counter({(NOW // MINUTE_MS * MINUTE_MS, "shop", "accepted"): accepted}))
    file = house.slot / "answered" / f"{format_ms(NOW)[:10]}.ndjson"
    file.write_bytes(line.encoded() + Line(NOW, "stop").encoded())


def test_what_the_log_has_lost_is_missed(quiet: House, capsys: Capture) -> None:
    assert quiet.command(capsys, "ledger")[0] == 0
    (file,) = (quiet.folder / "log").glob("*.db")
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DELETE FROM record WHERE topic LIKE '%events%' AND offset = 1")
    code, printed = quiet.command(capsys, "ledger")
    assert code == 1
    assert "shop accepted, collector cafe0123: 3 answered, only 2 stored" in printed


def test_what_waits_on_a_collectors_disk_counts_once(quiet: House, capsys: Capture) -> None:
    settings = load(quiet.config, os.environ)

    async def spool() -> None:
        spool = new_spool(quiet.slot, settings.spool)
        # `e-2` was sent by a process that died before it could say so.
        waiting = [record(quiet, number) for number in (2, 3, 4)]
        await spool.write(Partition(waiting[0].topic, 0), None, waiting)
        await spool.close()

    asyncio.run(spool())
    tell(quiet, 5)
    code, lines = quiet.ledger(capsys)
    assert (code, lines[-1]["law2"]) == (0, True)
    (line,) = [line for line in lines if line.get("status") == "accepted"]
    assert (line["answered"], line["log"], line["waiting"], line["store"], line["behind"]) == (5, 3, 2, 0, 3)
    assert "waiting for Kafka" in quiet.command(capsys, "where", "e-3")[1]
    assert "not in the store yet" in quiet.command(capsys, "where", "e-0")[1]
    refuse(quiet.slot, record(quiet, 5), "MessageSizeTooLarge")
    tell(quiet, 6)
    code, printed = quiet.command(capsys, "ledger")
    assert code == 1
    assert "law 2 holds" in printed
    assert "refused by Kafka for good: 1" in printed
    assert "Kafka refused it for good" in quiet.command(capsys, "where", "e-5")[1]


def test_records_sent_again_by_a_new_producer_are_twins_and_replayed_ones_are_nobodys(
    quiet: House, capsys: Capture
) -> None:
    async def append() -> None:
        producer = open_producer(load(quiet.config, os.environ))
        await producer.start()
        replayed = record(quiet, 7)
        replayed = replayed._replace(headers=(*replayed.headers, (REPLAYED_HEADER, b"0/4")))
        await producer.append([record(quiet, 1), replayed])
        await producer.stop()

    asyncio.run(append())
    code, lines = quiet.ledger(capsys)
    assert (code, lines[-1]["law2"], lines[-1]["twins"], lines[-1]["replayed"]) == (0, True, 1, 1)
    assert "made again of the rejected record 0/4" in quiet.command(capsys, "where", "e-7")[1]
