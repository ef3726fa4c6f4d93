"""The pages and their twins: what they show, what they never show, who may see them."""

from __future__ import annotations

import html
import re
import shlex
import subprocess
import time
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import httpx2
import pytest

from eventlog.timestamps import format_ms, now_ms
from exporter.console.render import STATIC
from exporter.console.routes import PAGES
from tests.console.conftest import CANARY, HTML
from tests.console.seeds import event, outcome
from tests.console.site import SERVER_KEY, Site
from trackway.cli import parser

FATES = ("unchanged", "suppressed", "invalid", "sent")


def addresses(site: Site) -> dict[str, str]:
    """Each page's path and an address of it that exists here."""
    profile = site.back_end().get("/api/v1/profiles?limit=1").json()["profiles"][0]
    run = site.back_end().get("/api/v1/runs").json()["runs"][0]
    long_ago = "2026-01-01T00:00:00Z"
    return {
        "/console/start": f"/console/start?since={long_ago}",
        "/console/live": "/console/live",
        "/console/rejected": "/console/rejected",
        "/console/profiles": "/console/profiles",
        "/console/profiles/{id}": f"/console/profiles/{profile['id']}",
        "/console/exports": "/console/exports",
        "/console/runs/{id}": f"/console/runs/{run['id']}",
        "/console/events/{id:path}": "/console/events/the-order",
    }


def every_profile(site: Site) -> list[str]:
    found = site.back_end().get("/api/v1/profiles?limit=200").json()["profiles"]
    return [f"/console/profiles/{profile['id']}" for profile in found]


def twin(address: str) -> str:
    path, mark, query = address.partition("?")
    return f"{path}.json{mark}{query}"


