"""`trackway doctor`: what an installation needs, checked one by one, each with what to do about it.

The codes are a closed list; docs/doctor.md has a paragraph for each.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from typing import Final, Literal

from eventlog.errors import Unavailable
from eventlog.log import Bounds, Partition
from eventlog.opening import open_consumer
from eventlog.provision import provision
from eventlog.topics import EVENTS, REJECTED
from exporter.aside import all_aside
from exporter.lookup import Lookup
from exporter.store import STORE_AWAY, Store, open_store
from trackway.settings import Settings

Level = Literal["ok", "warn", "fail"]

CHECKS: Final = {
    "TW001": "Python",
    "TW002": "secret",
    "TW003": "data folder",
    "TW004": "sources",
    "TW005": "admin token",
    "TW006": "event log",
    "TW007": "store",
    "TW008": "aggregator",
    "TW009": "workflows",
}
_MIN_FREE_BYTES: Final = 512 * 1024 * 1024
_MIN_SECRET: Final = 16
_SAMPLES: Final = frozenset(("secret", "changeme", "for-tests", "trackway"))
_SAMPLE_KEYS: Final = frozenset(("sk_shop",))
_MAX_BEHIND: Final = 10_000


@dataclass(frozen=True)
class Finding:
    """What was found: `message` says what, `remedy` what to do; "" where nothing is to be done."""

    code: str
    level: Level
    message: str
    remedy: str = ""

    @property
    def check(self) -> str:
        """What was looked at."""
        return CHECKS[self.code]


async def examine(settings: Settings) -> list[Finding]:
    """Every check, in the order of their codes. Nothing is changed."""
    findings = [_python(), _secret(settings), _data(settings), _sources(settings), _token(settings)]
    findings.append(await _log(settings))
    try:
        store = await open_store(settings)
    except Unavailable as error:
        return [*findings, Finding("TW007", "fail", str(error), "start the database, or correct `store`")]
    try:
        findings += [*await _store(settings, store), _workflows(settings)]
    finally:
        await store.close()
    return findings


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("TW001", "ok", f"{version}")


def _secret(settings: Settings) -> Finding:
    secret = settings.secret.get_secret_value()
    if secret in _SAMPLES or len(secret) < _MIN_SECRET:
        remedy = "before the first event of a real site, set one with `openssl rand -hex 32`; it can never change after"
        return Finding("TW002", "warn", f"short or a sample: {len(secret)} characters", remedy)
    return Finding("TW002", "ok", "set")


def _data(settings: Settings) -> Finding:
    folder = settings.data.resolve()
    there = folder if folder.exists() else folder.parent
    if not os.access(there, os.W_OK):
        return Finding("TW003", "fail", f"{folder} cannot be written", "give this user the right to write there")
    free = shutil.disk_usage(there).free
    if free < _MIN_FREE_BYTES:
        text = f"{free // 2**20} MiB are free where {folder} is"
        return Finding("TW003", "fail", text, "free some space, or move `data`")
    return Finding("TW003", "ok", f"{folder}, {free // 2**30} GiB free")


def _sources(settings: Settings) -> Finding:
    if not settings.sources:
        return Finding("TW004", "fail", "there are none", "add one under `sources`, with a key and origins")
    sample = [name for name, one in settings.sources.items() if one.server_key.get_secret_value() in _SAMPLE_KEYS]
    if sample:
        text = f"the server key of {', '.join(sample)} is the example's"
        return Finding("TW004", "warn", text, "set a server key of your own before you leave this machine")
    return Finding("TW004", "ok", ", ".join(sorted(settings.sources)))


def _token(settings: Settings) -> Finding:
    given = settings.admin.token.get_secret_value()
    if not given and not settings.store.startswith("postgresql"):
        return Finding("TW005", "ok", f"in {settings.data / 'admin-token'}, made at the first start")
    if len(given) < _MIN_SECRET:
        text = "missing" if not given else f"it has {len(given)} characters"
        return Finding("TW005", "fail", text, f"set TRACKWAY_ADMIN_TOKEN to {_MIN_SECRET} random characters or more")
    return Finding("TW005", "ok", "set")


async def _log(settings: Settings) -> Finding:
    try:
        findings = await provision(settings, apply=False)
    except Unavailable as error:
        return Finding("TW006", "fail", str(error), "start Kafka, or correct `log`")
    for level in ("fail", "warn"):
        wrong = [one for one in findings if one.level == level]
        if wrong:
            text = "; ".join(f"{one.topic} {one.message}" for one in wrong)
            remedy = "run `trackway topics --apply`" if level == "fail" else "run three brokers in production"
            return Finding("TW006", wrong[0].level, text, remedy)
    return Finding(
        "TW006", "ok", f"{len(findings)} topics" if settings.is_kafka else f"embedded, {settings.log_folder}"
    )


async def _store(settings: Settings, store: Store) -> list[Finding]:
    try:
        reached = await Lookup(store, settings).positions()
    except STORE_AWAY:
        return [Finding("TW007", "warn", "it has no tables yet", "start `trackway up`, `aggregate` or `export` once")]
    answers = Finding("TW007", "ok", "SQLite" if store.dialect == "sqlite" else "PostgreSQL")
    try:
        bounds = await _bounds(settings)
    except Unavailable:
        return [answers, Finding("TW008", "fail", "the log does not answer, so its lag is unknown", "see TW006")]
    aside = await all_aside(store)
    if aside.partitions:
        text = "; ".join(f"partition {one} is stopped: {reason}" for one, reason in sorted(aside.partitions.items()))
        return [answers, Finding("TW008", "fail", text, "see docs/running.md, Poison")]
    lost = [one for one, bound in bounds.items() if reached.get(one, bound.first) < bound.first]
    if lost:
        text = f"{len(lost)} partitions of the log begin behind what was folded last: records are lost to the store"
        return [
            answers,
            Finding("TW008", "fail", text, "run `trackway rebuild --drop-history`, and the aggregator more often"),
        ]
    behind = sum(bound.next - reached.get(one, bound.first) for one, bound in bounds.items())
    if behind > _MAX_BEHIND:
        return [answers, Finding("TW008", "warn", f"{behind} records behind", "is `trackway aggregate` running?")]
    if aside.profiles:
        told = ", ".join(f"{n} ({reason})" for reason, n in sorted(aside.profiles.items()))
        remedy = "an aggregator that is started anew, or a rebuild, tries again; report the place in the code"
        return [answers, Finding("TW008", "warn", f"profiles that could not be made: {told}", remedy)]
    return [answers, Finding("TW008", "ok", f"{behind} records behind")]


async def _bounds(settings: Settings) -> dict[Partition, Bounds]:
    found: dict[Partition, Bounds] = {}

    async def begin(_: frozenset[Partition]) -> dict[Partition, int]:
        found.update(await consumer.bounds())
        return {one: bound.next for one, bound in found.items()}

    topics = [topic.full_name(settings.topic_prefix) for topic in (EVENTS, REJECTED)]
    consumer = open_consumer(settings, topics, assigned=begin)
    await consumer.start()
    await consumer.stop()
    return found


def _workflows(settings: Settings) -> Finding:
    if not settings.workflows:
        return Finding("TW009", "ok", "none is configured")
    unscheduled = [name for name, one in settings.workflows.items() if not one.every]
    text = f"{len(settings.workflows)} configured, {len(unscheduled)} of them run by hand only"
    drafts = [name for name, one in settings.workflows.items() if one.mode == "draft"]
    if drafts:
        return Finding(
            "TW009", "warn", f"{text}; still drafts: {', '.join(drafts)}", "set `mode: live` once it is mapped"
        )
    return Finding("TW009", "ok", text)
