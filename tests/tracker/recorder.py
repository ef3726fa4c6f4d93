"""An HTTP endpoint that serves pages with the tracker, records what it sends, and fails on demand."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from collector.identity import set_ack
from collector.settings import Cookie

DIST = Path(__file__).parents[2] / "static" / "dist"
ADDONS = ("shop", "cmp", "engage", "auto", "debug")  # in the order in which they are joined
LINE = '<script src="/tw/t.js{query}" data-key="wk_shop" {attributes} async></script>'
EVENTS = "/tw/e"
ICON = '<link rel="icon" href="data:,">'  # saves a request a page

Reply = tuple[int, dict[str, str], bytes]
Fault = Callable[[dict[str, Any]], Reply]


class Try(NamedTuple):
    """One request with events: when it came (monotonic seconds), what it said, its headers (lower case)."""

    at: float
    sent: dict[str, Any]
    headers: dict[str, str]


class Other(NamedTuple):
    """Any other request of the site: pages, scripts, forms, preflights."""

    method: str
    path: str
    body: bytes


def answer(status: int, body: Any = None, **headers: str) -> Fault:
    """A fault: this status and JSON body (bytes as they are), whatever was sent. Header names are written with `_`."""
    written = {name.replace("_", "-"): value for name, value in headers.items()}
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return lambda _: (status, written, content)


def accept(sent: dict[str, Any]) -> Reply:
    receipts = [{"id": event["messageId"], "status": "accepted"} for event in sent["batch"]]
    return 200, {}, json.dumps({"success": True, "receipts": receipts}).encode()


def script(query: str) -> bytes:
    """The core, and the add-ons that `with=` names, as the collector joins them."""
    wanted = parse_qs(query).get("with", [""])[0].split(",")
    names = ["core", *(name for name in ADDONS if name in wanted)]
    return b"\n".join((DIST / f"{name}.js").read_bytes() for name in names)


def messages(batch: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages of a body, each with the whole context: what all share stands once, in the batch's."""
    shared = batch.get("context", {})
    return [{**one, "context": {**shared, **one.get("context", {})}} for one in batch["batch"]]


class Recorder:
    """`batches` are the bodies taken with 2xx, `tries` all bodies, `raw` the same unread, `faults` the answers to the
    next tries, `always` the answer to all after them. `others` is whatever else was asked for.

    `pages` are bodies by path (any other path is a page with the tracker), `headers` those of every page, `delays` the
    seconds a path takes. While `hold` is cleared nothing with events is answered. `acknowledges`: by cookie.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        self.attributes = ""
        self.addons = ""
        self.head = ""
        self.body = "<h1>Page</h1>"
        self.pages: dict[str, str] = {}
        self.headers: dict[str, str] = {}
        self.batches: list[dict[str, Any]] = []
        self.tries: list[Try] = []
        self.raw: list[bytes] = []
        self.others: list[Other] = []
        self.delays: dict[str, float] = {}
        self.hold = threading.Event()
        self.hold.set()
        self.acknowledges = True
        self.faults: deque[Fault] = deque()
        self.always: Fault = accept
        self._changed = threading.Condition()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every event that was taken, in the order of arrival, each id once, with its whole context."""
        found: dict[str, dict[str, Any]] = {}
        for batch in list(self.batches):
            for event in messages(batch):
                found.setdefault(event["messageId"], event)
        return list(found.values())

    @property
    def names(self) -> list[str]:
        return [name_of(event) for event in self.events]

    @property
    def arrivals(self) -> Counter[str]:
        """How often each name was taken: each time its id came in a body of its own counts."""
        return Counter(name_of(event) for batch in list(self.batches) for event in batch["batch"])

    @property
    def resent(self) -> int:
        """Bodies and events that came again: raw bodies seen before, and ids that an earlier body already had."""
        ids = Counter(event["messageId"] for one in list(self.tries) for event in one.sent["batch"])
        return ids.total() - len(ids)

    @property
    def preflights(self) -> list[Other]:
        return [one for one in self.others if one.method == "OPTIONS"]

    def named(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if name_of(event) == name]

    def wait(self, condition: Callable[[], object], seconds: float = 15) -> None:
        """Until `condition` holds; fails after `seconds`."""
        with self._changed:
            held = self._changed.wait_for(condition, seconds)
        assert held, f"not reached in {seconds} s; arrived: {self.names}, tries: {len(self.tries)}"

    def start(self) -> None:
        self._server = ThreadingHTTPServer((self.host, self.port), handler(self))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """From now on connections are refused."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def tag(self) -> str:
        """The line a site owner pastes."""
        return LINE.format(query=f"?with={self.addons}" if self.addons else "", attributes=self.attributes)

    def page(self) -> str:
        return f"<!doctype html><title>Page</title>{ICON}{self.head}{self.tag()}{self.body}"

    def asked(self, method: str, path: str, body: bytes = b"") -> Reply:
        """Any request but one with events."""
        with self._changed:
            self.others.append(Other(method, path, body))
            self._changed.notify_all()
        parts = urlsplit(path)
        time.sleep(self.delays.get(parts.path, 0))
        if method == "OPTIONS":
            return 204, {"access-control-allow-headers": "*"}, b""
        if parts.path in ("/tw/t.js", "/tracker.js"):
            return 200, {"content-type": "text/javascript", "cache-control": "max-age=3600"}, script(parts.query)
        if parts.path == "/favicon.ico":
            return 404, {}, b""
        content = self.pages.get(parts.path) or self.page()
        return 200, {"content-type": "text/html; charset=utf-8", **self.headers}, content.encode()

    def take(self, body: bytes, headers: dict[str, str]) -> Reply:
        """A request with events."""
        sent = json.loads(body)
        with self._changed:
            fault = self.faults.popleft() if self.faults else self.always
            self.raw.append(body)
            self.tries.append(Try(time.monotonic(), sent, headers))
            self._changed.notify_all()
        self.hold.wait(60)
        status, extra, content = fault(sent)
        if status < 300 and "ack" in sent and self.acknowledges:
            extra = {**extra, "set-cookie": ack_cookie(sent["ack"], headers.get("cookie"))}
        with self._changed:
            if status < 300:
                self.batches.append(sent)
            self._changed.notify_all()
        return status, extra, content


def name_of(message: dict[str, Any]) -> str:
    return str(message.get("event") or message["type"])


def ack_cookie(batch: str, cookies: str | None) -> str:
    """Tells the next page that this batch was taken, as the collector does."""
    return set_ack(batch, cookies, Cookie(), round(time.time() * 1000), False)


def handler(recorder: Recorder) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        # Without kept-alive connections a stopped server refuses at once.
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            self.reply(*recorder.asked("GET", self.path))

        def do_OPTIONS(self) -> None:
            self.reply(*recorder.asked("OPTIONS", self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path != EVENTS:
                self.reply(*recorder.asked("POST", self.path, body))
            elif len(body) == int(self.headers["content-length"]):
                self.reply(*recorder.take(body, {name.lower(): value for name, value in self.headers.items()}))

        def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
            try:
                self.send_response(status)
                # `no-store` would keep pages out of the back-forward cache.
                shared = {"cache-control": "no-cache", "vary": "origin"}
                if origin := self.headers.get("origin"):
                    shared |= {
                        "access-control-allow-origin": origin,
                        "access-control-allow-credentials": "true",
                        "access-control-expose-headers": "retry-after",
                    }
                for name, value in {**shared, **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
            except ConnectionError:
                pass  # the page has gone

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
