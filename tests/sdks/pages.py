"""A website for the vendors' browser SDKs: pages that a test writes, and the files of the installed packages."""

from __future__ import annotations

import contextlib
import http.client
import mimetypes
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.sdks.running import HERE

PAGE = '<!doctype html><html lang="de-CH"><head><meta charset="utf-8"><title>{title}</title>{head}</head><body></body>'


class Passed(NamedTuple):
    """A request that was passed on: its path without the query, the bytes of its body."""

    method: str
    path: str
    bytes: int


class Pages:
    """`/sdk/<folder>/<path>` are the files of `tests/sdks/node/<folder>`; everything else is what `put` gave.

    A path in `behind` is passed on to the server of that URL, as a site's own web server does; `passed` are the
    requests that were."""

    def __init__(self) -> None:
        self.behind: dict[str, str] = {}
        self.passed: list[Passed] = []
        self._pages: dict[str, str] = {}
        pages = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers.get("content-length", 0)))
                path = self.path.partition("?")[0]
                pages.passed.append(Passed(self.command, path, len(content)))
                to = urlsplit(pages.behind[path])
                connection = http.client.HTTPConnection(to.hostname or "", to.port, timeout=30)
                connection.request(self.command, self.path, content, dict(self.headers.items()))
                answer = connection.getresponse()
                body = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("date", "server", "connection"):
                        self.send_header(name, value)
                with contextlib.suppress(ConnectionError):  # the page may have gone
                    self.end_headers()
                    self.wfile.write(body)
                connection.close()

            def do_GET(self) -> None:
                if self.path.partition("?")[0] in pages.behind:
                    self.do_POST()
                    return
                found = pages._find(self.path.partition("?")[0])
                status, content_type, body = (200, *found) if found else (404, "text/plain", b"")
                self.send_response(status)
                self.send_header("content-type", content_type)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def put(self, path: str, head: str, title: str = "Zelte für Ærø 🚲") -> str:
        """Serve a page with `head` in its head; its URL."""
        self._pages[path] = PAGE.format(title=title, head=head)
        return self.url + path

    def _find(self, path: str) -> tuple[str, bytes] | None:
        if path in self._pages:
            return "text/html; charset=utf-8", self._pages[path].encode()
        file = HERE / "node" / path.removeprefix("/sdk/")
        if not file.suffix:
            # Some packages' modules name each other as bundlers understand it.
            file = file.with_suffix(".js")
        if path.startswith("/sdk/") and ".." not in path and file.is_file():
            return mimetypes.guess_type(file.name)[0] or "application/octet-stream", file.read_bytes()
        return None

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def serving_pages() -> Iterator[Pages]:
    """For the length of the block."""
    pages = Pages()
    try:
        yield pages
    finally:
        pages.close()
