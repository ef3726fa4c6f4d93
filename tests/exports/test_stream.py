"""The Streaming API's client against the stand-in: what each answer means to the rows."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import orjson
import pytest

from exporter.cdp.stream import (
    MAX_RETRY_AFTER,
    Delivery,
    Row,
    Stream,
    StreamClosed,
    StreamError,
    StreamStopped,
    StreamUnavailable,
    Target,
)
from exporter.lease import pause
from tests.exports.receiving import Cdp, Meet


def rows(count: int, **more: Any) -> list[Row]:
    return [Row(number, orjson.dumps({"id": number, **more})) for number in range(count)]


def labels(kept: list[Row]) -> list[int]:
    return [row.label for row in kept]


def stream_to(cdp: Cdp, stop: asyncio.Event | None = None, **target: Any) -> Stream:
    given: dict[str, Any] = {"draft": False, "first_wait": 0.01, "longest_wait": 0.02, "tries": 3, "timeout": 5.0}
    made = Target(f"{cdp.url}/stream/12345", "stream-of-tests", **(given | target))
    return Stream(made, 500, 1024 * 1024, stop or asyncio.Event(), jitter=lambda: 1.0)


async def failing(stream: Stream, sent: list[Row]) -> StreamError:
    with pytest.raises(StreamError) as caught:
        await stream.send(sent)
    await stream.close()
    return caught.value


def test_rows_arrive_with_the_headers_of_a_draft_or_without(meet: Meet) -> None:
    async def scenario(cdp: Cdp) -> None:
        for draft in (True, False):
            stream = stream_to(cdp, draft=draft)
            delivery = await stream.send(rows(3))
            await stream.close()
            assert labels(delivery.accepted) == [0, 1, 2]
            assert len(await cdp.rows("stream-of-tests", draft=draft)) == 3
        assert (await stream.send([])) == Delivery()

    meet(scenario)


def test_requests_keep_to_the_limits_of_rows_and_bytes(meet: Meet) -> None:
    async def scenario(cdp: Cdp) -> None:
        target = Target(f"{cdp.url}/stream/1", "s", draft=False)
        by_rows, by_bytes = Stream(target, 2, 10_000, asyncio.Event()), Stream(target, 100, 250, asyncio.Event())
        assert (await by_rows.send(rows(5))).requests == 3
        # A hundred bytes a row; the last is larger than the limit and goes alone.
        delivery = await by_bytes.send([*rows(4, x="y" * 85), *rows(1, x="y" * 400)])
        assert (delivery.requests, len(delivery.accepted)) == (3, 5)
        await by_rows.close()
        await by_bytes.close()

    meet(scenario)


def test_waits_double_up_to_the_longest_and_are_counted(meet: Meet) -> None:
    async def scenario(cdp: Cdp) -> None:
        await cdp.faults({"status": 503})
        error = await failing(stream_to(cdp, tries=5), rows(2))
        assert isinstance(error, StreamUnavailable)
        assert (error.delivery.requests, error.delivery.retries) == (5, 4)
        assert error.delivery.waited == pytest.approx(0.01 + 0.02 + 0.02 + 0.02)
        # 503 is said before anything is read.
        assert error.delivery.unknown == []

    meet(scenario)


def test_a_wait_of_hours_is_left_to_the_next_run(meet: Meet) -> None:
    async def scenario(cdp: Cdp) -> None:
        await cdp.faults({"status": 429, "retry_after": int(MAX_RETRY_AFTER) + 1})
        error = await failing(stream_to(cdp), rows(2))
        assert error.delivery.requests == 1
        assert str(error) == "the CDP did not take a batch in 1 try, the last: status 429; it asked to wait 901 s"

    meet(scenario)


@pytest.mark.parametrize(
    ("fault", "unknown", "origin"),
    [
        ({"status": 500}, 2, "CDP"),
        ({"status": 408}, 2, "CDP"),
        ({"drop": True}, 2, "network"),
        ({"delay": 1}, 2, "network"),
        ({"status": 503}, 0, "CDP"),
    ],
)
def test_what_is_known_of_rows_nobody_answered_for(
    meet: Meet, fault: dict[str, Any], unknown: int, origin: str
) -> None:
    async def scenario(cdp: Cdp) -> None:
        await cdp.faults(fault)
        error = await failing(stream_to(cdp, tries=2, timeout=0.2 if "delay" in fault else 20.0), rows(2))
        assert isinstance(error, StreamUnavailable)
        assert (len(error.delivery.unknown), error.origin) == (unknown, origin)

    meet(scenario)


def test_rows_in_doubt_may_be_let_be(meet: Meet) -> None:
    async def scenario(cdp: Cdp) -> None:
        await cdp.faults({"status": 500, "keep": True, "times": 1})
        stream = stream_to(cdp, resend_unknown=False)
        delivery = await stream.send(rows(2))
        await stream.close()
        assert (labels(delivery.unknown), delivery.requests) == ([0, 1], 1)

    meet(scenario)


def test_a_closed_stream_leaves_rows_of_an_earlier_try_in_doubt(meet: Meet) -> None:
    async def scenario(cdp: Cdp) -> None:
        await cdp.faults({"drop": True, "keep": True, "times": 1}, {"status": 403})
        error = await failing(stream_to(cdp), rows(2))
        assert isinstance(error, StreamClosed)
        assert labels(error.delivery.unknown) == [0, 1]

    meet(scenario)


def test_a_row_that_is_too_large_alone_is_refused(meet: Meet) -> None:
    async def scenario(cdp: Cdp) -> None:
        await cdp.faults({"status": 413, "max_rows": 0})
        stream = stream_to(cdp)
        delivery = await stream.send(rows(2))
        await stream.close()
        assert [(one.row.label, one.status) for one in delivery.refused] == [(0, 413), (1, 413)]

    meet(scenario)


def test_reasons_hold_neither_values_of_the_row_nor_addresses(meet: Meet) -> None:
    async def scenario(cdp: Cdp) -> None:
        await cdp.faults({"status": 422})
        stream = stream_to(cdp)
        delivery = await stream.send(rows(1, email="ann@shop.example", name="Ann Lee"))
        await stream.close()
        reason = delivery.refused[0].reason
        assert reason.startswith("status 422: a fault was asked for")
        assert "Ann" not in reason
        assert "shop.example" not in reason

    meet(scenario)


def test_a_stop_ends_the_waiting_and_sends_no_more(meet: Meet) -> None:
    async def scenario(cdp: Cdp) -> None:
        stop = asyncio.Event()
        await cdp.faults({"status": 503, "retry_after": 600})
        sending = asyncio.create_task(failing(stream_to(cdp, stop), rows(2)))
        async with asyncio.timeout(20):
            while not (await cdp.http.get("/rows.json")).json()["refused_requests"]:
                await pause(None, 0.01)
        stop.set()
        error = await sending
        assert isinstance(error, StreamStopped)
        assert (error.delivery.requests, error.delivery.unknown) == (1, [])

    meet(scenario)


def test_a_date_as_retry_after_is_understood(meet: Meet) -> None:
    async def scenario(cdp: Cdp) -> None:
        past = format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)
        await cdp.faults({"status": 503, "retry_after": past, "times": 1})
        stream = stream_to(cdp)
        delivery = await stream.send(rows(1))
        await stream.close()
        assert (len(delivery.accepted), delivery.waited) == (1, 0.01)
        far = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
        await cdp.faults({"status": 503, "retry_after": far})
        assert (await failing(stream_to(cdp), rows(1))).delivery.requests == 1

    meet(scenario)
