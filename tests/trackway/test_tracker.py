"""The tracker on a real page in a real browser, its events in the log."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from tests.tracker.waiting import wait_until
from tests.trackway.processes import collecting, stored

PAGE = """<!doctype html><title>Shoes</title>
<button id=accept onclick="trackway('consent', 'granted')">Accept</button>
<button id=buy onclick="trackway('track', 'buy', {order_id: 'O-1', currency: 'EUR', products:
  [{product_id: 'SKU-1', price: 89.9, quantity: 2}]}).then((receipt) => document.title = receipt.status)">Buy</button>
<button id=on onclick="history.pushState(null, '', '/basket?email=a@b.example')">On</button>
<script src="%s/tw/t.js" data-key="wk_shop" async></script>"""


class Shop:
    """A site of one page on an origin of its own."""

    def __init__(self) -> None:
        self.page = b""
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = shop.page if self.path != "/favicon.ico" else b""
                self.send_response(200)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop()
    yield shop
    shop.close()


def test_a_visit_ends_in_the_log_and_nothing_before_consent(config: Path, shop: Shop, chromium: str) -> None:
    config.write_text(config.read_text().replace("https://shop.example", shop.origin))
    with collecting(config) as url, sync_playwright() as playwright:
        shop.page = PAGE.replace("%s", url).encode()
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        methods: list[str] = []
        page.on("request", lambda request: methods.append(request.method))
        page.goto(shop.origin + "/shoes?utm_source=mail&token=secret")
        page.wait_for_function("window.trackway && trackway.version")
        page.click("#buy")
        page.wait_for_function("document.title === 'held'")
        assert set(methods) == {"GET"}
        assert page.evaluate("localStorage.length") == 0
        assert stored(config) == []

        page.click("#accept")
        page.click("#on")
        wait_until(page, "trackway.status().then(({view}) => view.view_id.endsWith('.2'))")
        page.click("#buy")
        # The same order again: the same id, so it counts once.
        page.wait_for_function("document.title === 'duplicate' || document.title === 'accepted'")
        wait_until(page, "trackway.status().then(({queued}) => !queued)")
        browser.close()
    events = sorted(stored(config), key=lambda event: event["client"]["seq"])
    assert [event["name"] for event in events if event["name"] != "consent"] == ["pageview", "buy", "pageview"]
    assert [event["name"] for event in events].count("consent") == 1
    first, buy, second = (event for event in events if event["name"] != "consent")
    assert first["page"]["url"] == shop.origin + "/shoes?utm_source=mail"
    assert first["campaign"]["source"] == "mail"
    assert second["page"]["path"] == "/basket"
    assert second["page"]["referrer"].startswith(shop.origin + "/shoes")
    assert buy["items"][0]["product_id"] == "SKU-1"
    assert {event["channel"] for event in events} == {"web"}
    assert len({event["anonymous_id"] for event in events}) == 1
