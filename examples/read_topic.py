"""Read the events from Kafka, each once: `python examples/read_topic.py HOST:PORT [TOPIC] [HOW_MANY]`.

A collector that dies while a batch is unanswered may leave an event in the topic twice: both carry the same source
and id, so whoever must count once keeps those.
"""

import asyncio
import json
import sys

from aiokafka import AIOKafkaConsumer


async def main(bootstrap: str, topic: str, how_many: int) -> None:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    seen: set[tuple[str, str]] = set()
    try:
        async for message in consumer:
            event = json.loads(message.value)
            if (event["source"], event["id"]) in seen:
                continue
            seen.add((event["source"], event["id"]))
            print(json.dumps({"name": event["name"], "id": event["id"], "offset": message.offset}), flush=True)
            if len(seen) == how_many:
                return
    finally:
        await consumer.stop()


if __name__ == "__main__":
    given = sys.argv[1:]
    asyncio.run(main(given[0], given[1] if len(given) > 1 else "trackway.events.v1", int((given[2:] or ["0"])[0])))
