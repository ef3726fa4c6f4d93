"""The add-on `auto`: downloads, forms, pages not found and site searches, told without anybody's work."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.tracker.conftest import GRANTED, Open
from tests.tracker.recorder import Recorder, Reply

pytestmark = [pytest.mark.browser, pytest.mark.browsers]

DOCS = Path(__file__).parents[2] / "docs" / "tracker" / "auto.md"
# Neither links nor forms lead away.
STAY = """<script>
  for (const type of ['click', 'auxclick', 'submit'])
    addEventListener(type, (event) => {
      if (type === 'submit' || event.composedPath().some(({href}) => href)) event.preventDefault();
    });
</script>"""
SECRETS = ("ada@example.org", "hunter2", "4111", "token-8f2c")


class Site(Recorder):
    """A recorder whose `/gone` answers 404."""

    def asked(self, method: str, path: str, body: bytes = b"") -> Reply:
        status, headers, content = super().asked(method, path, body)
        return 404 if path.startswith("/gone") else status, headers, content


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Site()
    recorder.addons = "auto"
    recorder.attributes = GRANTED
    yield recorder
    recorder.stop()


def told(recorder: Recorder, page: Page) -> list[tuple[str, dict[str, Any]]]:
    """All events but views and choices, in their order, once everything has arrived."""
    page.evaluate("void trackway.track('last'); trackway.flush()")
    recorder.wait(lambda: recorder.named("last"))
    events = [(event.get("event") or event["type"], event.get("properties", {})) for event in recorder.events]
    return [one for one in events if one[0] not in ("page", "consent", "last")]


@pytest.mark.parametrize(
    "path",
    ["/Prices.PDF", "/a.b.zip", "/x.docx", "/x.doc", "/x.xls", "/x.pptx", "/x.csv", "/x.txt", "/x.mp4", "/x.dmg"],
)
def test_a_link_to_a_file_is_told_without_its_parameters(open_page: Open, recorder: Recorder, path: str) -> None:
    icon = '<svg width="20" height="20"><g><rect width="20" height="20"/></g></svg>'
    recorder.body = f'{STAY}<a href="{path}?token={SECRETS[3]}#page=2">{icon}</a>'
    page = open_page()
    page.click("rect")
    assert told(recorder, page) == [("download", {"url": recorder.url + path})]


def test_a_link_that_says_it_is_a_download_is_one(open_page: Open, recorder: Recorder) -> None:
    recorder.body = f'{STAY}<a href="/export?as=table" download>x</a>'
    page = open_page()
    page.click("a")
    assert told(recorder, page) == [("download", {"url": f"{recorder.url}/export"})]


def test_what_is_no_file_or_to_be_ignored_is_not_told(open_page: Open, recorder: Recorder) -> None:
    recorder.attributes += ' data-auto="pageview"'  # an outbound link would be the core's to tell
    links = (
        '<a href="/about">x</a>', '<a href="/a.html">x</a>', '<a href="/pdf">x</a>', '<a href="/x.pdf/more">x</a>',
        '<a href="/?file=x.pdf">x</a>', '<a href="mailto:ada@example.pdf">x</a>', "<a name=x>x</a>", "<b>x</b>",
        '<a href="/x.pdf" data-tw-ignore>x</a>', '<p data-tw-ignore><a href="/x.pdf">x</a></p>',
        '<a href="blob:x.pdf" download>x</a>',
    )  # fmt: skip
    recorder.body = STAY + "".join(f'<div class="case">{link}</div>' for link in links)
    page = open_page()
    for case in page.locator(".case > *").all():
        case.click()
    assert told(recorder, page) == []


def test_middle_clicks_count_and_right_clicks_do_not(open_page: Open, recorder: Recorder) -> None:
    recorder.body = f'{STAY}<a href="/x.pdf">x</a>'
    page = open_page()
    page.click("a", button="middle")
    page.click("a", button="right")
    assert told(recorder, page) == [("download", {"url": f"{recorder.url}/x.pdf"})]


def test_links_in_shadow_trees_are_seen_and_what_ignores_them_outside_too(open_page: Open, recorder: Recorder) -> None:
    recorder.body = f"""{STAY}<div id=one></div><div data-tw-ignore><div id=two></div></div><script>
      for (const name of ['one', 'two']) {{
        const link = document.createElement('a');
        link.href = `/${{name}}.pdf`;
        link.textContent = link.id = `${{name}}-link`;
        document.getElementById(name).attachShadow({{mode: 'open'}}).append(link);
      }}
    </script>"""
    page = open_page()
    page.click("#two-link")
    page.click("#one-link")
    assert told(recorder, page) == [("download", {"url": f"{recorder.url}/one.pdf"})]


def test_a_download_in_the_same_tab_still_leaves_and_is_told_once(open_page: Open, recorder: Recorder) -> None:
    recorder.body = '<a href="/x.pdf">x</a>'
    page = open_page()
    page.click("a")
    page.wait_for_url("**/x.pdf")
    recorder.wait(lambda: recorder.named("download"))
    assert recorder.arrivals["download"] == 1


FORM = """<form id="join" name="newsletter" method="post" action="/subscribe?list=7#top">
  <input name="email" value="ada@example.org"><input name="id" value="4111"><input name="action"><input name="name">
  <input type="password" name="secret" value="hunter2"><input type="text" name="Password2" value="hunter2">
  <input type="hidden" name="csrf-token-8f2c" value="token-8f2c">
  <input type="radio" name="kind" value="a" checked><input type="radio" name="kind" value="b">
  <select name="country"><option>IT</option></select><textarea name="note">4111</textarea>
  <div data-tw-ignore><input name="diagnosis"></div><input name="iban" data-tw-ignore><input>
  <fieldset><input type="checkbox" name="terms[]" checked></fieldset>
  <input type="submit" name="go"><button name="stop">x</button>
