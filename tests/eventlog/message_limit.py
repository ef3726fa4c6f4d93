"""A topic that takes smaller records than ours, as somebody else's hand may leave it."""

from __future__ import annotations

import asyncio

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from eventlog.connection import connection_options
from eventlog.provision import provision
from eventlog.settings import LogSettings


async def set_message_limit(settings: LogSettings, topic: str, size: int) -> None:
    """Set `max.message.bytes` of the first topic of the table."""
    admin = AIOKafkaAdminClient(**connection_options(settings))
    await admin.start()
    limit = ConfigResource(ConfigResourceType.TOPIC, topic, configs={"max.message.bytes": str(size)})
    await admin.alter_configs([limit])
    await admin.close()
    # It is answered before it is so.
    for _ in range(100):
        if (await provision(settings, apply=False))[0].level == "fail":
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the limit never came into force")
