"""A load of its own: many kept-alive connections, each sending events it has numbered, at a steady rate over all.

One connection is one visitor, and has one request in flight: its events have an order. A sender of the careful kind
sends again, under the same ids, what was not answered with 200, as SDKs do; the careless kind goes on with the next.
"""

from __future__ import annotations

import asyncio
import threading
import time
from types import TracebackType
from typing import Any, Self

import orjson
import uvloop

from tests.soak.http_client import Client, Failed
from tests.soak.report import Asked, Report, Try

# No request is waited for longer; nobody's patience ends here, the test's does.
_ANSWER_SECONDS = 60.0
_RECONNECT_SECONDS = 0.5
_MOST_BEHIND = 1.0
# Each visitor makes two profiles, one before and one after its sign-in, and the API shows 200.
_MOST_CONNECTIONS = 100
# What becomes of the events of one connection, in turns; the rest are plain events.
_TURN, _IDENTIFY, _ORDER, _AGAIN = 50, 3, 7, 49


class Load:
    """Sends from entering to `stop`, in a thread of its own. `report` is to be read once it has stopped."""

    def __init__(
        self, url: str, rate: float, *, connections: int = 100, careful: bool = True, name: str = "load"
    ) -> None:
        assert connections <= _MOST_CONNECTIONS
        host, _, port = url.removeprefix("http://").partition(":")
        self._at = host, int(port)
        self._gap = connections / rate
        self._connections = connections
        self._careful = careful
        self._name = name
        self.report = Report(careful=careful)
        self._stopping = threading.Event()
        self._give_up = float("inf")
        self._thread = threading.Thread(target=self._run, name="load")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._thread.is_alive():
            self.stop(0 if error else 30)

    def stop(self, patience: float = 30) -> Report:
        """Send nothing new; what is under way is sent again until it is answered, for `patience` seconds at most."""
        self._give_up = time.monotonic() + patience
        self._stopping.set()
        self._thread.join(patience + _ANSWER_SECONDS + 10)
        assert not self._thread.is_alive(), "the load did not end"
        return self.report

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._send_all())

    async def _send_all(self) -> None:
        begun = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(self._connections):
                group.create_task(self._sender(number, begun + self._gap * number / self._connections))

    async def _sender(self, connection: int, due: float) -> None:
        client = Client(*self._at)
        number = 0
        try:
            while not self._stopping.is_set():
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if self._stopping.is_set():
                    return
                again = number % _TURN == _AGAIN
                event = self._event(connection, number - 1 if again else number)
                asked = Asked(connection, number, event["messageId"], again, due)
                self.report.asked.append(asked)
                await self._until_answered(client, asked, orjson.dumps({"batch": [event]}))
                number += 1
                # What could not be sent for long is not made up for: the rate is a rate.
                due = max(due + self._gap, time.monotonic() - _MOST_BEHIND)
        finally:
            client.close()

    async def _until_answered(self, client: Client, asked: Asked, body: bytes) -> None:
        while True:
            begun, life = time.monotonic(), self.report.life
            wait = _RECONNECT_SECONDS
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    status, headers, content = await client.post("/v1/batch", body)
            except Failed as failed:
                asked.tries.append(Try(begun, time.monotonic(), life, failure=failed.how))
            except TimeoutError:
                client.close()
                asked.tries.append(Try(begun, time.monotonic(), life, failure="no answer"))
            else:
                tried = Try(begun, time.monotonic(), life, status=status)
                asked.tries.append(tried)
                if status == 200:
                    (asked.receipt,) = orjson.loads(content)["receipts"]
                    return
                wait = float(headers.get("retry-after", _RECONNECT_SECONDS))
            if not self._careful:
                return
            if time.monotonic() + wait > self._give_up:
                return
            await asyncio.sleep(wait)

    def _event(self, connection: int, number: int) -> dict[str, Any]:
        event: dict[str, Any] = {
            "messageId": f"{self._name}-{connection}-{number}",
            "anonymousId": f"{self._name}-visitor-{connection}",
            "type": "track",
            "event": "Numbered",
            "properties": {"n": number},
        }
        if number % _TURN == _IDENTIFY:
            event |= {"type": "identify", "userId": f"{self._name}-user-{connection}"}
        elif number % _TURN == _ORDER:
            products = [{"product_id": "p", "price": 1}]
            order = {"order_id": event["messageId"], "currency": "EUR", "products": products, "n": number}
            event |= {"event": "Order Completed", "properties": order}
        return event


def is_order(event_id: str) -> bool:
    """Whether the event of this id is an order, of one euro."""
    return int(event_id.rpartition("-")[2]) % _TURN == _ORDER
