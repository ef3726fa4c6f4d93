"""The CDP's Streaming API: `POST {endpoint}/stream/{account}`, a JSON array of flat objects.

What an answer means: 2xx accepted; network, 408, 425, 429 and 5xx: the whole batch again, with growing waits; 400 and
422: the batch is halved until the bad rows stand alone; 413: the same, and later requests are half as large; anything
else (401, 403, 404, redirects): wrong account or stream, nothing more is sent.
"""

from __future__ import annotations

import asyncio
import random
import re
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

import httpx2
import orjson
import structlog

from eventlog.timestamps import now_ms
from exporter.lease import pause

_log = structlog.get_logger(__name__)

_AGAIN: Final = frozenset({408, 425, 429})
_ROWS_AT_FAULT: Final = frozenset({400, 413, 422})
# Answers given before anything was read: the rows were surely not kept.
_SURELY_NOT_KEPT: Final = frozenset({425, 429, 503})
_NEVER_SENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)

# A Retry-After longer than this is left to the next run.
MAX_RETRY_AFTER: Final = 900.0
# Requests spent on finding the bad rows of one batch; what is refused after that is refused together.
MAX_SEARCH: Final = 200
_MAX_ANSWER_BYTES: Final = 64 * 1024
_MAX_REASON: Final = 200
_EMAIL: Final = re.compile(r"[^\s@\"'<>,;:]+@[^\s@\"'<>,;:]+")

Origin = Literal["CDP", "network", "Trackway"]


class Row(NamedTuple):
    """One row as it is sent: a JSON object in `body`; `label` is the caller's."""

    label: int
    body: bytes


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row the CDP would not have: `status` of its answer, `reason` without the row's own values."""

    row: Row
    status: int
    reason: str


@dataclass(slots=True)
class Delivery:
    """What became of rows given to `Stream.send`. `waited` is in seconds, `bytes` counts every request's body."""

    accepted: list[Row] = field(default_factory=list)
    refused: list[RefusedRow] = field(default_factory=list)
    unknown: list[Row] = field(default_factory=list)
    requests: int = 0
    retries: int = 0
    bytes: int = 0
    waited: float = 0.0


class StreamError(Exception):
    """Nothing more can be sent now. `delivery` tells what became of the rows until then."""

    def __init__(self, message: str, origin: Origin, delivery: Delivery) -> None:
        super().__init__(message)
        self.origin = origin
        self.delivery = delivery


class StreamClosed(StreamError):  # noqa: N818 - states of the stream, as the next two
    """The CDP does not know account or stream: trying again changes nothing."""


class StreamUnavailable(StreamError):  # noqa: N818
    """The CDP could not be reached, or could not answer, in all the tries."""


class StreamStopped(StreamError):  # noqa: N818
    """We are stopping: what was not sent yet is not sent."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where rows go and how patiently. Times in seconds."""

    url: str
    stream_id: str = field(repr=False)
    draft: bool
    timeout: float = 30.0
    tries: int = 8
    first_wait: float = 1.0
    longest_wait: float = 60.0
    # What to do with rows whose request may or may not have been carried out: send them again, or let them be.
    resend_unknown: bool = True


@dataclass(slots=True)
class _Answer:
    status: int
    reason: str
    retry_after: float


@dataclass(slots=True)
class _Attempt:
    """What the tries at one request have come to. `doubt`: one of them may have been carried out all the same."""

    problem: str = ""
    origin: Origin = "network"
    closed: str = ""
    retry_after: float = 0.0
    doubt: bool = False


