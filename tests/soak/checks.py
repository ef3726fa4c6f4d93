"""What must be true after every scenario, asked of topic, store and commands, each on its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from eventlog.errors import Unavailable
from eventlog.log import Record
from eventlog.topics import REJECTED
from tests.end_to_end.installation import Installation, eventually
from tests.soak.load import Load, is_order
from tests.soak.progress import Progress
from tests.soak.report import Asked, Report
from tests.trackway.processes import records, stored, trackway
from trackway.settings import load as load_settings

# How long the aggregator may be behind before something is wrong: a replay's time many times over.
_CAUGHT_UP_SECONDS = 180.0
_TAKE_OUT = "DELETE FROM trace WHERE number = (SELECT MAX(number) FROM trace WHERE seen)"


@dataclass
class Topic:
    """The events topic. `places` of an id: partition and offset of each of its records, the first one first."""

    records: list[Record]
    places: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))

    @property
    def twins(self) -> int:
        """Records beyond the first of their id."""
        return len(self.records) - len(self.places)


def read_topic(site: Installation) -> Topic:
    """All of the events topic; that a record's headers and its value carry one identity is checked on the way."""
    topic = Topic(records(site.config))
    for record in topic.records:
        value, headers = json.loads(record.value or b"{}"), dict(record.headers)
        assert headers["ce_id"].decode() == value["id"]
        assert headers["ce_source"].decode() == value["source"] == "shop"
        topic.places[value["id"]].append((record.partition.number, record.offset))
    for places in topic.places.values():
        places.sort(key=lambda place: place[1])
        assert len({partition for partition, _ in places}) == 1, "one id in two partitions"
    return topic


def until_in_topic(site: Installation, report: Report, within: float) -> float:
    """Wait until all that was acknowledged until now stands in the topic; how many seconds it took."""
    begun = time.monotonic()
    asked = [one for one in list(report.asked) if one.acknowledged]
    while True:
        # A broker that goes on after a minute is for a moment none of its own cluster: then nothing can be read yet.
        with contextlib.suppress(Unavailable):
            if not (left := missing(asked, read_topic(site))):
                return time.monotonic() - begun
            assert time.monotonic() - begun < within, f"after {within:.0f} s {_told(left)}"
        assert time.monotonic() - begun < within, f"after {within:.0f} s the topic cannot be read"


def none_lost(report: Report, topic: Topic) -> None:
    """What was acknowledged stands in the topic, and where its receipt says, if that says where. A careful sender ends
    up with everything acknowledged."""
    assert not report.careful or all(one.acknowledged for one in report.asked)
    lost = missing(report.asked, topic)
    assert not lost, _told(lost)
    for asked in report.asked:
        receipt = asked.receipt or {}
        if receipt.get("status") == "accepted" and "offset" in receipt:
            place = receipt["partition"], receipt["offset"]
            assert place in topic.places[asked.event_id], f"{asked.event_id} is not at {place}"


def missing(asked: Sequence[Asked], topic: Topic) -> list[Asked]:
    """What was acknowledged and is not in the topic."""
    return [one for one in asked if one.acknowledged and one.event_id not in topic.places]


def _told(lost: Sequence[Asked]) -> str:
    shown = "\n".join(str(one) for one in lost[:5])
    return f"{len(lost)} acknowledged events are not in the topic, among them\n{shown}"


def in_order(report: Report, topic: Topic) -> None:
    """By first occurrence, the events of a connection stand in the order they were sent in, within one life."""
    sent: dict[tuple[int, int], list[tuple[int, str]]] = defaultdict(list)
    for asked in report.asked:
        if asked.acknowledged and not asked.again and asked.life is not None:
            sent[asked.connection, asked.life].append((asked.number, asked.event_id))
    for (connection, life), events in sent.items():
        offsets = [topic.places[event_id][0][1] for _, event_id in sorted(events)]
        assert offsets == sorted(offsets), f"connection {connection} in life {life} is out of order"