</form>"""
SENT = {
    "id": "join",
    "name": "newsletter",
    "action": "/subscribe",
    "fields": ["email", "id", "action", "name", "kind", "country", "note", "terms[]"],
}


def test_a_form_is_told_by_names_and_never_by_what_was_entered(
    open_page: Open, context: BrowserContext, recorder: Recorder
) -> None:
    context.add_init_script("""
      window.reads = 0;
      for (const type of [HTMLInputElement, HTMLTextAreaElement, HTMLSelectElement]) {
        const {get, set} = Object.getOwnPropertyDescriptor(type.prototype, 'value');
        Object.defineProperty(type.prototype, 'value', {get() { window.reads++; return get.call(this); }, set});
      }
    """)
    recorder.body = STAY + FORM
    page = open_page()
    page.evaluate("document.querySelector('[name=go]').click()")
    assert told(recorder, page) == [("form", SENT)]
    assert page.evaluate("reads") == 0
    sent = b"".join(recorder.raw).decode()
    assert [secret for secret in SECRETS if secret in sent] == []


def test_a_form_still_goes_where_it_goes_with_everything_entered(open_page: Open, recorder: Recorder) -> None:
    recorder.body = FORM
    page = open_page()
    page.click("[name=go]")
    page.wait_for_url("**/subscribe?list=7#top")
    recorder.wait(lambda: recorder.named("form"))
    assert recorder.arrivals["form"] == 1
    (post,) = [one for one in recorder.others if one.method == "POST"]
    assert b"email=ada%40example.org" in post.body


def test_forms_without_names_and_ignored_ones(open_page: Open, recorder: Recorder) -> None:
    recorder.body = f"{STAY}<form><input name=q><button>x</button></form><form data-tw-ignore><button>y</button></form>"
    page = open_page()
    page.click("text=y")
    page.click("text=x")
    assert told(recorder, page) == [("form", {"fields": ["q"]})]


def test_nothing_is_thrown_whatever_is_submitted_or_clicked(open_page: Open, recorder: Recorder) -> None:
    recorder.body = f'{STAY}<form id=form><input name="getAttribute"><input name="hostname"></form>'
    page = open_page()
    page.evaluate("""() => {
      for (const target of [window, document, document.body, form])
        for (const type of ['submit', 'click', 'auxclick'])
          target.dispatchEvent(new Event(type, {bubbles: true, cancelable: true}));
    }""")
    assert told(recorder, page) == []


@pytest.mark.parametrize("how", ["attribute", "meta", "answer"])
def test_a_page_not_found_is_told_with_its_view(open_page: Open, recorder: Recorder, how: str) -> None:
    if how == "attribute":
        recorder.attributes += ' data-status="404"'
    if how == "meta":
        recorder.head = '<meta name="status" content="404">'
    page = open_page("/gone" if how == "answer" else "/missing")
    recorder.wait(lambda: recorder.named("404") and recorder.named("page"))
    (view,), (missing,) = recorder.named("page"), recorder.named("404")
    assert missing["context"]["page"] == view["context"]["page"]
    assert told(recorder, page) == [("404", {})]


def test_found_pages_and_later_views_of_an_application_are_not_told(open_page: Open, recorder: Recorder) -> None:
    page = open_page("/gone")
    page.evaluate("history.pushState(0, '', '/found')")
    recorder.wait(lambda: len(recorder.named("page")) == 2)
    found = open_page("/found-at-once")
    assert [name for name, _ in told(recorder, found)] == ["404"]
    page.evaluate("""() => {
      document.head.insertAdjacentHTML('beforeend', '<meta name=status content=404>');
      history.pushState(0, '', '/lost');
    }""")
    recorder.wait(lambda: len(recorder.named("404")) == 2)
    assert recorder.named("404")[1]["context"]["page"]["url"] == f"{recorder.url}/lost"


@pytest.mark.parametrize("name", ["q", "s", "query", "search", "keyword"])
def test_a_site_search_is_told(open_page: Open, recorder: Recorder, name: str) -> None:
    page = open_page(f"/find?page=1&{name}=red+l%C3%A4mp")
    assert told(recorder, page) == [("search", {"query": "red lämp"})]


def test_the_parameters_of_a_search_are_a_setting(open_page: Open, recorder: Recorder) -> None:
    recorder.attributes += ' data-search="term wanted"'
    page = open_page("/find?q=id7&wanted=lamp")
    assert told(recorder, page) == [("search", {"query": "lamp"})]


def test_the_next_page_of_results_is_no_new_search_and_a_new_one_is(open_page: Open, recorder: Recorder) -> None:
    recorder.attributes += ' data-spa="query"'
    page = open_page("/find?q=lamp")
    for query in ("q=lamp&page=2", "q=lamp&page=3", "q=sofa"):
        page.evaluate("(query) => history.pushState(0, '', '?' + query)", query)
        page.wait_for_timeout(200)  # a view is one after 50 ms
    assert told(recorder, page) == [("search", {"query": "lamp"}), ("search", {"query": "sofa"})]


def test_a_search_for_an_address_and_an_empty_one_are_not_told(open_page: Open, recorder: Recorder) -> None:
    open_page("/find?q=ada@example.org")
    page = open_page("/find?q=")
    assert told(recorder, page) == []
    assert b"ada@" not in b"".join(recorder.raw)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("", ["404", "download", "form", "search"]),
        ("pageview", ["404", "download", "form", "search"]),
        ("pageview outbound", ["404", "download", "form", "search"]),
        ("pageview form", ["form"]),
        ("pageview outbound search download", ["download", "search"]),
        ("404 pageview", ["404"]),
    ],
)
def test_the_words_of_data_auto_choose_and_without_any_of_its_own_all_are_told(
    open_page: Open, recorder: Recorder, words: str, wanted: list[str]
) -> None:
    if words:
        recorder.attributes += f' data-auto="{words}"'
    recorder.body = f'{STAY}<a href="/x.pdf">x</a><form><button>y</button></form>'
    page = open_page("/gone?q=lamp")
    page.click("text=x")
    page.click("text=y")
    assert sorted(name for name, _ in told(recorder, page)) == wanted


def test_a_tag_that_stands_twice_beside_somebody_elses_trackway_changes_nothing(
    context: BrowserContext, recorder: Recorder
) -> None:
    recorder.attributes += " data-name=tracker"
    recorder.head = "<script>trackway = 'somebody else'</script>" + recorder.tag()
    recorder.body = f'{STAY}<a href="/x.pdf">x</a>'
    page = context.new_page()
    page.goto(recorder.url)
    page.wait_for_function("window.tracker && tracker.version")
    page.click("a")
    page.evaluate("tracker.flush()")
    recorder.wait(lambda: recorder.named("download"))
    assert len(recorder.named("download")) == 1


def test_before_consent_nothing_is_sent(open_page: Open, recorder: Recorder) -> None:
    recorder.attributes = ""
    recorder.body = f'{STAY}<a href="/x.pdf">x</a>'
    page = open_page("/gone?q=lamp")
    page.click("a")
    assert page.evaluate("trackway.status()")["held"] == 4
    assert recorder.tries == []
    page.evaluate("void trackway('consent', 'granted')")
    recorder.wait(lambda: {"404", "search", "download"} <= set(recorder.names))


def test_what_the_docs_paste_and_show_is_what_is_sent(open_page: Open, recorder: Recorder) -> None:
    text = DOCS.read_text(encoding="utf-8")
    lines = re.findall(r"```html\n(.*?)\n```", text, re.S)
    shown = [json.loads(line) for line in re.search(r"```json\n(.*?)\n```", text, re.S)[1].splitlines()]  # type: ignore[index]
    pasted, chosen, searched, missing = lines
    # Each line does what the sentence above it says.
    for line, wanted in ((chosen, []), (searched, ["search"]), (missing + pasted, ["404"])):
        recorder.pages["/"] = f"<!doctype html><title>Page</title>{line}"
        recorder.batches.clear()
        page = open_page("/?term=lamp")
        page.evaluate("void trackway('consent', 'granted')")
        assert [name for name, _ in told(recorder, page)] == wanted
        page.evaluate("void trackway('consent', 'denied')")
    recorder.pages["/lamps"] = f"""<!doctype html><title>Page</title><meta name="status" content="404">{pasted}{STAY}
      <a href="/files/prices-2026.pdf?v=3">x</a><form id="newsletter" action="/subscribe"><input name="email">
      <input type="checkbox" name="weekly"><button>y</button></form>"""
    recorder.batches.clear()
    page = open_page("/lamps?q=reading+lamp")
    page.evaluate("void trackway('consent', 'granted')")
    page.click("text=x")
    page.click("text=y")
    found = told(recorder, page)
    for one in shown:
        one["properties"] = {
            name: value.replace("https://shop.example", recorder.url) if isinstance(value, str) else value
            for name, value in one.get("properties", {}).items()
        }
    assert sorted(found, key=str) == sorted(((one["event"], one["properties"]) for one in shown), key=str)
