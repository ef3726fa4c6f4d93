"""Creates the topics on Kafka and checks those that are there against the table of topics.py."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final, Literal

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, NodeNotReadyError

from eventlog.connection import connection_options
from eventlog.errors import Unavailable
from eventlog.settings import LogSettings
from eventlog.topics import MAX_MESSAGE_BYTES, TOPICS, Topic

_DEADLINE: Final = 30.0
_REPLICATION, _MIN_INSYNC = 3, 2
_ALREADY_THERE: Final = 36


@dataclass(frozen=True)
class Finding:
    """What was found of one topic; `message` says what is wrong and what to do."""

    topic: str
    level: Literal["ok", "warn", "fail"]
    message: str


async def provision(settings: LogSettings, apply: bool) -> list[Finding]:
    """Compare the topics with the table; with `apply` create what is missing and set what can be set.

    Raises Unavailable when Kafka does not answer. The embedded log makes its topics itself.
    """
    if not settings.is_kafka:
        return [Finding(topic.full_name(settings.topic_prefix), "ok", "embedded log") for topic in TOPICS]
    admin = AIOKafkaAdminClient(**connection_options(settings))
    try:
        async with asyncio.timeout(_DEADLINE):
            await admin.start()
            while True:
                try:
                    return await _provision(admin, settings, apply)
                except NodeNotReadyError:
                    # A broker that has just started answers before it counts itself among the cluster's.
                    await asyncio.sleep(0.2)
    except (KafkaError, TimeoutError, OSError) as error:
        raise Unavailable(f"Kafka did not answer ({type(error).__name__})") from None
    finally:
        await admin.close()


async def _provision(admin: AIOKafkaAdminClient, settings: LogSettings, apply: bool) -> list[Finding]:
    brokers = len((await admin.describe_cluster())["brokers"])
    replication = min(_REPLICATION, brokers)
    there = set(await admin.list_topics())
    wanted = {topic.full_name(settings.topic_prefix): topic for topic in TOPICS}
    missing = [name for name in wanted if name not in there]
    findings = []
    if missing and apply:
        new = [_new_topic(name, wanted[name], replication) for name in missing]
        answer = await admin.create_topics(new)
        findings = [
            Finding(name, "fail", f"could not be created: {message or code}")
            for name, code, message in (error[:3] for error in answer.topic_errors)
            if code not in (0, _ALREADY_THERE)
        ]
    elif missing:
        findings = [Finding(name, "fail", "is missing; run `trackway topics --apply`") for name in missing]
    failed = {finding.topic for finding in findings}
    for name, topic in wanted.items():
        if name not in failed:
            findings.append(await _check(admin, name, topic, brokers, apply))
    return findings


def _new_topic(name: str, topic: Topic, replication: int) -> NewTopic:
    return NewTopic(
        name=name,
        num_partitions=topic.partitions,
        replication_factor=replication,
        topic_configs=_configs(topic, replication),
    )


def _configs(topic: Topic, replication: int) -> dict[str, str]:
    return {
        "cleanup.policy": topic.cleanup,
        "retention.ms": str(topic.retention_ms),
        "max.message.bytes": str(MAX_MESSAGE_BYTES),
        "min.insync.replicas": str(max(1, min(_MIN_INSYNC, replication - 1))),
        "message.timestamp.type": "CreateTime",
    }


async def _check(admin: AIOKafkaAdminClient, name: str, topic: Topic, brokers: int, apply: bool) -> Finding:
    described: dict[str, Any] = {}
    for attempt in range(20):
        described = (await admin.describe_topics([name]))[0]
        led = [one["error_code"] == 0 and one["leader"] >= 0 for one in described["partitions"]]
        if described["error_code"] == 0 and led and all(led):
            break
        # A topic just created has its leaders a moment later.
        await asyncio.sleep(0.05 * (attempt + 1))
    partitions = described["partitions"]
    if len(partitions) != topic.partitions:
        text = f"has {len(partitions)} partitions, {topic.partitions} are needed; make it anew under another prefix"
        return Finding(name, "fail", text)
    replication = min(len(partition["replicas"]) for partition in partitions)
    wrong = await _wrong_configs(admin, name, _configs(topic, min(_REPLICATION, brokers)))
    if wrong and apply:
        changes = ConfigResource(ConfigResourceType.TOPIC, name, configs=_configs(topic, min(_REPLICATION, brokers)))
        # What the topic has now would not tell: the change reaches the broker a moment after the answer.
        answers = await admin.alter_configs([changes])
        refused = [error for answer in answers for error in answer.resources if error[0]]
        if refused:
            return Finding(name, "fail", f"could not be changed: {refused[0][1] or refused[0][0]}")
        wrong = []
    if wrong:
        return Finding(name, "fail", "; ".join(wrong) + "; run `trackway topics --apply`")
    if replication < _REPLICATION:
        text = f"is kept on {replication} of {brokers} brokers; only {_REPLICATION} survive the loss of one"
        return Finding(name, "warn", text)
    return Finding(name, "ok", f"{topic.partitions} partitions on {replication} brokers each")


async def _wrong_configs(admin: AIOKafkaAdminClient, name: str, wanted: dict[str, str]) -> list[str]:
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    found = {entry[0]: entry[1] for answer in answers for resource in answer.resources for entry in resource[4]}
    return [f"{key} is {found.get(key)}, not {value}" for key, value in wanted.items() if found.get(key) != value]
