"""A proxy before the collector that loses answers, as a balancer does whose time runs out."""

from __future__ import annotations

import contextlib
import http.client
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

_HOP_BY_HOP = frozenset(("connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"))


class Seen(NamedTuple):
    """A request that carried events, and the status its sender was answered."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    status: int


class Lossy:
    """Of the requests that carry events it answers 503 to the first though the collector has taken it, 503 to the
    second without asking the collector, and passes on the others, and whatever is asked before and beside them."""

    def __init__(self, collector: str, carries: Callable[[str, str], bool], keystore: Path | None = None) -> None:
        self.seen: list[Seen] = []
        self._to = urlsplit(collector)
        self._carries = carries
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, answered, content = proxy.pass_on(self.command, self.path, headers, body)
                self.send_response(status)
                for name, value in answered:
                    if name.lower() not in _HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_OPTIONS = handle_any  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http{'s' if keystore else ''}://127.0.0.1:{self._server.server_address[1]}"
        if keystore:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(keystore)
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def pass_on(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        lost = -1
        if method != "OPTIONS" and self._carries(method, target):
            with self._lock:
                lost = len(self.seen)
                self.seen.append(Seen(method, target, headers, body, 503))
        # The answer's headers are the collector's in any case: a browser reads no status without those of CORS.
        asked = ("OPTIONS", b"") if lost == 1 else (method, body)
        connection = http.client.HTTPConnection(self._to.hostname or "", self._to.port, timeout=30)
        try:
            sent = {name: value for name, value in headers.items() if name not in ("host", "content-length")}
            connection.request(asked[0], target, asked[1], sent)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        status = answer.status
        if lost in (0, 1):
            status, content = 503, b'{"code":"lost","message":"lost","error":"lost","status":503}'
        elif lost > 1:
            with self._lock:
                self.seen[lost] = self.seen[lost]._replace(status=status)
        return status, answer.getheaders(), content

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def is_post(method: str, target: str) -> bool:
    return method == "POST"


@contextlib.contextmanager
def losing(
    collector: str, carries: Callable[[str, str], bool] = is_post, keystore: Path | None = None
) -> Iterator[Lossy]:
    """The proxy for the length of the block. `carries(method, target)`: whether a request carries events; `keystore`:
    the key and certificate of one that is asked by https."""
    proxy = Lossy(collector, carries, keystore)
    try:
        yield proxy
    finally:
        proxy.close()