class Outline(HTMLParser):
    """Counts what a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_every_page_is_tried_here(site: Site) -> None:
    assert set(addresses(site)) == {page.path for page in PAGES}


def test_pages_show_markup_as_text_and_no_personal_data(site: Site) -> None:
    visitor = site.visitor()
    seen_markup = 0
    for address in [*addresses(site).values(), *every_profile(site), "/console/live?status=rejected"]:
        for got in (visitor.get(address), visitor.get(twin(address))):
            assert got.status_code == 200, (address, got.text)
            for personal in (CANARY, "canary.person", "mail.example", "canary.pers", "customer-4711"):
                assert personal not in html.unescape(got.text), (address, personal)
        text = visitor.get(address).text
        assert not Outline(text).all("img"), address
        seen_markup += html.escape("<img src=x onerror=", quote=False) in text
    assert seen_markup >= 3, "the poisoned event was on Live, Start and a profile at least"


def test_a_page_of_a_poisoned_address_shows_text(site: Site) -> None:
    visitor = site.visitor()
    for path in ("/console/events/", "/console/profiles/", "/console/"):
        text = visitor.get(path + HTML + CANARY).text
        assert not Outline(text).all("img")
        assert CANARY not in html.unescape(text), path


@pytest.mark.parametrize("name", ["/console/live?name={}", "/console/live?source={}", "/console/login?next={}"])
def test_a_poisoned_query_shows_text(site: Site, name: str) -> None:
    text = site.visitor().get(name.format(HTML)).text + site.client().get("/console/login?next=" + HTML).text
    assert not Outline(text).all("img")


def test_every_page_is_well_built(site: Site) -> None:
    visitor = site.visitor()
    for address in [*addresses(site).values(), "/console/nothing"]:
        page = Outline(visitor.get(address).text)
        assert len(page.all("h1")) == 1, address
        assert page.all("html")[0]["lang"] == "en"
        assert len(page.all("main")) == 1
        assert any(link.get("href") == "#main" for link in page.all("a"))
        assert len(page.all("table")) == len(page.all("caption")), address
        assert all("scope" in cell for cell in page.all("th")), address
        labelled = {label.get("for") for label in page.all("label")}
        for kind in ("input", "select", "textarea"):
            for control in page.all(kind):
                assert control.get("type") == "hidden" or control.get("id") in labelled, (address, control)
        ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
        assert len(ids) == len(set(ids)), address
        for _, attributes in page.tags:
            assert not [name for name in attributes if name == "style" or name.startswith("on")], address
        for tag, name in (("script", "src"), ("link", "href"), ("form", "action")):
            for attributes in page.all(tag):
                assert (attributes[name] or "").startswith(("/console/", "data:")), address


def test_the_navigation_leads_only_to_pages_that_exist(site: Site) -> None:
    visitor = site.visitor()
    for link in Outline(visitor.get("/console/live?name=buy").text).all("a"):
        address = link["href"] or ""
        if address.startswith("/console"):
            assert visitor.get(address, follow_redirects=True).status_code == 200, address


def test_a_new_installation_begins_with_start_and_goes_on_with_live(empty_site: Site) -> None:
    visitor = empty_site.visitor()
    assert visitor.get("/").headers["location"] == "/console"
    assert visitor.get("/console").headers["location"] == "/console/start"
    assert "No event has arrived yet" in visitor.get("/console/live").text
    start = f"/console/start.json?source=shop&since={format_ms(now_ms() - 31_000)}"
    assert len(visitor.get(start).json()["causes"]) == 6

    empty_site.add(outcome(now_ms(), "rejected", "origin_not_allowed", origin="https://new.example"))
    data = until(visitor, start, lambda data: bool(data["refusals"]))
    assert (data["causes"], data["checks"][0]["done"]) == ([], True)
    assert "https://new.example" in data["refusals"][0]["setting"]

    empty_site.add(event(now_ms(), id="fresh"))
    rows = until(visitor, "/console/live.json", lambda data: data["shown"] == 2)["rows"]
    assert rows[0]["id"] == "fresh"
    assert visitor.get("/console").headers["location"] == "/console/live"


def until(visitor: httpx2.Client, address: str, holds: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + 20
    while not holds(data := visitor.get(address).json()):
        assert time.monotonic() < deadline, data
    return data


def test_live_shows_both_topics_newest_first_and_says_what_is_left_out(site: Site) -> None:
    data = site.visitor().get("/console/live.json").json()
    assert data["shown"] == data["matched"] == data["read"] == data["held"] == len(data["rows"])
    assert data["complete_since"] is None
    assert [row["at"] for row in data["rows"]] == sorted((row["at"] for row in data["rows"]), reverse=True)
    assert {row["status"] for row in data["rows"]} == {"accepted", "rejected", "filtered", "duplicate"}
    order = next(row for row in data["rows"] if row["id"] == "the-order")
    assert (order["name"], order["about"], order["who"]) == ("buy", "SKU-1", "user c…")
    assert order["delay_ms"] == 120


def test_live_filters_are_in_the_address_and_in_the_command(site: Site) -> None:
    visitor = site.visitor()
    data = visitor.get("/console/live.json?status=filtered&source=shop").json()
    assert [row["reason"] for row in data["rows"]] == ["bot"]
    text = visitor.get("/console/live?name=buy&source=shop").text
    assert "trackway events tail --from 15m --follow --source shop --name buy" in text
    assert visitor.get("/console/live?status=lost").status_code == 400


def test_rejected_counts_by_cause_and_says_what_shows_the_same(site: Site) -> None:
    visitor = site.visitor()
    causes = visitor.get("/console/rejected.json").json()["causes"]
    assert causes == sorted(causes, key=lambda cause: -cause["count"])
    assert {cause["status"] for cause in causes} == {"rejected"}
    filtered = visitor.get("/console/rejected.json?status=filtered&source=shop").json()
    assert [(cause["reason"], cause["count"]) for cause in filtered["causes"]] == [("bot", 1)]
    text = visitor.get("/console/rejected?status=filtered&reason=consent").text
    assert "Nothing of this kind" in text
    assert "trackway rejected list --group --status filtered --reason consent" in text
    assert visitor.get("/console/rejected?status=lost").status_code == 400


def test_live_reloads_without_script_when_asked_to(site: Site) -> None:
    visitor = site.visitor()
    got = visitor.get("/console/live?refresh=5")
    assert got.headers["refresh"] == "5"
    assert "data-refresh" not in got.text, "the script must not do it as well"
    assert "refresh" not in visitor.get("/console/live").headers


def test_start_counts_from_when_it_was_opened(site: Site) -> None:
    visitor = site.visitor()
    first = visitor.get("/console/start?source=shop")
    assert first.status_code == 303
    assert "since=20" in first.headers["location"]
    site.add(event(now_ms() - 60_000))
    page = visitor.get(first.headers["location"])
    snippet = f'<script src="{site.address}/tw/t.js" data-key="wk_shop" async></script>'
    assert snippet not in page.text
    assert snippet in html.unescape(page.text)
    waiting = visitor.get(twin(first.headers["location"])).json()
    assert not any(check["done"] for check in waiting["checks"]), "an old event ticks nothing off"
    assert waiting["causes"] == []


def test_the_line_for_a_terminal_sends_an_event_that_start_ticks_off(site: Site) -> None:
    visitor = site.visitor()
    address = visitor.get("/console/start?kind=server").headers["location"]
    line = visitor.get(twin(address)).json()["curl"]
    # As a shell reads it: the key comes from the environment.
    read = f"curl() {{ printf '%s\\n' \"$@\"; }}; {line}"
    words = subprocess.check_output(["sh", "-c", read], text=True, env={"SERVER_KEY": SERVER_KEY}).splitlines()
    assert words[:2] == ["-i", f"{site.address}/v1/batch"]
    assert site.client().post("/v1/batch", content=words[3]).json()["receipts"][0]["status"] == "accepted"
    checks = until(visitor, twin(address), lambda data: data["done"])["checks"]
    assert [check["name"] for check in checks] == [
        "A request reached Trackway",
        "An event was accepted",
        "A profile was made",
    ]


def test_start_ticks_session_and_profile_from_the_store(site: Site) -> None:
    data = site.visitor().get("/console/start.json?since=2026-01-01T00:00:00Z").json()
    assert [check["done"] for check in data["checks"][:4]] == [True] * 4
    assert [check["done"] for check in data["checks"][-2:]] == [True, True]


def test_start_without_a_source_says_how_to_make_one(site: Site) -> None:
    assert site.visitor().get("/console/start?source=none&since=2026-01-01T00:00:00Z").status_code == 404


def test_an_event_leads_to_its_profile(site: Site) -> None:
    visitor = site.visitor()
    text = visitor.get("/console/events/the-order").text
    found = re.search(r'href="(/console/profiles/[^"]+)"', text)
    assert found
    page = visitor.get(found[1])
    assert page.status_code == 200
    assert "89.90" in page.text
    assert "Not known as of" in visitor.get("/console/events/none").text


def test_exports_say_their_schedule_and_what_became_of_the_last_run(site: Site) -> None:
    visitor = site.visitor()
    data = visitor.get("/console/exports.json").json()
    (people,) = data["workflows"]
    assert (people["in_words"], len(people["next"])) == ("every 30 minutes", 3)
    assert people["last"] == data["runs"][0]
    assert [(run["mode"], run["state"]) for run in data["runs"][-2:]] == [("live", "failed"), ("draft", "succeeded")]
    assert "every 30 minutes" in visitor.get("/console/exports").text
    assert visitor.get("/console/exports.json?workflow=none").json()["runs"] == []


def test_a_run_says_what_became_of_its_rows_and_whose_fault_it_was(site: Site) -> None:
    visitor = site.visitor()
    run_id = visitor.get("/console/exports.json").json()["runs"][-2]["id"]
    run = visitor.get(f"/console/runs/{run_id}.json").json()["run"]
    assert (run["origin"], run["refused"], run["read"]) == ("CDP", 1, sum(run[name] for name in FATES))
    assert run["refused_rows"][0]["key"] == "c…"
    text = visitor.get(f"/console/runs/{run_id}").text
    assert "it failed in: CDP" in text
    assert "status_400" in text


def form_token(client: httpx2.Client) -> str:
    found = re.search(r'name="form_token" value="([0-9a-f]+)"', client.get("/console/exports").text)
    assert found
    return found[1]


def find(client: httpx2.Client, text: str) -> httpx2.Response:
    fields = {"form_token": form_token(client), "text": text}
    return client.post("/console/find", data=fields, headers={"Sec-Fetch-Site": "same-origin"})


def test_the_search_box_finds_people_events_and_runs_by_their_exact_id(site: Site) -> None:
    visitor = site.visitor()
    by_user = find(visitor, "customer-4711")
    assert by_user.status_code == 303
    profile = by_user.headers["location"]
    for text in (" visitor-0-0f4a2f9d2a10 ", profile.rpartition("/")[2]):
        assert find(visitor, text).headers["location"] == profile, text
    assert find(visitor, "the-order").headers["location"] == "/console/events/the-order"
    run_id = visitor.get("/console/exports.json").json()["runs"][0]["id"]
    assert find(visitor, run_id).headers["location"] == f"/console/runs/{run_id}"


@pytest.mark.parametrize("text", ["customer-471", "", "x" * 300, "a\0", HTML])
def test_the_search_box_says_what_it_looked_for_when_it_finds_nothing(site: Site, text: str) -> None:
    got = find(site.visitor(), text)
    assert got.status_code == 404
    assert "Nothing has this id" in got.text
    assert text not in got.text or not text


def test_what_several_things_are_called_is_listed(site: Site) -> None:
    site.add(
        event(now_ms(), id="same", user_id="same", anonymous_id="another"),
        event(now_ms(), user_id="other", anonymous_id="same"),
    )
    site.fold()
    got = find(site.visitor(), "same")
    assert got.status_code == 200
    assert len(re.findall(r'<li><a href="/console/(?:profiles|events)/', got.text)) == 3


def test_the_page_of_a_profile_that_was_joined_leads_to_the_one_it_is_now(site: Site) -> None:
    before = event(now_ms(), identifiers={"email": "two@mail.example"}, anonymous_id="v")
    del before["anonymous_id"]
    site.add(before)
    site.fold()
    visitor = site.visitor()
    was = find(visitor, "TWO@mail.example").headers["location"]
    site.add(event(now_ms(), identifiers={"email": "two@mail.example"}, user_id="customer-of-two"))
    site.fold()
    moved = visitor.get(was)
    assert moved.status_code == 308
    assert f"was={was.rpartition('/')[2]}" in moved.headers["location"]
    assert "its events belong to this profile now" in visitor.get(moved.headers["location"]).text
    assert find(visitor, "customer-of-two").headers["location"] in moved.headers["location"]


def test_every_command_that_a_page_names_is_one(site: Site) -> None:
    visitor = site.visitor()
    more = ("/console/live?status=poison&source=a%20b&name=x", "/console/exports?workflow=people")
    for address in (*addresses(site).values(), *more):
        found = re.search(r"From the command line: <code>trackway (.+?)</code>", visitor.get(address).text)
        assert found, address
        parser().parse_args(shlex.split(html.unescape(found[1])))


def test_the_static_files_are_small_and_kept_by_browsers(site: Site) -> None:
    import gzip

    for name, most in (("console.css", 10 * 1024), ("console.js", 8 * 1024)):
        assert len(gzip.compress((STATIC / name).read_bytes())) <= most
        got = site.client().get(f"/console/static/{name}")
        assert "immutable" in got.headers["cache-control"]
        assert got.headers["content-type"].startswith("text/")
    assert site.client().get("/console/static/shell.html").status_code == 404
