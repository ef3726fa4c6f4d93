"""What the tracker's batches may say beside their events, and the cookies that answer them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from collector.identity import read_ack, set_ack
from collector.settings import Cookie, Source
from eventlog.timestamps import DAY_MS, now_ms
from tests.collector.running import BROWSER_KEY, ORIGIN, SERVER_KEY, Running, running, settings_in

GRANTED: Final = {"consent": {"categoryPreferences": {"analytics": True}}}
DENIED: Final = {"consent": {"categoryPreferences": {"analytics": False}}}
CHROME: Final = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
UUID: Final = "5c1d1f5e-26a3-4b39-8f5c-0f4a2f9d2a10"
RSA: Final = "6B29FC40-CA47-1067-B31D-00DD010662DA"
IDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789.-", min_size=1, max_size=40)


def serve(folder: Path, scenario: Callable[[Running], Awaitable[None]], **changes: Any) -> None:
    strict = Source(
        browser_key="wk_strict", origins=[ORIGIN], server_key=SecretStr("sk_strict"), bots="filter", consent="implied"
    )
    shop = Source(browser_key=BROWSER_KEY, origins=[ORIGIN], server_key=SecretStr(SERVER_KEY))

    async def serving() -> None:
        settings = settings_in(folder, sources={"shop": shop, "strict": strict}, **changes)
        async with running(settings) as collector:
            await scenario(collector)

    asyncio.run(serving())


async def send(
    collector: Running, *messages: Mapping[str, Any], cookie: str = "", headers: Mapping[str, str] | None = None,
    **body: Any,
) -> httpx2.Response:  # fmt: skip
    # httpx keeps cookies by itself, which is not what is tried here.
    collector.http.cookies.clear()
    context = GRANTED | body.pop("context", {})
    batch = messages or ({"type": "track", "event": "x", "anonymousId": "proposed"},)
    asked = {"origin": ORIGIN, "user-agent": CHROME} | ({"cookie": cookie} if cookie else {}) | dict(headers or {})
    return await collector.post(
        "/tw/e", {"writeKey": BROWSER_KEY, "context": context, "batch": list(batch)} | body,
        {name: value for name, value in asked.items() if value},
    )  # fmt: skip


def set_by(answer: httpx2.Response) -> dict[str, Any]:
    """The cookies that an answer sets, each set once."""
    lines = answer.headers.get_list("set-cookie")
    found = {name: morsel for line in lines for name, morsel in SimpleCookie(line).items()}
    assert len(found) == len(lines), lines
    return found


def ack_in(answer: httpx2.Response) -> Morsel[str]:
    """The one cookie that tells of a batch."""
    found: list[Morsel[str]] = [morsel for name, morsel in set_by(answer).items() if name in Cookie().acks]
    assert len(found) == 1
    return found[0]


def values_of(answer: httpx2.Response) -> dict[str, str]:
    return {name: morsel.value for name, morsel in set_by(answer).items()}


def test_what_was_sent_while_leaving_is_told_to_the_next_page(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        by_https = {"x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.1"}
        first = await send(collector, ack="p1.1", headers=by_https)
        ack = ack_in(first)
        told = (ack["max-age"], ack["path"], ack["samesite"], ack["domain"], ack["secure"], ack["httponly"])
        assert (ack.value, *told) == ("p1.1", "600", "/", "Lax", "shop.example", True, "")
        assert set_by(first)["tw_id"]["httponly"]
        assert set(set_by(await send(collector))) == {"tw_id"}

    serve(tmp_path, scenario, cookie={"domain": "shop.example"}, trusted_proxies=["127.0.0.1"])


@pytest.mark.parametrize(
    "ack", ["", "A", "a b", "a~b", "a;b", "a" * 41, "é", "a\r\nset-cookie: x=1", 7, None, ["a"], {}]
)
def test_what_is_no_id_of_a_batch_is_ignored(ack: Any, tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        answer = await send(collector, ack=ack)
        assert (answer.status_code, set(values_of(answer))) == (200, {"tw_id"})

    serve(tmp_path, scenario)


def test_only_what_is_durable_is_told_and_only_to_browsers_that_may_be_told(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        event = {"type": "track", "event": "x", "anonymousId": "v", "messageId": "m"}
        assert ack_in(await send(collector, event, ack="b.1")).value == "b.1"
        # A copy is as durable as the first, and what is refused for good need not be sent again either.
        copy = await send(collector, event, ack="b.2")
        assert (copy.json()["receipts"][0]["status"], ack_in(copy).value) == ("duplicate", "b.2")
        assert list(values_of(await send(collector, {"type": "track"}, ack="b.3")).values()) == ["b.3"]
        # Who has not consented has nothing written.
        refused = await send(collector, event | {"messageId": "n", "context": DENIED}, ack="b.4")
        assert (refused.json()["receipts"][0]["reason"], values_of(refused)) == ("consent", {})
        server = await send(collector, ack="b.5", writeKey=SERVER_KEY, headers={"origin": ""})
        assert (server.status_code, values_of(server)) == (200, {})
        for wrong, status in ((b"{", 400), (b'{"writeKey":"nobody","batch":[],"ack":"b.6"}', 401)):
            answer = await collector.post("/tw/e", wrong, {"origin": ORIGIN})
            assert (answer.status_code, values_of(answer)) == (status, {})

    serve(tmp_path, scenario)


def test_the_cookies_may_have_other_names_or_not_be(tmp_path: Path) -> None:
    async def named(collector: Running) -> None:
        told = values_of(await send(collector, ack="b", cookie="tw_ack0=z; tw_ack1=z; tw_ack2=z"))
        assert [told[name] for name in told if name in ("seen0", "seen1", "seen2")] == ["b"]

    async def never(collector: Running) -> None:
        assert set(values_of(await send(collector, ack="b", cookie="tw_ack0=a"))) == {"tw_id"}

    serve(tmp_path / "named", named, cookie={"ack": "seen"})
    serve(tmp_path / "never", never, cookie={"ack": ""})
    with pytest.raises(ValueError, match="one of the names"):
        Cookie(name="tw_ack1")


@pytest.mark.parametrize(("pause", "kept"), [(50, 4), (500, 3), (700, 2)])
def test_pages_left_one_after_the_other_do_not_take_each_others_word(pause: int, kept: int) -> None:
    # The answer to each comes when the next two are left already: none knows of the one before.
    jars: list[dict[str, str]] = [{}]
    ids = [f"12345678{at}" for at in range(9)]
    for at, one in enumerate(ids):
        known = jars[max(0, at - 2)] if pause >= 500 else jars[-1]
        header = "; ".join(f"{name}={value}" for name, value in known.items())
        name, _, value = set_ack(one, header, Cookie(), pause * at, True).partition(";")[0].partition("=")
        jars.append(jars[-1] | {name: value})
        assert set(ids[max(0, at + 1 - kept) : at + 1]) <= set("~".join(jars[-1].values()).split("~"))


@given(st.lists(st.tuples(IDS, st.integers(0, 3000)), min_size=1, max_size=20), st.text(max_size=60))
def test_all_our_cookies_are_two_hundred_bytes_at_most(left: list[tuple[str, int]], foreign: str) -> None:
    jar, now = dict.fromkeys(Cookie().acks, foreign.replace(";", "")), 0
    for one, pause in left:
        now += pause
        assert read_ack(one) == one
        line = set_ack(one, "; ".join(f"{name}={value}" for name, value in jar.items()), Cookie(), now, True)
        name, _, jar[name] = line.partition(";")[0].partition("=")
        assert jar[name].split("~")[-1] == one
    header = "; ".join(f"{name}={value}" for name, value in jar.items())
    visitor = f"tw_id={UUID}.{now_ms() // DAY_MS}"
    assert len(f"{visitor}; {header}") <= 200


def test_cookieless_nothing_is_read_set_or_made_up(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        events: list[dict[str, Any]] = [
            {"type": "page", "anonymousId": "known"},
            {"type": "track", "event": "x", "userId": "u"},
            {"type": "raptor", "anonymousId": "known", "properties": {"params": {"p1": "visit", "p2": "S"}}},
        ]
        cookie = f"tw_id=held.1; tw_ack1=a; rsa={RSA}"
        answer = await send(collector, *events, cookie=cookie, cookieless=True, ack="b")
        assert [one["status"] for one in answer.json()["receipts"]] == ["accepted"] * 3
        assert values_of(answer) == {}
        single = {**events[0], "context": GRANTED, "writeKey": BROWSER_KEY, "cookieless": True}
        assert values_of(await collector.post("/tw/e", single, {"origin": ORIGIN, "cookie": cookie})) == {}
        stored = await collector.stored()
        assert len(stored) == 4
        for event in stored:
            assert not event.keys() & {"anonymous_id", "identifiers", "client_session_id"}
        # Only `true` says so.
        assert "tw_id" in values_of(await send(collector, cookieless="true"))

    serve(tmp_path, scenario, raptor={"cookies": True})


def test_the_browsers_signals_count_from_the_body_as_from_headers(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        silent: dict[str, Any] = {"consent": {}}
        for said in ({"gpc": True}, {"dnt": True}, {"gpc": 1, "dnt": "true"}):
            await send(collector, context=said)
        # Without a word on analytics DNT counts as no.
        dnt = await send(collector, context=silent | {"dnt": True}, writeKey="wk_strict")
        assert dnt.json()["receipts"][0]["reason"] == "dnt"
        server = await send(collector, context={"gpc": True}, writeKey=SERVER_KEY, headers={"origin": ""})
        assert server.status_code == 200
        consents = [event["consent"] for event in await collector.stored()]
        granted = {"analytics": True}
        assert consents == [granted | {"gpc": True}, granted | {"dnt": True}, granted, granted]

    serve(tmp_path, scenario)


@pytest.mark.parametrize(
    ("context", "agent", "bot"),
    [
        ({"webdriver": True}, CHROME, "webdriver"),
        ({"webdriver": "true"}, CHROME, None),
        ({"screen": {"width": 0, "height": 600}}, CHROME, "no screen"),
        ({"screen": {"width": 800, "height": 600}}, CHROME, None),
        ({"screen": "0x0"}, CHROME, "no screen"),
        ({"screen": "800x0"}, CHROME, "no screen"),
        ({"screen": "800x600"}, CHROME, None),
        ({"webdriver": True}, CHROME.replace("Chrome", "HeadlessChrome"), "Headless"),
    ],
)
def test_a_driven_browser_is_flagged_and_filtered_where_the_source_says_so(
    context: dict[str, Any], agent: str, bot: str | None, tmp_path: Path
) -> None:
    async def scenario(collector: Running) -> None:
        answer = await send(collector, context=context, headers={"user-agent": agent})
        assert answer.json()["receipts"][0]["status"] == "accepted"
        (event,) = await collector.stored()
        assert event["client"].get("bot") == bot
        strict = await send(collector, context=context, writeKey="wk_strict", headers={"user-agent": agent})
        assert strict.json()["receipts"][0].get("reason") == ("bot" if bot else None)

    serve(tmp_path, scenario)


def test_it_says_its_version_once_for_all(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        await send(collector, version="1.2.3")
        await send(collector, version="1.2.3", context={"library": {"name": "other", "version": "7"}})
        await send(collector, version={"a": 1})
        stated = [event.get("library") for event in await collector.stored()]
        assert stated == [{"name": "trackway.js", "version": "1.2.3"}, {"name": "other", "version": "7"}, None]

    serve(tmp_path, scenario)


def test_its_language_is_the_one_its_browser_prefers(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        for languages in ("de-CH,de;q=0.9,en;q=0.8", "fr;q=0.7", "*", ""):
            await send(collector, headers={"accept-language": languages})
        await send(collector, headers={"accept-language": "de"}, context={"locale": "nb-NO"})
        stated = [event["client"].get("locale") for event in await collector.stored()]
        assert stated == ["de-CH", "fr", None, None, "nb-NO"]

    serve(tmp_path, scenario)


def test_two_batches_before_the_first_answer_are_one_visitor(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        first, second = await asyncio.gather(send(collector), send(collector, ack="b"))
        assert values_of(first)["tw_id"] == values_of(second)["tw_id"]
        cookie = f"tw_id={values_of(first)['tw_id']}"
        # A page that could not read its storage proposes another id; the cookie's counts.
        later = await send(collector, {"type": "page", "anonymousId": "other"}, cookie=cookie)
        assert values_of(later) == {}
        assert {event["anonymous_id"] for event in await collector.stored()} == {"proposed"}

    serve(tmp_path, scenario)


def test_the_cookie_is_renewed_once_a_day_and_secure_whenever_by_https(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        today = now_ms() // DAY_MS
        by_https = {"forwarded": "for=192.0.2.1;proto=https"}
        for day, is_set in ((today, False), (today - 1, True), (today - 300, True)):
            answer = await send(collector, cookie=f"tw_id={UUID}.{day}", headers=by_https)
            assert ("tw_id" in set_by(answer)) is is_set
            if is_set:
                made = set_by(answer)["tw_id"]
                assert made.value == f"{UUID}.{today}"
                assert (made["secure"], made["httponly"], made["max-age"]) == (True, True, str(400 * 86_400))
                assert made["domain"] == "shop.example"
        plain = set_by(await send(collector))["tw_id"]
        assert not plain["secure"]

    serve(tmp_path, scenario, cookie={"domain": "shop.example"}, trusted_proxies=["127.0.0.1"])


def test_a_withdrawal_takes_away_every_cookie_that_came_along(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        said = {"type": "track", "event": "consent", "anonymousId": "held", "context": DENIED}
        cookie = f"tw_id=held.1; tw_ack1=a; rsa={RSA}; rsaRuid=x; theirs=y"
        answer = await send(collector, said, cookie=cookie, ack="b")
        assert answer.json()["receipts"][0]["status"] == "accepted"
        gone = set_by(answer)
        assert set(gone) == {"tw_id", "tw_ack1", "rsa", "rsaRuid"}
        for morsel in gone.values():
            assert (morsel.value, morsel["max-age"], morsel["domain"]) == ("", "0", "shop.example")
        # Then they do not come along any more, and nothing is set or taken away again.
        assert values_of(await send(collector, said, cookie="theirs=y")) == {}
        # Who changes their mind within one batch is a visitor again.
        both = await send(collector, said, {"type": "page", "anonymousId": "new"}, cookie="tw_id=held.1")
        assert values_of(both)["tw_id"].startswith("held.")

    serve(tmp_path, scenario, cookie={"domain": "shop.example"})


def test_a_page_of_another_host_may_send_with_credentials_where_its_origin_is_known(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        answer = await send(collector, cookie="tw_id=held.1")
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert "Retry-After" in answer.headers["access-control-expose-headers"]
        stranger = await send(collector, headers={"origin": "https://stranger.example"})
        assert stranger.status_code == 403
        assert "access-control-allow-origin" not in stranger.headers
        assert values_of(stranger) == {}
        # What is wrong with a batch can be read, too.
        assert (await send(collector, batch=7)).headers["access-control-allow-credentials"] == "true"

    serve(tmp_path, scenario)


@pytest.mark.parametrize(
    ("stated", "evidence"),
    [
        ({"properties": {"text_version": "2026-11", "method": "banner"}}, ("2026-11", "banner")),
        ({"properties": {"text_version": 7, "method": " "}}, ("7", None)),
        ({"context": {"consent": GRANTED["consent"] | {"text_version": "c", "method": "form"}}}, ("c", "form")),
        (
            {"context": {"consent": {"text_version": "c"}}, "properties": {"text_version": "p", "method": ["x"]}},
            ("c", None),
        ),
        ({}, (None, None)),
    ],
)
def test_a_choice_names_the_text_that_was_shown_and_how_it_was_made(
    stated: dict[str, Any], evidence: tuple[str | None, str | None], tmp_path: Path
) -> None:
    async def scenario(collector: Running) -> None:
        said = {"type": "track", "event": "consent", "anonymousId": "v", "messageId": "c-1", **stated}
        (receipt,) = (await send(collector, said)).json()["receipts"]
        assert (receipt["status"], receipt["id"]) == ("accepted", "c-1")
        (event,) = await collector.stored()
        assert (event["consent"].get("text_version"), event["consent"].get("method")) == evidence

    serve(tmp_path, scenario)


def test_the_same_order_is_the_same_purchase_in_one_browser_only(tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        def buy(at: str, order: str | None, browser: str | None = "b1") -> dict[str, Any]:
            said = {"type": "track", "event": "buy", "messageId": at, "properties": {"order_id": order}}
            return {**said, "anonymousId": browser} if browser else said

        answer = await send(collector, buy("p-1", "o1"), buy("p-2", "o1"), buy("p-3", "o2"), buy("p-4", None))
        first, again, other, unnamed = answer.json()["receipts"]
        assert (first["status"], again["status"]) == ("accepted", "duplicate")
        assert first["id"] == again["id"] != other["id"]
        assert unnamed["id"] == "p-4"
        # A stranger who knows the order's number cannot keep the purchase from being counted.
        theirs, nobodys = (await send(collector, buy("p-5", "o1", "b2"), buy("p-6", "o1", None))).json()["receipts"]
        assert theirs["status"] == nobodys["status"] == "accepted"
        assert len({first["id"], theirs["id"], nobodys["id"]}) == 3

    serve(tmp_path, scenario)


@pytest.mark.parametrize(
    ("choice", "allowed"),
    [
        ("granted", {"analytics", "personalization", "marketing_activation", "third_party_sharing"}),
        ({"analytics": True, "personalization": 1}, {"analytics"}),
        ("denied", set()),
        (["analytics"], set()),
    ],
)
def test_of_a_choice_what_is_not_named_is_not_allowed(choice: Any, allowed: set[str], tmp_path: Path) -> None:
    async def scenario(collector: Running) -> None:
        said = {"type": "track", "event": "consent", "anonymousId": "v", "context": {"consent": {"choice": choice}}}
        await send(collector, said)
        (event,) = await collector.stored()
        assert {purpose for purpose, value in event["consent"].items() if value} == allowed
        assert len(event["consent"]) == 4

    serve(tmp_path, scenario)
