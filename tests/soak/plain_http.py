"""A connection that says exactly what it is told to, and counts what comes back."""

from __future__ import annotations

import json
import socket
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.soak.malformed import Request

SECONDS = 60


@dataclass
class Tally:
    """What a sender was answered: statuses, receipts by status and id; and what is wrong with that."""

    statuses: Counter[int] = field(default_factory=Counter)
    receipts: Counter[tuple[str, str]] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def add(self, request: Request, status: int, body: bytes) -> None:
        """Note one answer; status 0 where none came."""
        self.statuses[status] += 1
        if status >= 500 or (status == 0 and request.is_http):
            self.problems.append(f"{status}: {request.bytes()[:2000]!r} -> {body[:300]!r}")
        taken = status == 200 and request.method == b"POST" and request.is_ours
        receipts: list[dict[str, Any]] = json.loads(body)["receipts"] if taken else []
        accepted = {one["id"] for one in receipts if one["status"] == "accepted"}
        self.receipts.update((one["status"], one["id"]) for one in receipts)
        if not accepted.issuperset(request.must_keep):
            self.problems.append(f"a neighbour is lost: {request.bytes()[:2000]!r} -> {status} {body[:1000]!r}")
        for one in receipts:
            if one["status"] == "rejected" and not ((one.get("reason") and "path" in one) or one.get("message")):
                self.problems.append(f"no reason: {one}")


class Connection:
    """Sends one request after another; connects again where the other end closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self._left = b""

    def ask(self, request: Request) -> tuple[int, bytes]:
        """Status and body of the answer; (0, b"") where the connection ended without."""
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), SECONDS)
        try:
            self._socket.sendall(request.bytes())
            status, body, closing = self._answer(request.method == b"HEAD")
        except ConnectionError:
            status, body, closing = 0, b"", True
        # What stands behind a body of another length than said would be a request of its own.
        if closing or not request.is_http:
            self.close()
        return status, body

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket, self._left = None, b""

    def _answer(self, head_only: bool) -> tuple[int, bytes, bool]:
        head = self._until(b"\r\n\r\n").lower()
        status = int(head[9:12])
        if status == 100:
            return self._answer(head_only)
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        length = 0 if head_only or status in (204, 304) else length
        while len(self._left) < length:
            self._more()
        body, self._left = self._left[:length], self._left[length:]
        return status, body, b"connection: close" in head

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._left:
            self._more()
        head, _, self._left = self._left.partition(mark)
        return head + mark

    def _more(self) -> None:
        assert self._socket
        part = self._socket.recv(65_536)
        if not part:
            raise ConnectionResetError
        self._left += part
