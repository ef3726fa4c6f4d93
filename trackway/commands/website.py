"""`snippet` and `types`: what whoever makes a website is given."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any, Final
from urllib.parse import quote, urlsplit

import orjson

from collector.script import Script, UnknownAddOn
from collector.settings import Source
from eventlog.event import CANONICAL_NAMES
from eventlog.topics import EVENTS
from exporter.snippet import STUB_HASH, STUB_LINE, csp_line, script_line
from trackway.commands import moment, run
from trackway.commands.reading import records
from trackway.event_types import EventTypes
from trackway.printing import print_json, say
from trackway.settings import ConfigError, Settings

_URL: Final = re.compile(r"https?://[^/\s?#@]+(/[^\s?#]*[^\s?#/])?")


def snippet(settings: Settings, arguments: Namespace) -> int:
    """Print the line, the stub and what a Content-Security-Policy must allow."""
    source = _with_key(settings.sources, arguments.source)
    host = str(arguments.host or settings.public_url).rstrip("/")
    if host and not _URL.fullmatch(host):
        raise ConfigError([f"--host {host} is no address; write it as https://t.shop.example"])
    add_ons = [name.strip() for name in arguments.add_ons.split(",") if name.strip()]
    script = Script()
    try:
        integrity = script.integrity(add_ons)
    except UnknownAddOn as error:
        raise ConfigError([f"--with: {error}"]) from None
    asked = f"?with={quote(','.join(name for name in script.add_ons if name in add_ons), safe=',')}" if add_ons else ""
    address = urlsplit(host)
    foreign = bool(host) and f"{address.scheme}://{address.netloc}" not in source.origins
    told = {
        "script": script_line(
            host + settings.tracker.scripts[0] + asked, source.browser_key or "", integrity, foreign=foreign
        ),
        "stub": STUB_LINE,
        "stub_hash": STUB_HASH,
        "csp": csp_line(host, stub=True),
    }
    if arguments.json:
        print_json(told)
        return 0
    _explain(told)
    return 0


def _explain(told: Mapping[str, str]) -> None:
    say("Into the head of every page:")
    print(told["script"], flush=True)
    say("\nBefore it, only where the page calls trackway before the script has loaded:")
    print(told["stub"], flush=True)
    say(f"\nWith a Content-Security-Policy (without the stub, leave '{told['stub_hash']}' out):")
    print(told["csp"], flush=True)
    say(
        "\nThe browser runs only the file whose hash stands in `integrity`: paste the line anew when Trackway is "
        "updated, or leave `integrity` out."
    )


def _with_key(sources: Mapping[str, Source], asked: str | None) -> Source:
    """Raises ConfigError where no source, or more than one, is meant."""
    having = {name: source for name, source in sources.items() if source.browser_key}
    if asked is not None:
        if asked not in having:
            known = ", ".join(having) or "none"
            raise ConfigError([f"--source {asked}: no source of this name has a browser_key; known: {known}"])
        return having[asked]
    if not having:
        raise ConfigError(["no source has a browser_key; add one to `sources` in the settings"])
    if len(having) > 1:
        raise ConfigError([f"several sources have a browser_key; choose by --source: {', '.join(having)}"])
    return next(iter(having.values()))


def types(settings: Settings, arguments: Namespace) -> int:
    """Print a .d.ts of the events under the sender's own names: names and types, no values."""
    start = moment(arguments.start)
    found = EventTypes()

    async def work() -> int:
        async with aclosing(records(settings, EVENTS, start)) as read:
            async for record in read:
                event: dict[str, Any] = orjson.loads(record.value or b"{}")
                if _is_own(event, arguments.source):
                    found.see(event["name"], event.get("properties", {}))
                if found.seen >= arguments.limit:
                    break
        print(found.text(), end="", flush=True)
        if not found.seen:
            say("no event under a name of the website's own; try an earlier --from, such as 30d or start")
        if found.left_out:
            say(f"left out because they may hold personal data, or are too many: {found.left_out} names")
        return 0

    return run(work)


def _is_own(event: Mapping[str, Any], source: str | None) -> bool:
    return (
        event.get("kind") == "track"
        and event.get("name") not in CANONICAL_NAMES
        and (source is None or event.get("source") == source)
    )
