"""An HTTP endpoint that serves pages with the tracker, records what it sends, and fails on demand."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).parents[2] / "static" / "tracker.js"
LINE = '<script src="/tw/t.js" data-key="wk_shop" {attributes} async></script>'

Fault = Callable[[dict[str, Any]], "tuple[int, dict[str, str], bytes]"]


def answer(status: int, body: Any = None, **headers: str) -> Fault:
    """A fault: this status and JSON body, whatever was sent. Header names are written with `_`."""
    written = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: (status, written, b"" if body is None else json.dumps(body).encode())


def accept(sent: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    receipts = [{"id": event["messageId"], "status": "accepted"} for event in sent["batch"]]
    return 200, {}, json.dumps({"success": True, "receipts": receipts}).encode()


class Recorder:
    """`batches` are the bodies taken with 2xx, `tries` all bodies, `faults` the answers to the next tries."""

    def __init__(self) -> None:
        self.attributes = ""
        self.head = ""
        self.batches: list[dict[str, Any]] = []
        self.tries: list[tuple[float, dict[str, Any], dict[str, str]]] = []
        self.faults: deque[Fault] = deque()
        self._changed = threading.Condition()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every event that was taken, in the order of arrival, each id once."""
        found: dict[str, dict[str, Any]] = {}
        for batch in self.batches:
            for event in batch["batch"]:
                found.setdefault(event["messageId"], event)
        return list(found.values())

    @property
    def names(self) -> list[str]:
        return [event.get("event") or event["type"] for event in self.events]

    def named(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if (event.get("event") or event["type"]) == name]

    def wait(self, condition: Callable[[], object], seconds: float = 15) -> None:
        """Until `condition` holds; fails after `seconds`."""
        with self._changed:
            held = self._changed.wait_for(condition, seconds)
        assert held, f"not reached in {seconds} s; arrived: {self.names}, tries: {len(self.tries)}"

    def start(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """From now on connections are refused."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def page(self) -> str:
        script = LINE.format(attributes=self.attributes)
        return f"<!doctype html><title>Page</title>{self.head}{script}<h1>Page</h1>"

    def take(self, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        sent = json.loads(body)
        with self._changed:
            fault = self.faults.popleft() if self.faults else accept
            self.tries.append((time.monotonic(), sent, headers))
            self._changed.notify_all()
        status, extra, content = fault(sent)
        with self._changed:
            if status < 300:
                self.batches.append(sent)
            self._changed.notify_all()
        return status, extra, content

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            # Without kept-alive connections a stopped server refuses at once.
            protocol_version = "HTTP/1.0"

            def do_GET(self) -> None:
                if self.path == "/tw/t.js":
                    self.reply(200, {"content-type": "text/javascript"}, SCRIPT.read_bytes())
                elif self.path == "/favicon.ico":
                    self.reply(404, {}, b"")
                else:
                    self.reply(200, {"content-type": "text/html; charset=utf-8"}, recorder.page().encode())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self.reply(*recorder.take(body, {name.lower(): value for name, value in self.headers.items()}))

            def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
                try:
                    self.send_response(status)
                    shared = {"access-control-allow-origin": "*", "access-control-expose-headers": "retry-after"}
                    for name, value in {**shared, "cache-control": "no-store", **headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(body)
                except ConnectionError:
                    pass  # the page has gone

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler
