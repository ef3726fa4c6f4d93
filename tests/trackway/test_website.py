"""`snippet` and `types`: what whoever makes a website is given."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from collector.script import Script
from exporter.snippet import STUB, STUB_HASH
from tests.trackway.commanding import commanding
from tests.trackway.processes import collecting, config_in
from trackway.event_types import EventTypes

# Checked by tsc beside the tracker's own types.
SAMPLE = Path(__file__).parents[2] / "static/types/test-events.d.ts"
# What a website sends under names of its own, and what of it may be in no type.
OWN: list[tuple[str, dict[str, Any]]] = [
    ("Read", {"title": "Ada's secret", "n": 3, "tags": ["a", "b"], "author": {"name": "Ada", "age": 36}}),
    ("Read", {"title": "Other", "n": 2.5, "share": True, "author": {"name": "Eve", "age": "36"}}),
    ("Video Played", {"seconds": 12, "ranges": [[0, 5], [7, 9]], "mixed": [1, "two"], "none": []}),
    ("Signed up", {}),
    ("Votes", {"ada@mail.example": 1, "12345678": 2, "total": 3}),
    ("Voted ada@mail.example", {"n": 1}),
    ("Counts", {f"c{n}x": n for n in range(150)}),
    ("Deep", {"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}}),
]


def made(events: list[tuple[str, dict[str, Any]]]) -> EventTypes:
    types = EventTypes()
    for name, properties in events:
        types.see(name, properties)
    return types


def test_types_tell_names_and_types_and_no_value() -> None:
    types = made(OWN)
    assert types.text() == SAMPLE.read_text(encoding="utf-8")
    assert (types.seen, types.left_out) == (8, 1)
    for value in ("Ada", "secret", "mail.example", "12345678", "36"):
        assert value not in types.text()


def test_types_do_not_depend_on_the_order_of_the_events() -> None:
    assert made(OWN[::-1]).text() == made(OWN).text()


def test_types_stay_bounded_whatever_is_sent() -> None:
    types = made([(f"event {n:x}".translate(str.maketrans("0123456789", "ghijklmnop")), {}) for n in range(2000)])
    assert types.text().count(": Record") == 500
    assert types.left_out == 500


def test_types_are_made_of_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = config_in(tmp_path)
    batch = [
        {"type": "track", "userId": "u", "event": "Read", "properties": {"n": 1}},
        {"type": "track", "userId": "u", "event": "Order Completed", "properties": {"order_id": "A-1"}},
        {"type": "identify", "userId": "u", "traits": {"email": "ada@mail.example"}},
        {"type": "page", "userId": "u", "name": "Shop"},
    ]
    with collecting(config) as url:
        assert httpx2.post(f"{url}/v1/batch", json={"batch": batch}, auth=("sk_shop", ""), timeout=30).is_success
    with commanding(config, capsys) as command:
        done = command("types", "--from", "start")
        assert done.out.endswith("interface TrackwayEvents {\n  Read: {\n    n: number;\n  };\n}\n")
        assert command("types", "--source", "shop").out == done.out
        none = command("types", "--source", "other")
        assert none.out.endswith("interface TrackwayEvents {\n}\n")
        assert "no event under a name of the website's own" in none.said


def test_the_snippet_is_the_file_that_is_served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = config_in(tmp_path)
    add_ons = ",".join(Script().add_ons)
    with commanding(config, capsys) as command, collecting(config) as url:
        for chosen in [(), ("--with", add_ons)] if add_ons else [()]:
            told = json.loads(command("snippet", "--json", *chosen).out)
            found = re.fullmatch(
                r'<script src="(/tw/t\.js\S*)" data-key="wk_shop" integrity="sha384-(\S+)" async></script>',
                told["script"],
            )
            assert found, told
            served = httpx2.get(url + found[1], timeout=30).content
            assert base64.b64encode(hashlib.sha384(served).digest()).decode() == found[2]
            assert told["csp"] == f"script-src 'self' '{STUB_HASH}'; connect-src 'self'"


def test_a_snippet_for_another_host_names_it_and_lets_the_browser_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_in(tmp_path)
    with commanding(config, capsys) as command:
        script, stub, csp = command("snippet", "--host", "https://t.shop.example/").out.splitlines()
        assert script.startswith('<script src="https://t.shop.example/tw/t.js" data-key="wk_shop" integrity="sha384-')
        assert script.endswith('" crossorigin="anonymous" async></script>')
        assert stub == f"<script>{STUB}</script>"
        assert csp == f"script-src https://t.shop.example '{STUB_HASH}'; connect-src https://t.shop.example"
        # The site's own host: nothing is of another origin.
        assert "crossorigin" not in command("snippet", "--host", "https://shop.example").out
        with config.open("a") as file:
            file.write("public_url: https://t.shop.example\ntracker: {prefix: /own}\n")
        assert '<script src="https://t.shop.example/own/t.js"' in command("snippet").out


def test_a_snippet_that_cannot_be_made_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = config_in(tmp_path)
    with commanding(config, capsys) as command:
        refused = command.run("snippet", "--with", "shpo")
        assert (refused.code, "'shpo' is no add-on of the tracker; known: " in refused.said) == (2, True)
        refused = command.run("snippet", "--host", "t.shop.example")
        assert (refused.code, "write it as https://" in refused.said) == (2, True)
        refused = command.run("snippet", "--source", "shpo")
        assert (refused.code, "no source of this name has a browser_key; known: shop" in refused.said) == (2, True)
        config.write_text(config.read_text() + "  other: {browser_key: wk_other, origins: [https://o.example]}\n")
        refused = command.run("snippet")
        assert (refused.code, "choose by --source: shop, other" in refused.said) == (2, True)
        assert 'data-key="wk_other"' in command("snippet", "--source", "other").out


def test_the_docs_show_the_stub_and_its_hash() -> None:
    page = Path("docs/tracker.md").read_text(encoding="utf-8")
    assert f"<script>{STUB}</script>" in page
    assert f"'{STUB_HASH}'" in page