def duplicates_in_step(site: Installation, report: Report) -> Counter[str]:
    """Each duplicate that was answered stands in the rejected topic; how many records that has, by status."""
    held = stored(site.config, REJECTED)
    found = Counter(one["id"] for one in held if one["status"] == "duplicate")
    told = Counter(
        one.event_id for one in report.asked if one.receipt is not None and one.receipt["status"] == "duplicate"
    )
    missing = [event_id for event_id, count in told.items() if found[event_id] < count]
    assert not missing, f"{len(missing)} duplicates are not in the rejected topic, among them {missing[:5]}"
    return Counter(one["status"] for one in held)


def counted_once(site: Installation, topic: Topic, rejected: Counter[str]) -> None:
    """The store has each event once, and each record accounted for: in its counts, and in the profiles."""
    expected = len(topic.records) + sum(rejected.values())
    eventually(lambda: sum(_counts(site).values()) >= expected or None, "the store to catch up", _CAUGHT_UP_SECONDS)
    counts = _counts(site)
    assert sum(counts.values()) == expected, counts
    assert counts["accepted"] == len(topic.places), counts

    def folded() -> Any:
        found = site.api("/api/v1/profiles?limit=200")["profiles"]
        return found if sum(one["counts"]["events"] for one in found) >= len(topic.places) else None

    profiles = eventually(folded, "the profiles of every event")
    assert sum(one["counts"]["events"] for one in profiles) == len(topic.places)
    orders = sum(is_order(event_id) for event_id in topic.places)
    assert sum(one["counts"].get("orders", 0) for one in profiles) == orders
    assert sum(float(one["money"]["EUR"]["revenue"]) for one in profiles if "money" in one) == orders


def ledger_holds(site: Installation) -> None:
    done = site.ledger()
    assert done.returncode == 0, done.stdout + done.stderr


def ledger_misses_a_record(site: Installation) -> None:
    """One accepted event's record is taken out of the store by hand: the ledger must find it missing."""
    store = load_settings(site.config, {}).store
    if store.startswith("postgresql"):
        asyncio.run(_take_out(store))
    else:
        with contextlib.closing(sqlite3.connect(store.removeprefix("sqlite:///"), timeout=30)) as connection:
            assert connection.execute(_TAKE_OUT).rowcount == 1
            connection.commit()
    done = site.ledger()
    assert done.returncode == 1, done.stdout + done.stderr


async def _take_out(store: str) -> None:
    connection = await asyncpg.connect(store)
    try:
        assert await connection.execute(_TAKE_OUT) == "DELETE 1"
    finally:
        await connection.close()


def rebuild_finds_no_difference(site: Installation) -> None:
    done = trackway("rebuild", "--compare", config=site.config)
    assert done.returncode == 0, done.stdout + done.stderr


def _counts(site: Installation) -> Counter[str]:
    """What the API says the store counted, by status."""
    counts: Counter[str] = Counter()
    for line in site.api("/api/v1/ledger")["lines"]:
        counts[line["status"]] += line["count"]
    return counts


def all_of_it(site: Installation, reports: Iterable[Report]) -> Topic:
    """Everything above. `reports` are those of every load the site ever had."""
    topic = read_topic(site)
    rejected: Counter[str] = Counter()
    for report in reports:
        none_lost(report, topic)
        in_order(report, topic)
        rejected = duplicates_in_step(site, report)
    counted_once(site, topic, rejected)
    ledger_holds(site)
    return topic


def stop_and_check(site: Installation, load: Load, progress: Progress, *, may_have_twins: bool = False) -> Report:
    """The end of a scenario: the load is stopped, told of, and everything above asked, with a rebuild at last.
    `may_have_twins`: where processes died, the topic may hold an event twice."""
    report = load.stop()
    progress.say(f"answers {dict(report.answers)}\n{report.table()}", report)
    topic = all_of_it(site, [report])
    progress.say(f"{topic.twins} twins among {len(topic.records):,} records, each pair with one id")
    assert may_have_twins or topic.twins == 0
    rebuild_finds_no_difference(site)
    return report
