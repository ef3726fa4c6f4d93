"""A proxy before the collector that loses answers, as a balancer does whose time runs out."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


class Lossy:
    """Answers 503 to the first request though the collector has taken it, 503 to the second, and then passes on.

    `retries`: what requests said of themselves in `X-Retry-Count`.
    """

    def __init__(self, collector: str) -> None:
        self.retries: list[int] = []
        self._to = urlsplit(collector)
        self._seen = 0
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if retry := self.headers.get("x-retry-count"):
                    proxy.retries.append(int(retry))
                status, content = proxy.pass_on(self.path, dict(self.headers), body)
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def pass_on(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        with self._lock:
            self._seen += 1
            number = self._seen
        if number == 2:
            return 503, b""
        connection = http.client.HTTPConnection(self._to.hostname or "", self._to.port, timeout=30)
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        return (503, b"") if number == 1 else (answer.status, content)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def losing(collector: str) -> Iterator[Lossy]:
    """The proxy for the length of the block."""
    proxy = Lossy(collector)
    try:
        yield proxy
    finally:
        proxy.close()