class Stream:
    """One stream of the CDP, for one run. `max_rows` and `max_bytes` bound each request."""

    def __init__(
        self,
        target: Target,
        max_rows: int,
        max_bytes: int,
        stop: asyncio.Event,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._target = target
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._stop = stop
        self._jitter = jitter
        self._searches = 0
        self._client: httpx2.AsyncClient | None = None

    async def close(self) -> None:
        """Let the connections go."""
        if self._client is not None:
            await self._client.aclose()

    async def send(self, rows: Sequence[Row]) -> Delivery:
        """Deliver the rows, in as many requests as the limits ask for. Raises StreamError: rows that its delivery does
        not name were surely not kept."""
        delivery = Delivery()
        self._searches = 0
        waiting = [list(rows)] if rows else []
        while waiting:
            rows_now = waiting.pop()
            count = self._fitting(rows_now)
            if count < len(rows_now):
                waiting.append(rows_now[count:])
                rows_now = rows_now[:count]
            answer = await self._deliver(rows_now, delivery)
            if answer is None:
                delivery.unknown.extend(rows_now)
            elif answer.status < 300:
                delivery.accepted.extend(rows_now)
            elif len(rows_now) == 1 or (answer.status != 413 and self._searches >= MAX_SEARCH):
                delivery.refused.extend(RefusedRow(row, answer.status, answer.reason) for row in rows_now)
            else:
                self._searches += 1
                if answer.status == 413:
                    self._shrink(rows_now)
                middle = len(rows_now) // 2
                waiting += [rows_now[middle:], rows_now[:middle]]
        return delivery

    def _connected(self) -> httpx2.AsyncClient:
        if self._client is None:
            target = self._target
            headers = {"x-streamid": target.stream_id, "content-type": "application/json", "user-agent": "trackway"}
            if target.draft:
                headers["x-isdraft"] = "true"
            # Connecting gives up a little earlier than the whole, so that what was surely not sent is known as such.
            timeout = httpx2.Timeout(target.timeout, connect=target.timeout * 0.9)
            verify = _certificates() if target.url.startswith("https:") else False
            self._client = httpx2.AsyncClient(verify=verify, timeout=timeout, headers=headers, follow_redirects=False)
        return self._client

    def _fitting(self, rows: Sequence[Row]) -> int:
        size = 1
        for count, row in enumerate(rows):
            size += len(row.body) + 1
            if count and (count >= self._max_rows or size > self._max_bytes):
                return count
        return len(rows)

    def _shrink(self, rows: Sequence[Row]) -> None:
        self._max_bytes = max(1024, min(self._max_bytes, sum(len(row.body) + 1 for row in rows)) // 2)
        self._max_rows = max(1, min(self._max_rows, len(rows)) // 2)

    async def _deliver(self, rows: Sequence[Row], delivery: Delivery) -> _Answer | None:
        """The CDP's verdict on the rows: 2xx, or a status that finds fault with them; None where the outcome is
        unknown and is to stay so."""
        body = b"[" + b",".join(row.body for row in rows) + b"]"
        attempt = _Attempt()
        try:
            for number in range(self._target.tries):
                if self._stop.is_set():
                    raise StreamStopped("the process is stopping", "Trackway", delivery)
                delivery.requests += 1
                delivery.retries += number > 0
                delivery.bytes += len(body)
                answer = await self._try(body, rows, attempt)
                if answer is not None:
                    return answer
                if attempt.doubt and not self._target.resend_unknown:
                    return None
                if attempt.closed:
                    raise StreamClosed(attempt.closed, "CDP", delivery)
                if number + 1 == self._target.tries or attempt.retry_after > MAX_RETRY_AFTER:
                    break
                await self._wait(number, attempt, delivery)
            asked = f"; it asked to wait {attempt.retry_after:.0f} s" if attempt.retry_after else ""
            tries = "1 try" if number == 0 else f"{number + 1} tries"
            message = f"the CDP did not take a batch in {tries}, the last: {attempt.problem}{asked}"
            raise StreamUnavailable(message, attempt.origin, delivery)
        except BaseException:
            if attempt.doubt:
                delivery.unknown.extend(rows)
            raise

    async def _try(self, body: bytes, rows: Sequence[Row], attempt: _Attempt) -> _Answer | None:
        """One request; None where there is no verdict, `attempt` says why."""
        attempt.retry_after = 0.0
        try:
            answer = await self._post(body, rows)
        except httpx2.HTTPError as error:
            attempt.problem, attempt.origin = f"no answer ({type(error).__name__})", "network"
            attempt.doubt = attempt.doubt or not isinstance(error, _NEVER_SENT)
            return None
        if answer.status < 300 or answer.status in _ROWS_AT_FAULT:
            return answer
        attempt.problem, attempt.origin = f"status {answer.status}", "CDP"
        if answer.status not in _AGAIN and answer.status < 500:
            attempt.closed = _closed(answer.status)
            return None
        attempt.doubt = attempt.doubt or answer.status not in _SURELY_NOT_KEPT
        attempt.retry_after = answer.retry_after
        return None

    async def _wait(self, number: int, attempt: _Attempt, delivery: Delivery) -> None:
        longest = min(self._target.longest_wait, self._target.first_wait * 2**number)
        seconds = max(attempt.retry_after, longest * self._jitter())
        stream = "…" + self._target.stream_id[-4:]
        _log.warning("cdp_retry", stream=stream, problem=attempt.problem, again_in=round(seconds, 1))
        delivery.waited += seconds
        await pause(self._stop, seconds)

    async def _post(self, body: bytes, rows: Sequence[Row]) -> _Answer:
        # One deadline for the whole exchange: the client's own is for each read, and a trickle would never end.
        try:
            async with (
                asyncio.timeout(self._target.timeout),
                self._connected().stream("POST", self._target.url, content=body) as response,
            ):
                said = b"" if response.is_success else await _beginning(response)
        except TimeoutError:
            raise httpx2.ReadTimeout("no answer in time") from None
        _log.debug("cdp_request", stream="…" + self._target.stream_id[-4:], rows=len(rows), status=response.status_code)
        reason = _reason(response.status_code, said, rows) if response.status_code in _ROWS_AT_FAULT else ""
        return _Answer(response.status_code, reason, _retry_after(response.headers.get("retry-after", "")))


@lru_cache(maxsize=1)
def _certificates() -> ssl.SSLContext:
    # Reading them costs a tenth of a second, more than the rest of a run that has little to send.
    return httpx2.create_ssl_context()


async def _beginning(response: httpx2.Response) -> bytes:
    said = b""
    async for chunk in response.aiter_bytes():
        said += chunk
        if len(said) >= _MAX_ANSWER_BYTES:
            break
    return said[:_MAX_ANSWER_BYTES]


def _closed(status: int) -> str:
    if status in {401, 403, 404}:
        what = {401: "does not accept the stream id", 403: "refuses access", 404: "does not know account or stream"}
        return (
            f"the CDP {what[status]} (status {status}); compare `account_number`, `endpoint` and `stream_id` with the "
            "dataflow in the CDP"
        )
    return f"the CDP answered with status {status}, which its Streaming API has no use for; is `endpoint` right?"


def _retry_after(text: str) -> float:
    """Seconds of a Retry-After header, which holds seconds or a date; 0 where it says nothing."""
    if text.strip().isdigit():
        return float(text.strip()[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.fromtimestamp(now_ms() / 1000, UTC)).total_seconds())


def _reason(status: int, said: bytes, rows: Sequence[Row]) -> str:
    """What the CDP said of the rows, shortened; only for a row that stands alone, and without its values."""
    if len(rows) != 1:
        return f"status {status}"
    text = _message(said)
    for value in sorted(_texts(orjson.loads(rows[0].body)), key=len, reverse=True):
        text = text.replace(value, "…")
    text = _EMAIL.sub("…", text)
    return f"status {status}: {' '.join(text.split())[:_MAX_REASON]}" if text.strip() else f"status {status}"


def _message(said: bytes) -> str:
    try:
        answer: Any = orjson.loads(said)
    except orjson.JSONDecodeError:
        return said.decode("utf-8", "replace")
    if isinstance(answer, dict):
        for name in ("message", "error", "detail", "title"):
            if isinstance(answer.get(name), str):
                return str(answer[name])
    return orjson.dumps(answer).decode()


def _texts(row: dict[str, Any]) -> list[str]:
    return [text for text in (str(value) for value in row.values() if value is not None) if len(text) > 2]
