"""HTTP connections within bounds: how many, how long their headers, how slow their senders and readers may be.

uvicorn's protocol knows none of these. What is asked for each request costs next to nothing while the request arrives
whole; one sweep a second looks at all connections for those that do not keep up.
"""

from __future__ import annotations

import asyncio
import math
import resource
from collections import Counter
from typing import Any, Final

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from collector.statuses import CODES, Code, problem
from trackway.limits import ConnectionLimits

_log = structlog.get_logger(__name__)

_SWEEP_SECONDS: Final = 1.0
# How often what was refused or cut is told of.
_TELL_SECONDS: Final = 60.0
# File descriptors: how many this process asks for, and how many are left for logs, stores, brokers and files.
_WANTED_FILES: Final = 65_536
_OTHER_FILES: Final = 128
# Requests sent ahead on one connection; each takes some kilobytes before its turn comes.
_MAX_AHEAD: Final = 8
# For how long, and for how many connections above the bound, a refused sender is listened to.
_LINGER_SECONDS: Final = 2.0
_LINGERING: Final = 256
# Of requests that came in shorter reads nobody adds up the headers.
_LONG_READ: Final = 4_096


class Connections:
    """The connections of one listener, and their limits. `counts`: those refused or cut, by reason."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.open: set[Connection] = set()
        # Those between two requests, the longest idle first.
        self.idle: dict[Connection, None] = {}
        self.counts: Counter[str] = Counter()
        self.most = min(limits.most, _files() - _OTHER_FILES)

    def protocol(self, **given: Any) -> Connection:
        """One more connection, as uvicorn makes them."""
        return Connection(self, **given)

    def make_room(self) -> bool:
        """Close the longest idle connection where there are too many; False where none is idle."""
        if len(self.open) <= self.most:
            return True
        longest = next(iter(self.idle), None)
        if longest is None:
            return False
        longest.end("idle")
        return True

    async def sweep(self) -> None:
        """Cut, once a second, what does not keep up; until cancelled."""
        loop = asyncio.get_running_loop()
        told, told_at = self.counts.copy(), loop.time()
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = loop.time()
            for one in list(self.open):
                one.cut_if_late(now)
            self._give_up_unread()
            if now - told_at >= _TELL_SECONDS and self.counts != told:
                _log.warning("connections_refused", **(self.counts - told))
                told, told_at = self.counts.copy(), now

    def _give_up_unread(self) -> None:
        """Answers nobody reads take memory: those that wait longest go first."""
        waiting = [one for one in self.open if one.unread()]
        unread = sum(one.unread() for one in waiting)
        for one in sorted(waiting, key=lambda each: each.unread_since):
            if unread <= self.limits.unread_bytes:
                return
            unread -= one.unread()
            one.abort("unread_answer")


class Connection(HttpToolsProtocol):
    """uvicorn's protocol, within the limits of `every`."""

    def __init__(self, every: Connections, **given: Any) -> None:
        super().__init__(**given)
        self.every = every
        # When what is under way must have arrived, by the loop's clock; infinite where nothing is.
        self.late_at = math.inf
        self.unread_since = math.inf
        self.in_headers = False
        self.header_bytes = 0
        self.last_read = 0
        self.is_refused = False
        # The request being answered; `cycle` is the one that came last.
        self.at_work: RequestResponseCycle | None = None

    # --- What asyncio and the parser call -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.every.open.add(self)
        self.late_at = self.loop.time() + self.every.limits.header_seconds
        if self.every.make_room():
            self.every.idle[self] = None
        else:
            self.refuse("too_many_connections")

    def connection_lost(self, exc: Exception | None) -> None:
        self.every.open.discard(self)
        self.every.idle.pop(self, None)
        self._let_go()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.is_refused:
            return
        self.every.idle.pop(self, None)
        self._unset_keepalive_if_required()
        was_in_headers, self.last_read = self.in_headers, len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # what is asked for by `Upgrade` may always be answered as HTTP/1.1
        except httptools.HttpParserError:
            self.refuse("bad_request")
            return
        if self.in_headers:
            self.header_bytes = self.header_bytes + len(data) if was_in_headers else self._size_of_headers()
            if self.late_at == math.inf:
                self.late_at = self.loop.time() + self.every.limits.header_seconds
            self._check_headers(self.header_bytes)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.in_headers = True

    def on_headers_complete(self) -> None:
        if self.last_read + self.header_bytes > _LONG_READ or len(self.headers) > self.every.limits.headers:
            self._check_headers(self._size_of_headers())
        if len(self.pipeline) >= _MAX_AHEAD:
            self.refuse("bad_request")
        if self.is_refused:
            raise _StopReading
        self.in_headers, self.header_bytes = False, 0
        self.late_at = self.loop.time() + self.every.limits.body_seconds
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.at_work = cycle
        super()._start_asgi_task(cycle, app)

    def on_message_complete(self) -> None:
        self.late_at = math.inf
        super().on_message_complete()
        self._note_idle()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._note_idle()

    def _note_idle(self) -> None:
        if self.late_at == math.inf and self.cycle.response_complete and not self.transport.is_closing():
            self.every.idle[self] = None

    def _check_headers(self, size: int) -> None:
        limits = self.every.limits
        if size > limits.header_bytes or len(self.headers) > limits.headers:
            self.refuse("headers_too_large")

    def _size_of_headers(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    # --- What ends a connection ---------------------------------------------------------------------------------------

    def cut_if_late(self, now: float) -> None:
        """End the connection where its sender or its reader has had its time."""
        if now >= self.late_at:
            if self.is_refused:
                self.end("")
            elif self in self.every.idle:
                self.end("idle")  # connected, and never said a word
            else:
                self.refuse("slow_headers" if self.in_headers else "slow_body")
        if not self.unread():
            self.unread_since = math.inf
        elif self.unread_since == math.inf:
            self.unread_since = now
        elif now - self.unread_since >= self.every.limits.answer_seconds:
            self.abort("unread_answer")

    def unread(self) -> int:
        """Bytes of answers the other end has not taken yet."""
        size = self.transport.get_write_buffer_size()
        # While nothing more may be written the next answer waits, and it is seldom smaller than the last.
        return 2 * size if size and self.flow.write_paused else size

    def refuse(self, code: Code) -> None:
        """Read no further: answer so where an answer is due, and close."""
        if self.is_refused:
            return
        self.is_refused = True
        self.every.counts[code] += 1
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            # A request that came whole is being worked on: its answer is the last.
            cycle.keep_alive, self.late_at = False, math.inf
            return
        if cycle is None or not cycle.response_started or (cycle.response_complete and not cycle.more_body):
            status, body = CODES[code].status, problem(code)
            head = b"content-type: application/json\r\nx-content-type-options: nosniff\r\nconnection: close\r\n"
            if status == 503:
                head += b"retry-after: 1\r\n"
            self.transport.write(STATUS_LINE[status] + head + b"content-length: %d\r\n\r\n%s" % (len(body), body))
        self.every.idle.pop(self, None)
        self._let_go()
        if len(self.every.open) > self.every.most + _LINGERING:
            self.transport.close()
            return
        # Closing while the other end still sends would take the answer from it: what it sends is thrown away a while.
        self.late_at = self.loop.time() + _LINGER_SECONDS
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def end(self, reason: str) -> None:
        """Close once what was answered is sent."""
        if reason:
            self.every.counts[reason] += 1
        self.every.idle.pop(self, None)
        self.late_at = math.inf
        self._let_go()
        self.transport.close()

    def abort(self, reason: str) -> None:
        """Close at once: the other end does not read."""
        self.every.counts[reason] += 1
        self.late_at = math.inf
        self._let_go()
        self.transport.abort()

    def _let_go(self) -> None:
        """Nothing more may be written, from now on: whoever answers a request of this connection is to know.
        `connection_lost` tells too late, and of requests sent ahead only the last."""
        for cycle in (self.at_work, self.cycle):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()


class _StopReading(Exception):  # noqa: N818 - goes through the parser, which ends there
    """The request was refused while its headers were read."""


def _files() -> int:
    """How many files this process may open: as many as it is allowed to ask for, within reason."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, _WANTED_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return _WANTED_FILES if soft == resource.RLIM_INFINITY else soft
